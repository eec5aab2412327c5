"""The reading view of a share link, made of what its source gives and of nothing else."""

from collections.abc import Iterator, Sequence
from typing import Any

from dashboard import shared_pages
from dashboard.disclosure import lines
from dashboard.disclosure.rules import Part
from dashboard.disclosure.shown import StepShown
from dashboard.disclosure.sources import Source
from dashboard.door import Door
from dashboard.passages import (
    BEGINNING,
    MOST_WORDS,
    TAIL,
    UNITS,
    Asked,
    Pages,
    Passage,
    days,
    folded,
    spoken,
)
from dashboard.rendering import words
from dashboard.rendering.wording import caption
from dashboard.rendering.words import Budget, Words


def page(source: Source, door: Door, asked: Asked) -> dict[str, Any]:
    """Context of `shared/_reading.html`, beside that of `shared_pages.frame`."""
    run = source.run()
    end = run.step_count or 0
    pages = Pages.around(asked.at, end, asked.window, run.is_active)
    found = source.steps(pages.first - 1, pages.last - pages.first + 1)
    steps = [step for step in found if step.position <= pages.last]
    limit = asked.folded
    if limit is None and run.is_active:
        limit = max(end - TAIL, 0) // TAIL * TAIL
    blocks = folded(_passages(source, door, steps), limit)
    context = {
        "blocks": blocks,
        "pages": pages,
        "is_print": asked.is_print,
        "has_days": len(days(blocks)) > 1,
        "read_at": pages.first,
        "folded": limit,
    }
    if pages.later is None:
        context |= shared_pages.result(source, door) | {"is_last": True}
    return context


def _passages(source: Source, door: Door, steps: Sequence[StepShown]) -> Iterator[Passage]:
    budget, left = Budget(UNITS), MOST_WORDS
    for step in steps:
        line = lines.line(step, source.shows)
        content = step.content or ""
        text = content[: words.LONGEST if left > 0 else BEGINNING]
        left -= len(text)
        is_silent = line.kind == "thinking" and Part.THINKING not in source.shows
        yield Passage(
            position=line.position,
            kind="other" if is_silent else line.kind,
            caption=caption("Thinking, which is not shared") if is_silent else line.caption,
            words=_words(text, line.kind, budget, links_of(door, line.position)),
            size=len(content.encode("utf-8", "replace")),
            is_cut=len(text) < len(content),
            # In a copy no time goes on.
            state="" if source.frozen_at and line.state == "running" else line.state,
            at=line.at,
            duration_ms=line.duration_ms,
            gap=None,
            told_in=None,
            cost=None,
            marks=(lines.UNTOLD,) if line.state == "open" else (),
            address=f"{door.base}steps/{line.position}/" if line.opens else "",
        )


def links_of(door: Door, position: int) -> str:
    return "" if door.is_preview else f"{door.base}steps/{position}/links/"


def _words(text: str, kind: str, budget: Budget, links: str) -> Words | None:
    return spoken(text, kind, budget, links) if text else None
