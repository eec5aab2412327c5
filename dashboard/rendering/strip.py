"""The run in time: one bar a step on three lanes, or, for a long run, one column a stretch.

A long run is drawn by its tally (`sketch`), whatever its length. Only arithmetic: units are those
of an SVG `WIDTH` wide, stretched to the page. Times are those that the API gave; a step starts at
its timestamp and lasts its reported duration.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from runs.tally import EPOCH, FAIL, FIRST, LAST, MILLISECOND, OUT, THINK, TOOL, Cell, Cells, Tally

WIDTH = 1_000
HEIGHT = 48
BARS_AT_MOST = 250
COLUMNS = 100
THINNEST = 2.2
SLACK = 2.0  # seconds by which a step may lie outside of the run's own times unremarked
LANES = {"think": 4, "tool": 18, "out": 32}
LANE_HEIGHT = 12
ROWS_AT_MOST = 3


class Timed(Protocol):
    """What the picture needs to know of a step."""

    @property
    def position(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def timestamp(self) -> dt.datetime | None: ...
    @property
    def duration_ms(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One linked place. `first` and `last` are positions; a bar of one step has both the same."""

    first: int
    last: int
    x: str
    width: str
    lane: str = ""
    y: str = "0"
    height: str = str(LANE_HEIGHT)
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    tools: int = 0  # steps of tools: calls, and results that are told by steps of their own
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Strip:
    """`paths` maps a lane to the outline of all its columns (long runs only)."""

    bars: list[Bar] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    now_x: str = ""
    is_to_scale: bool = True
    untimed: int = 0
    outside: int = 0

    @property
    def is_bucketed(self) -> bool:
        return bool(self.paths)

    @property
    def lanes(self) -> set[str]:
        return {*self.paths, *(bar.lane for bar in self.bars)}


def draw(
    steps: Sequence[Timed],
    span: tuple[dt.datetime | None, dt.datetime | None],
    now: dt.datetime | None = None,
    failed: Collection[int] = (),
    unended: Collection[int] = (),
) -> Strip:
    """The picture of `steps`. `span` is when the run started and ended, as far as known; `now`
    is given while it goes on, and draws its line; `failed` and `unended` are positions."""
    timed = [step for step in steps if step.timestamp is not None]
    if not timed:
        return _in_order(steps, failed)
    axis = _Axis.around(timed, *span, now)
    places = axis.places(timed)
    slack = SLACK / axis.length
    facts: dict[str, Any] = {
        "start": axis.start,
        "end": axis.end,
        "now_x": _number(axis.x(now)) if now else "",
        "untimed": len(steps) - len(timed),
        "outside": sum(not -slack <= place <= 1 + slack for place in places),
    }
    bars = [_bar(step, axis, now, failed, unended) for step in timed]
    return Strip(_side_by_side(bars), **facts)


def _bar(
    step: Timed,
    axis: "_Axis",
    now: dt.datetime | None,
    failed: Collection[int],
    unended: Collection[int],
) -> Bar:
    """A call at work reaches to now; one whose outcome was never told fades out to the end."""
    if step.position in unended:
        return axis.bar(step, "tool" if now else "open", axis.end)
    return axis.bar(step, lane_of(step, failed), None)


def lane_of(step: Timed, failed: Collection[int]) -> str:
    if step.type == "thinking":
        return "think"
    if step.type == "output":
        return "out"
    return "fail" if step.position in failed else "tool"


@dataclass(frozen=True, slots=True)
class _Axis:
    start: dt.datetime
    end: dt.datetime

    @classmethod
    def around(
        cls,
        timed: Sequence[Timed],
        started: dt.datetime | None,
        ended: dt.datetime | None,
        now: dt.datetime | None,
    ) -> "_Axis":
        """The run's own times where it has them: a step far outside must not squeeze the rest."""
        moments = [step.timestamp for step in timed if step.timestamp]
        start = started or min(moments)
        end = ended or now or max(_end_of(step) for step in timed)
        if end <= start:
            start, end = min(start, *moments), max(end, *moments)
        return cls(start, max(end, start + dt.timedelta(seconds=1)))

    @property
    def length(self) -> float:
        """Seconds."""
        return (self.end - self.start).total_seconds()

    def places(self, timed: Sequence[Timed]) -> list[float]:
        """Where each step begins, as a share of the axis; below 0 or above 1 it lies outside."""
        start, length = self.start, self.length
        return [(step.timestamp - start).total_seconds() / length for step in timed]  # type: ignore[operator]

    def x(self, moment: dt.datetime | None) -> float:
        if moment is None:
            return 0.0
        share = (moment - self.start).total_seconds() / self.length
        return min(max(share, 0.0), 1.0) * WIDTH

    def bar(self, step: Timed, lane: str, open_until: dt.datetime | None) -> Bar:
        start = self.x(step.timestamp)
        end = self.x(open_until or _end_of(step))
        width = max(end - start - 0.8, THINNEST)  # a hair of paper between neighbours
        start = min(start, WIDTH - width)
        y = str(LANES.get(lane, LANES["tool"]))
        return Bar(step.position, step.position, _number(start), _number(width), lane, y)

    def at(self, *widths: str) -> dt.datetime:
        """The moment that lies so far from the left."""
        return self.start + (self.end - self.start) * (sum(map(float, widths)) / WIDTH)


