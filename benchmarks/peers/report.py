"""Figures of all three programs, and the table of them."""

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.table import aligned, number_text, verdict

OURS = "runsheet"
FLOOR = "floor"


class Line(msgspec.Struct, kw_only=True):
    """One line of the table: a measure at one length of run.

    `figures` and `missing` are by the names of programs, and "floor": all that was measured, and
    in words why nothing was. `more_is_better` is true of rates. `times`: at least how many times
    a peer's figure ours shall be, by the peer's name. Lines of one `group` stand beside each other
    at each length.
    """

    what: str
    unit: str
    steps: int | None = None
    floor_is: str = ""
    more_is_better: bool = False
    times: dict[str, float] = msgspec.field(default_factory=dict)
    group: str = ""
    figures: dict[str, list[float]] = msgspec.field(default_factory=dict)
    missing: dict[str, str] = msgspec.field(default_factory=dict)

    def add(self, name: str, figure: float) -> None:
        self.figures.setdefault(name, []).append(figure)

    def lack(self, name: str, why: str) -> None:
        self.missing[name] = why

    def median(self, name: str) -> float | None:
        """None if it was not measured, or not each time that it was tried."""
        found = self.figures.get(name)
        return statistics.median(found) if found and name not in self.missing else None

    @property
    def ratio(self) -> float | None:
        """Ours : that of the best peer."""
        ours = self.median(OURS)
        peers = [
            median
            for name in self.figures
            if name not in (OURS, FLOOR) and (median := self.median(name)) is not None
        ]
        best = (max if self.more_is_better else min)(peers, default=None)
        return ours / best if ours is not None and best else None

    @property
    def is_met(self) -> bool | None:
        """Whether all that was promised of `times` is kept; None if nothing was, or a peer's
        figure is not there to judge by."""
        verdicts = [self._is_kept(name, least) for name, least in self.times.items()]
        if False in verdicts:
            return False
        return None if not verdicts or None in verdicts else True

    def _is_kept(self, peer: str, least: float) -> bool | None:
        ours, theirs = self.median(OURS), self.median(peer)
        return None if ours is None or theirs is None else ours >= least * theirs


class Report:
    """Lines in the order in which they were first asked for, those of one measure together."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, int | None], Line] = {}
        self.notes: dict[str, str] = {}

    def line(self, what: str, unit: str, steps: int | None = None, **about: Any) -> Line:
        key = (what, steps)
        if key not in self.lines:
            self.lines[key] = Line(what=what, unit=unit, steps=steps, **about)
        return self.lines[key]

    def in_order(self) -> list[Line]:
        first: dict[str, int] = {}
        for line in self.lines.values():
            first.setdefault(line.group or line.what, len(first))
        return sorted(
            self.lines.values(), key=lambda line: (first[line.group or line.what], line.steps or 0)
        )


def table(lines: Sequence[Line], titles: dict[str, str]) -> str:
    """`titles` are the programs' columns, by their names, ours first."""
    head = ("what", *titles.values(), "floor", "ours : best peer", "target", "met")
    return aligned([head, *(_row(line, titles) for line in lines)])


def _row(line: Line, titles: dict[str, str]) -> Sequence[str]:
    sized = "" if line.steps is None else f", {line.steps:,} steps"
    floor = "" if FLOOR not in line.figures else f"{_cell(line, FLOOR)} ({line.floor_is})"
    ratio = "" if line.ratio is None else f"{number_text(line.ratio)} x"
    cells = (_cell(line, name) for name in titles)
    target = ", ".join(f"≥ {least:g} x {name}" for name, least in line.times.items())
    return (f"{line.what}{sized}", *cells, floor, ratio, target, verdict(line.is_met))


def _cell(line: Line, name: str) -> str:
    if name in line.missing:
        return line.missing[name]
    median = line.median(name)
    return "-" if median is None else f"{number_text(median)} {line.unit}".rstrip()
