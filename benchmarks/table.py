"""Results as a table of text."""

from collections.abc import Iterable, Sequence

from benchmarks.figures import Figure, Growth, Result

HEAD = ("what", "ours", "floor", "ratio", "target", "met")


def table(results: Iterable[tuple[str, Result]]) -> str:
    """`results` are pairs of a database's name and a result. Growth has a table of its own."""
    results = list(results)
    figures = [(database, one) for database, one in results if isinstance(one, Figure)]
    growths = [(database, one) for database, one in results if isinstance(one, Growth)]
    parts = [aligned([HEAD, *(_row(*pair) for pair in figures)])] if figures else []
    parts += [_growth(*pair) for pair in growths]
    return "\n".join(parts)


def _row(database: str, figure: Figure) -> Sequence[str]:
    ratio = figure.ratio
    floor = ""
    if figure.floor is not None:
        floor = f"{number_text(figure.floor)} {figure.unit} ({figure.floor_is})"
    return (
        f"{figure.what} [{database}]" + (f" ({figure.note})" if figure.note else ""),
        "-" if figure.ours is None else f"{number_text(figure.ours)} {figure.unit}",
        floor,
        "" if ratio is None else f"{ratio:.2f} x",
        ", ".join(map(str, figure.targets)),
        verdict(figure.is_met),
    )


def _growth(database: str, growth: Growth) -> str:
    points = "   ".join(f"{count:,}: {number_text(cost)}" for count, cost in growth.points)
    if growth.within is not None:
        spread = "" if growth.spread is None else f"{growth.spread:.2f} x"
        told = f"{spread} from {growth.beyond:,} on, target ≤ {growth.within:g} x"
    else:
        power = "" if growth.power is None else f"power {growth.power:.2f}"
        told = f"{power}, target ≤ {growth.at_most:g}"
    return (
        f"{growth.what} [{database}], {growth.unit} by {growth.by}\n  {points}\n"
        f"  {told}: {verdict(growth.is_met)}"
    )


def verdict(is_met: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[is_met]


def number_text(number: float) -> str:
    if number == 0 or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """`rows` are cells; the first one is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])