def _end_of(step: Timed) -> dt.datetime:
    moment = step.timestamp or dt.datetime.min.replace(tzinfo=dt.UTC)
    try:
        return moment + dt.timedelta(milliseconds=max(step.duration_ms or 0, 0))
    except OverflowError:
        return moment


def _side_by_side(bars: list[Bar]) -> list[Bar]:
    """Calls that ran at the same time share the height of their lane, ROWS_AT_MOST of them."""
    placed: list[Bar] = []
    for group in _overlapping(bars):
        ends: list[float] = []
        rows = [_free_row(ends, float(bar.x), float(bar.x) + float(bar.width)) for bar in group]
        height = LANE_HEIGHT / len(ends)
        placed += [
            replace(
                bar,
                y=_number(int(bar.y) + row * height),
                height=_number(height - (0.8 if len(ends) > 1 else 0)),
            )
            for bar, row in zip(group, rows, strict=True)
        ]
    return placed


def _overlapping(bars: list[Bar]) -> list[list[Bar]]:
    """Bars in groups: those on one lane that touch each other, in order."""
    groups: list[list[Bar]] = []
    reach: dict[str, tuple[float, list[Bar]]] = {}
    for bar in sorted(bars, key=lambda bar: float(bar.x)):
        end, group = reach.get(bar.y, (-1.0, []))
        # Two short ones in a row are drawn wider than they are and may touch by that alone.
        if float(bar.x) + THINNEST >= end:
            group = []
            groups.append(group)
        group.append(bar)
        reach[bar.y] = max(end, float(bar.x) + float(bar.width)), group
    return groups


def _free_row(ends: list[float], start: float, end: float) -> int:
    """The first row that is free at `start`, taken until `end`; the last one if none is."""
    row = next((n for n, taken in enumerate(ends) if taken <= start), len(ends))
    row = min(row, ROWS_AT_MOST - 1)
    if row == len(ends):
        ends.append(end)
    ends[row] = max(ends[row], end)
    return row


def _box(lane: str, x: float, width: float, share: float) -> str:
    """A rectangle standing on its lane's ground. A failure keeps a height that can be seen."""
    height = LANE_HEIGHT * max(share, 0.5 if lane == "fail" else 0.2)
    bottom = LANES.get(lane, LANES["tool"]) + LANE_HEIGHT
    return f"M{_number(x)} {bottom}v-{_number(height)}h{_number(width)}v{_number(height)}z"


# Long runs, of which only sums are known ------------------------------------------------------

_LANES = {"tool": TOOL, "think": THINK, "out": OUT, "fail": FAIL}


def sketch(
    tally: Tally,
    span: tuple[dt.datetime | None, dt.datetime | None],
    now: dt.datetime | None = None,
) -> Strip:
    """The picture of a run by its tally: columns are some whole cells wide."""
    if tally.first_at is None or tally.last_at is None or tally.last_end_at is None:
        return _sketch_in_order(tally)
    start = span[0] or tally.first_at
    end = span[1] or now or tally.last_end_at
    if end <= start:
        start, end = min(start, tally.first_at), max(end, tally.last_at)
    axis = _Axis(start, max(end, start + dt.timedelta(seconds=1)))
    origin = (axis.start - EPOCH) // MILLISECOND
    groups = _grouped(tally.timed, origin, max(int(axis.length * 1000), 1))
    bars, paths = _drawn(groups, WIDTH / max(int(axis.length * 1000), 1), origin)
    return Strip(
        [replace(bar, start=axis.at(bar.x), end=axis.at(bar.x, bar.width)) for bar in bars],
        paths,
        start=axis.start,
        end=axis.end,
        now_x=_number(axis.x(now)) if now else "",
        untimed=tally.timeless,
        outside=_outside(tally.timed, axis),
    )


