"""The run in time: one bar a step on three lanes, or, for a long run, one column a stretch.

Only arithmetic: units are those of an SVG `WIDTH` wide, stretched to the page. Times are those
that the API gave; a step starts at its timestamp and lasts its reported duration.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

WIDTH = 1_000
HEIGHT = 48
BARS_AT_MOST = 250
COLUMNS = 120
THINNEST = 2.2
LANES = {"think": 4, "tool": 18, "out": 32}
LANE_HEIGHT = 12


class Timed(Protocol):
    """What the picture needs to know of a step."""

    position: int
    type: str
    timestamp: dt.datetime | None
    duration_ms: int | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """One linked place. `first` and `last` are positions; a bar of one step has both the same."""

    first: int
    last: int
    x: str
    width: str
    lane: str = ""
    y: int = 0
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    calls: int = 0
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


def draw(
    steps: Sequence[Timed],
    started: dt.datetime | None,
    ended: dt.datetime | None,
    now: dt.datetime | None,
) -> Strip:
    """The picture of `steps`. `now` is given while the run goes on and draws its line."""
    timed = [step for step in steps if step.timestamp is not None]
    if not timed:
        return _in_order(steps)
    axis = _Axis.around(timed, started, ended, now)
    facts = {
        "start": axis.start,
        "end": axis.end,
        "now_x": _number(axis.x(now)) if now else "",
        "untimed": len(steps) - len(timed),
        "outside": sum(not axis.holds(step) for step in timed),
    }
    if len(timed) <= BARS_AT_MOST:
        return Strip([axis.bar(step, now) for step in timed], **facts)
    bars, paths = _columns([(step, axis.x(step.timestamp)) for step in timed], axis)
    return Strip(bars, paths, **facts)


def lane_of(step: Timed) -> str:
    if step.type == "thinking":
        return "think"
    if step.type == "output":
        return "out"
    return "fail" if step.failed else "tool"


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
        """The run's own times where it has them; a step far outside must not squeeze the rest."""
        moments = [step.timestamp for step in timed if step.timestamp]
        start = started or min(moments)
        end = ended or now or max(_end_of(step) for step in timed)
        if end <= start:
            start, end = min(start, *moments), max(end, *moments)
        return cls(start, max(end, start + dt.timedelta(seconds=1)))

    def x(self, moment: dt.datetime | None) -> float:
        if moment is None:
            return 0.0
        share = (moment - self.start) / (self.end - self.start)
        return min(max(share, 0.0), 1.0) * WIDTH

    def holds(self, step: Timed) -> bool:
        slack = dt.timedelta(seconds=2)
        moment = step.timestamp
        return moment is None or self.start - slack <= moment <= self.end + slack

    def bar(self, step: Timed, now: dt.datetime | None) -> Bar:
        start = self.x(step.timestamp)
        is_open = now is not None and getattr(step, "is_running", False)
        end = self.x(now) if is_open else self.x(_end_of(step))
        width = max(end - start - 0.8, THINNEST)  # a hair of paper between neighbours
        start = min(start, WIDTH - width)
        lane = lane_of(step)
        return Bar(
            step.position,
            step.position,
            _number(start),
            _number(width),
            lane,
            LANES.get(lane, LANES["tool"]),
        )

    def moment(self, column: int) -> dt.datetime:
        return self.start + (self.end - self.start) * column / COLUMNS


def _end_of(step: Timed) -> dt.datetime:
    moment = step.timestamp or dt.datetime.min.replace(tzinfo=dt.UTC)
    try:
        return moment + dt.timedelta(milliseconds=max(step.duration_ms or 0, 0))
    except OverflowError:
        return moment


def _columns(
    placed: Sequence[tuple[Timed, float]], axis: _Axis
) -> tuple[list[Bar], dict[str, str]]:
    """Steps counted into COLUMNS stretches of time; a column is as high as it is busy."""
    counts: dict[int, dict[str, int]] = {}
    spans: dict[int, tuple[int, int]] = {}
    for step, x in placed:
        column = min(int(x * COLUMNS / WIDTH), COLUMNS - 1)
        lanes = counts.setdefault(column, {})
        lane = lane_of(step)
        lanes[lane] = lanes.get(lane, 0) + 1
        low, high = spans.get(column, (step.position, step.position))
        spans[column] = min(low, step.position), max(high, step.position)
    busiest = max(max(lanes.values()) for lanes in counts.values())
    width = WIDTH / COLUMNS
    paths: dict[str, list[str]] = {}
    bars = []
    for column, lanes in sorted(counts.items()):
        x = column * width
        for lane, count in lanes.items():
            paths.setdefault(lane, []).append(_box(lane, x, width - 0.8, count / busiest))
        bars.append(
            Bar(
                *spans[column],
                _number(x),
                _number(width),
                start=axis.moment(column),
                end=axis.moment(column + 1),
                calls=lanes.get("tool", 0) + lanes.get("fail", 0),
                failed=lanes.get("fail", 0),
            )
        )
    return bars, {lane: "".join(parts) for lane, parts in sorted(paths.items(), reverse=True)}


def _box(lane: str, x: float, width: float, share: float) -> str:
    """A rectangle standing on its lane's ground. A failure keeps a height that can be seen."""
    height = LANE_HEIGHT * max(share, 0.5 if lane == "fail" else 0.2)
    bottom = LANES.get(lane, LANES["tool"]) + LANE_HEIGHT
    return f"M{_number(x)} {bottom}v-{_number(height)}h{_number(width)}v{_number(height)}z"


def _in_order(steps: Sequence[Timed]) -> Strip:
    """No times at all: steps one after the other, not to scale, and said so."""
    if not steps:
        return Strip(is_to_scale=False)
    per_bar = -(-len(steps) // BARS_AT_MOST)
    groups = [steps[at : at + per_bar] for at in range(0, len(steps), per_bar)]
    width = WIDTH / len(groups)
    bars = []
    for index, group in enumerate(groups):
        lane = lane_of(next((step for step in group if step.failed), group[0]))
        bars.append(
            Bar(
                group[0].position,
                group[-1].position,
                _number(index * width),
                _number(max(width - 0.8, 0.8)),
                lane,
                LANES.get(lane, LANES["tool"]),
                calls=sum(step.type == "tool_call" for step in group),
                failed=sum(step.failed for step in group),
            )
        )
    return Strip(bars, is_to_scale=False, untimed=len(steps))


def _number(value: float) -> str:
    """For an SVG attribute: one decimal, whatever the locale."""
    return f"{value:.1f}".removesuffix(".0")
