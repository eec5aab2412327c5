"""A run's steps as passages of a document: captions and words in order, similar calls as one.

What makes passages knows neither a run nor who reads: the pages of a run (`dashboard.reading`)
and those of a share link (`dashboard.shared_reading`) hand in what they may show.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from dashboard.matching import Matched
from dashboard.rendering.wording import Act, Caption, caption
from dashboard.rendering.words import Words

ALIKE = 3  # so many similar calls one after the other are folded into one line


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