def _sketch_in_order(tally: Tally) -> Strip:
    groups = _grouped(tally.untimed, 1, max(tally.total, 1))
    bars, paths = _drawn(groups, WIDTH / max(tally.total, 1), 1)
    return Strip(bars, paths, is_to_scale=False, untimed=tally.timeless)


@dataclass(frozen=True, slots=True)
class _Group:
    """Cells drawn as one column, from `start` to `end` on their line of whole numbers."""

    start: int
    end: int
    cell: Cell


def _grouped(cells: Cells, origin: int, length: int) -> list[_Group]:
    """Cells in columns of one width, COLUMNS at most; what lies outside is in the outermost."""
    many = -(-length // ((COLUMNS - 2) << cells.shift))
    width = many << cells.shift
    lowest, highest = origin // width, (origin + length - 1) // width
    found: dict[int, Cell] = {}
    for key, cell in cells.cells.items():
        column = min(max(key // many, lowest), highest)
        into = found.setdefault(column, [cell[FIRST], cell[LAST], 0, 0, 0, 0])
        into[FIRST], into[LAST] = min(into[FIRST], cell[FIRST]), max(into[LAST], cell[LAST])
        for lane in _LANES.values():
            into[lane] += cell[lane]
    stop = origin + length
    return [
        _Group(max(column * width, origin), min((column + 1) * width, stop), cell)
        for column, cell in sorted(found.items())
    ]


def _drawn(groups: list[_Group], scale: float, origin: int) -> tuple[list[Bar], dict[str, str]]:
    busiest = max((max(group.cell[THINK:]) for group in groups), default=1)
    paths: dict[str, list[str]] = {lane: [] for lane in _LANES}
    bars = []
    for group in groups:
        width = max((group.end - group.start) * scale, 0.8)
        x = min((group.start - origin) * scale, WIDTH - width)
        for lane, place in _LANES.items():
            if count := group.cell[place]:
                # The root keeps a quiet stretch visible beside a busy one.
                share = (count / busiest) ** 0.5
                paths[lane].append(_box(lane, x, max(width - 0.8, 0.8), share))
        bars.append(
            Bar(
                group.cell[FIRST],
                group.cell[LAST],
                _number(x),
                _number(width),
                tools=group.cell[TOOL] + group.cell[FAIL],
                failed=group.cell[FAIL],
            )
        )
    return bars, {lane: "".join(parts) for lane, parts in paths.items() if parts}


def _outside(cells: Cells, axis: _Axis) -> int:
    """Steps in cells that lie wholly outside of the axis; a cell on its border counts as inside."""
    slack = dt.timedelta(seconds=SLACK)
    first = ((axis.start - slack - EPOCH) // MILLISECOND) >> cells.shift
    last = ((axis.end + slack - EPOCH) // MILLISECOND) >> cells.shift
    return sum(sum(cell[THINK:]) for key, cell in cells.cells.items() if not first <= key <= last)


def _in_order(steps: Sequence[Timed], failed: Collection[int]) -> Strip:
    """No times at all: steps one after the other, not to scale, and said so."""
    if not steps:
        return Strip(is_to_scale=False)
    per_bar = -(-len(steps) // BARS_AT_MOST)
    groups = [steps[at : at + per_bar] for at in range(0, len(steps), per_bar)]
    width = WIDTH / len(groups)
    bars = []
    for index, group in enumerate(groups):
        lane = lane_of(next((step for step in group if step.position in failed), group[0]), failed)
        bars.append(
            Bar(
                group[0].position,
                group[-1].position,
                _number(index * width),
                _number(max(width - 0.8, 0.8)),
                lane,
                str(LANES.get(lane, LANES["tool"])),
                tools=sum(lane_of(step, failed) in ("tool", "fail") for step in group),
                failed=sum(step.position in failed for step in group),
            )
        )
    return Strip(bars, is_to_scale=False, untimed=len(steps))


def _number(value: float) -> str:
    """For an SVG attribute: one decimal, whatever the locale."""
    return f"{value:.1f}".removesuffix(".0")
