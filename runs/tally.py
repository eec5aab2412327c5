"""What a run's steps add up to: counts of each kind, and where in time they lie. Pure.

A tally follows its steps one by one and stays small, whatever their number: kinds are counted,
and places in time are kept as coarsely as MOST_CELLS of them allow.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import batched
from operator import attrgetter
from typing import NamedTuple

import msgspec

from runs.pairing import CALL, RESULT

MOST_CELLS = 400
MOST_KINDS = 500
BATCH = 1_000
OTHERS = "\0"  # counts as the tool of all kinds beyond MOST_KINDS; no stored name holds NUL
USES = (CALL, RESULT)  # of a tool; only these can fail
SPOKEN = ("output", "thinking")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
FINEST = 8  # cells of time are 2**8 ms long at first


class Fact(NamedTuple):
    """A step without its texts. `failed` and `partner` as in `Step`."""

    pk: int
    position: int
    type: str
    tool_name: str | None
    timestamp: dt.datetime | None
    duration_ms: int | None
    unanswered: bool
    failed: bool
    partner: int | None

    @property
    def tool_output(self) -> str | None:
        """As much of it as pairing wants to know."""
        return None if self.unanswered else ""

    @property
    def end(self) -> dt.datetime | None:
        return ended(self.timestamp, self.duration_ms)

    @property
    def is_open(self) -> bool:
        """Whether it is a call that nothing has answered."""
        return self.unanswered and self.partner is None

    @property
    def lane(self) -> int:
        """Index of its count in a cell."""
        if self.type in SPOKEN:
            return OUT if self.type == "output" else THINK
        return FAIL if self.failed else TOOL


def ended(start: dt.datetime | None, duration_ms: int | None) -> dt.datetime | None:
    """When a step ended, as far as its own time and duration tell."""
    if start is None or not duration_ms or duration_ms < 0:
        return start
    try:
        return start + dt.timedelta(milliseconds=duration_ms)
    except OverflowError:
        return start


# A cell: the first and the last position in it, and how many steps it holds on each lane.
FIRST, LAST, THINK, TOOL, OUT, FAIL = range(6)
type Cell = list[int]


class Cells(msgspec.Struct):
    """Steps by place on a line of whole numbers, in cells 2**`shift` long."""

    shift: int = 0
    cells: dict[int, Cell] = {}

    def add(self, place: int, fact: Fact) -> None:
        key = place >> self.shift
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = [fact.position, fact.position, 0, 0, 0, 0]
        elif fact.position > cell[LAST]:
            cell[LAST] = fact.position
        elif fact.position < cell[FIRST]:
            cell[FIRST] = fact.position
        cell[fact.lane] += 1
        while len(self.cells) > MOST_CELLS:
            self._coarsen()

    def move(self, place: int, old: Fact, new: Fact) -> None:
        """A step that stays where it is changed its lane."""
        cell = self.cells[place >> self.shift]
        cell[old.lane] -= 1
        cell[new.lane] += 1

    def _coarsen(self) -> None:
        coarse: dict[int, Cell] = {}
        for key, cell in self.cells.items():
            into = coarse.get(key >> 1)
            if into is None:
                coarse[key >> 1] = cell
                continue
            into[FIRST] = min(into[FIRST], cell[FIRST])
            into[LAST] = max(into[LAST], cell[LAST])
            for lane in (THINK, TOOL, OUT, FAIL):
                into[lane] += cell[lane]
        self.shift += 1
        self.cells = coarse


_told_of_kind = attrgetter("type", "tool_name", "failed")


class Kind(NamedTuple):
    """What filters tell apart."""

    type: str
    tool: str | None
    failed: bool


class Tally(msgspec.Struct):
    """`spoken_at`: position of the last step that is no use of a tool; 0 if there is none.
    `open_calls`: calls without an answer; None in one that was kept before they were counted.

    `first_at` and `last_at` are their earliest and latest time, `last_end_at` the latest end.
    `untimed` places steps without a time by their position.
    """

    kinds: dict[Kind, int] = {}
    gone: int = 0
    open_calls: int | None = None
    spoken_at: int = 0
    first_at: dt.datetime | None = None
    last_at: dt.datetime | None = None
    last_end_at: dt.datetime | None = None
    timed: Cells = msgspec.field(default_factory=lambda: Cells(FINEST))
    untimed: Cells = msgspec.field(default_factory=Cells)

    @property
    def total(self) -> int:
        """Steps that are still reported."""
        return sum(self.kinds.values())

    @property
    def types(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for kind, count in self.kinds.items():
            found[kind.type] += count
        return found

    @property
    def tools(self) -> Counter[str]:
        """Calls of each tool; "" for those without a name."""
        found: Counter[str] = Counter()
        for kind, count in self.kinds.items():
            if kind.type == CALL:
                found[kind.tool or ""] += count
        return found

    @property
    def failed(self) -> int:
        return sum(count for kind, count in self.kinds.items() if kind.failed)

    @property
    def failed_calls(self) -> int:
        """Without the steps of their own in which some failures are told."""
        return sum(count for kind, count in self.kinds.items() if kind.failed and kind.type == CALL)

    @property
    def timeless(self) -> int:
        """Steps without a time."""
        return sum(sum(cell[THINK:]) for cell in self.untimed.cells.values())

    def add(self, facts: Iterable[Fact]) -> None:
        for some in batched(facts, BATCH):
            for told, count in Counter(map(_told_of_kind, some)).items():
                self._count(Kind._make(told), count)
            spoken = (fact.position for fact in some if fact.type not in USES)
            self.spoken_at = max(self.spoken_at, *spoken, 0)
            for fact in some:
                self._cells(fact).add(_place(fact), fact)
            self._stretch(some)
            self._open(sum(fact.is_open for fact in some))

    def turn(self, old: Fact, new: Fact) -> bool:
        """Take `new` for `old`. False: the tally cannot tell what follows, and is as it was."""
        same = (old.position, old.type, old.timestamp) == (new.position, new.type, new.timestamp)
        kind = self._counted_as(_kind_of(old))
        is_shorter = (old.duration_ms or 0) > (new.duration_ms or 0)
        if not same or is_shorter or kind not in self.kinds:
            return False
        self.kinds[kind] -= 1
        if not self.kinds[kind]:
            del self.kinds[kind]
        self._count(_kind_of(new))
        self._cells(new).move(_place(new), old, new)
        self._stretch((new,))
        self._open(new.is_open - old.is_open)
        return True

    def _counted_as(self, kind: Kind) -> Kind:
        if kind in self.kinds or len(self.kinds) < MOST_KINDS:
            return kind
        known = kind.type if kind.type in (*USES, *SPOKEN) else OTHERS
        return Kind(known, OTHERS, kind.failed)

    def _count(self, kind: Kind, times: int = 1) -> None:
        kind = self._counted_as(kind)
        self.kinds[kind] = self.kinds.get(kind, 0) + times

    def _open(self, more: int) -> None:
        if self.open_calls is not None:
            self.open_calls += more

    def _cells(self, fact: Fact) -> Cells:
        return self.untimed if fact.timestamp is None else self.timed

    def _stretch(self, facts: Sequence[Fact]) -> None:
        starts = [start for fact in facts if (start := fact.timestamp)]
        ends = [end for fact in facts if (end := fact.end)]
        if not starts:
            return
        self.first_at = min(starts if self.first_at is None else [*starts, self.first_at])
        self.last_at = max(starts if self.last_at is None else [*starts, self.last_at])
        self.last_end_at = max(ends if self.last_end_at is None else [*ends, self.last_end_at])


def _kind_of(fact: Fact) -> Kind:
    return Kind._make(_told_of_kind(fact))


def milliseconds(moment: dt.datetime) -> int:
    """Since the epoch, rounded down."""
    return (moment - EPOCH) // MILLISECOND


def _place(fact: Fact) -> int:
    return fact.position if fact.timestamp is None else milliseconds(fact.timestamp)
