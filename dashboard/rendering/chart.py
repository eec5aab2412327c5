"""The running total of costs as a step line: arithmetic for an SVG and its axis labels."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 1_000
HEIGHT = 160
POINTS_AT_MOST = 300
ROWS_AT_MOST = 100

type Point = tuple[dt.datetime, int]


@dataclass(frozen=True, slots=True)
class Chart:
    """`line` and `area` are SVG paths; `ticks` pairs of y and micro-dollars; `rows` the numbers."""

    line: str
    area: str
    start: dt.datetime
    end: dt.datetime
    ticks: list[tuple[str, int]]
    rows: list[Point]
    is_thinned: bool


def draw(points: Sequence[Point]) -> Chart | None:
    """None for fewer than two points or when nothing was spent: there is no line to see."""
    if len(points) < 2:
        return None
    top = _ceiling(max(total for _, total in points))
    if top <= 0:
        return None
    thin = _thinned(points, POINTS_AT_MOST)
    start, end = points[0][0], points[-1][0]
    span = max(end - start, dt.timedelta(seconds=1))

    def x(moment: dt.datetime) -> str:
        return _number((moment - start) / span * WIDTH)

    def y(total: int) -> str:
        return _number(HEIGHT - max(total, 0) / top * HEIGHT)

    steps = "".join(f"H{x(moment)}V{y(total)}" for moment, total in thin)
    line = f"M0 {HEIGHT}{steps}H{WIDTH}"
    ticks = [(_number(HEIGHT - HEIGHT * part / 2), top * part // 2) for part in (2, 1, 0)]
    rows = _thinned(points, ROWS_AT_MOST)
    return Chart(line, f"{line}V{HEIGHT}z", start, end, ticks, rows, len(rows) < len(points))


def _thinned(points: Sequence[Point], at_most: int) -> list[Point]:
    """Every n-th point and the last one: the total stays exact."""
    stride = -(-len(points) // at_most)
    thin = list(points[::stride])
    return thin if thin[-1] == points[-1] else [*thin[: at_most - 1], points[-1]]


def _ceiling(highest: int) -> int:
    """The next round number of micro-dollars at or above `highest`."""
    if highest <= 0:
        return 0
    magnitude = 10 ** (len(str(highest)) - 1)
    return next(
        (
            factor * magnitude // 10
            for factor in (10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
            if factor * magnitude >= highest * 10
        ),
        highest,
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
