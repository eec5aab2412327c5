"""A run's steps as passages of a document: captions and words in order, similar calls as one.

What makes passages knows neither a run nor who reads: the pages of a run (`dashboard.reading`)
and those of a share link (`dashboard.shared_reading`) hand in what they may show.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlencode

from django.http import QueryDict

from dashboard.rendering import words
from dashboard.rendering.addresses import Address
from dashboard.rendering.text import visible
from dashboard.rendering.wording import Act, Caption, caption
from dashboard.rendering.words import Budget, Words

WINDOW, PRINTED = 150, 1_000  # steps of a page, and of a page to be printed
MOST_WORDS = 400_000  # characters of a page's words; what is beyond is shown by its beginning
BEGINNING = 1_000
UNITS = 12_000  # of a page's Markdown, see `words.Budget`
TAIL = 30  # the newest steps of an active run, whose neighbours may still come, are not folded
ALIKE = 3  # so many similar calls one after the other are folded into one line


class Asked(NamedTuple):
    """What an address asks of the reading view. `at`: a position on the page that is wanted."""

    at: int | None = None
    is_print: bool = False
    folded: int | None = None

    @classmethod
    def from_query(cls, query: QueryDict) -> "Asked":
        return cls(
            _position(query.get("at")), query.get("print") == "1", _position(query.get("folded"))
        )

    @property
    def query(self) -> str:
        """Of an address that asks the same of a stream."""
        told = {"at": self.at, "folded": self.folded}
        return urlencode({name: value for name, value in told.items() if value is not None})

    @property
    def window(self) -> int:
        return PRINTED if self.is_print else WINDOW


@dataclass(frozen=True, slots=True)
class Matched:
    """Entries that are a call's, and what they cost together in micro-dollars."""

    micros: int
    entries: tuple[int, ...]  # positions
    by: str  # "id" or "time"

    @property
    def first(self) -> int:
        return self.entries[0]


class Pages(NamedTuple):
    """Which steps stand on this page; `earlier` and `later` are positions on its neighbours."""

    first: int
    last: int
    end: int  # the last step of the run
    earlier: int | None
    later: int | None

    @classmethod
    def around(cls, at: int | None, end: int, window: int, is_active: bool) -> "Pages":
        """The page that holds position `at`; without one the first, of an active run the last."""
        if at is None:
            at = end if is_active else 1
        number = (max(min(at, end), 1) - 1) // window
        first = number * window + 1
        last = first + window - 1
        return cls(
            first,
            min(last, end),
            end,
            max(first - window, 1) if number else None,
            last + 1 if last < end else None,
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """One step. `kind`: output, thinking, tool, result or other.

    `state` is that of a tool call, as in `step_lines.Line`. `told_in`: the later step that tells
    its output. `address`: its own page with input and output, "" where there is none to see.
    """

    position: int
    kind: str
    caption: Caption | None
    words: Words | None
    size: int
    is_cut: bool
    state: str
    at: dt.datetime | None
    duration_ms: int | None
    gap: dt.timedelta | None
    told_in: int | None
    cost: Matched | None
    marks: tuple[str, ...]
    address: str

    @property
    def dom_id(self) -> str:
        return f"s{self.position}"

    @property
    def act(self) -> Act | None:
        """What it has in common with others; a call that failed or goes on stands by itself."""
        is_quiet = self.kind == "tool" and self.state == "done" and not self.marks
        return self.caption.act if self.caption and is_quiet else None


@dataclass(frozen=True, slots=True)
class Fold:
    """Similar calls one after the other, told as one line. `notes` of the model stand between."""

    title: Caption
    passages: Sequence[Passage]
    notes: int
    duration_ms: int | None
    cost_micros: int | None

    @property
    def position(self) -> int:
        return self.passages[0].position

    @property
    def last(self) -> int:
        return self.passages[-1].position

    @property
    def at(self) -> dt.datetime | None:
        return self.passages[0].at


type Block = Passage | Fold


def folded(passages: Iterable[Passage], up_to: int | None = None) -> list[Block]:
    """Similar calls made one; what is behind position `up_to` stays as it is."""
    blocks: list[Block] = []
    waiting: list[Passage] = []  # calls of one act, with the notes between them

    def settle() -> None:
        notes = []
        while waiting and waiting[-1].kind == "thinking":
            notes.append(waiting.pop())
        calls = [passage for passage in waiting if passage.act]
        blocks.extend([_fold(waiting)] if len(calls) >= ALIKE else waiting)
        blocks.extend(reversed(notes))
        waiting.clear()

    for passage in passages:
        can_fold = up_to is None or passage.position <= up_to
        act = passage.act if can_fold else None
        if act and waiting and waiting[0].act != act:
            settle()
        if act or (waiting and can_fold and passage.kind == "thinking"):
            waiting.append(passage)
            continue
        settle()
        blocks.append(passage)
    settle()
    return blocks


def _fold(passages: Sequence[Passage]) -> Fold:
    passages = list(passages)
    calls = [passage for passage in passages if passage.act]
    act = calls[0].act
    assert act is not None
    spans = [call.duration_ms for call in calls if call.duration_ms is not None]
    costs = [call.cost.micros for call in calls if call.cost]
    return Fold(
        title=caption(*act.counted(len(calls))),
        passages=passages,
        notes=len(passages) - len(calls),
        duration_ms=sum(spans) if len(spans) == len(calls) else None,
        cost_micros=sum(costs) if len(costs) == len(calls) else None,
    )


def days(blocks: Iterable[Block]) -> set[dt.date]:
    """The days on which anything happened; more than one and times need their day beside them."""
    return {day for day, _ in groupby(block.at.date() for block in blocks if block.at)}


def spoken(text: str, kind: str, budget: Budget, links: str = "") -> Words:
    """The model's own notes are shown as they are; what it said to people, as prose."""
    return words.said(text, budget, links) if kind == "output" else Words(visible(text), False)


def leads(text: str, mark: str) -> Address | None:
    """Where a link of what a step said goes, if the document has such a link."""
    return words.leads((text[: words.LONGEST], text[:BEGINNING]), mark)


def _position(value: str | None) -> int | None:
    if value and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None
