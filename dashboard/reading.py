"""The reading view: a run as a document. What was asked, what the agent did, what came of it.

A document comes in pages of WINDOW steps by their positions, so that page n of a run is the same
for everybody and costs the same whatever the run's length. For printing pages are longer, and
everything on them is unfolded.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.db.models.functions import Left

from dashboard import matching, run_page
from dashboard import outline as outlines
from dashboard.audience import Audience
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
from dashboard.rendering.words import LONGEST, Budget, Words
from dashboard.step_lines import Line, lines
from runs.models import Run, Step

END = 2**31 - 2  # behind the last step of every run
MADE_LOOKED_FOR = 20  # objects whose maker is looked for
MADE_AMONG = 2_000  # the last steps, among which it is looked for
MADE_READ = 2_000  # characters of each


def page(run: Run, audience: Audience, now: dt.datetime, asked: Asked) -> dict[str, Any]:
    """Context of `runs/_reading.html`."""
    tally = outlines.of(run)
    end = tally.total
    pages = Pages.around(asked.at, end, asked.window, run.is_active)
    steps = outlines.at(run, range(pages.first, pages.last + 1))
    shown = list(passages(run, audience, lines(run, steps), pages))
    limit = asked.folded
    if limit is None and run.is_active:
        limit = max(end - TAIL, 0) // TAIL * TAIL
    report = _report(run, shown) if limit is None and pages.later is None else None
    blocks = folded(
        (replace(one, words=None, is_cut=False) if one is report else one for one in shown), limit
    )
    context = {
        "run": run,
        "audience": audience,
        "now": now,
        "is_print": asked.is_print,
        "pages": pages,
        "blocks": blocks,
        "report": report.position if report else None,
        "gone": tally.gone,
        "has_days": len(days(blocks)) > 1,
        # What the page's stream has to know to bring the very same page.
        "read_at": pages.first,
        "folded": limit,
    }
    return context | (_outcome(run, audience, now) if pages.later is None else {})


def passages(
    run: Run, audience: Audience, shown: Sequence[Line], pages: Pages
) -> Iterable[Passage]:
    """A result stands with the call that it answers, where both are on the page."""
    texts = _words(run, audience, shown)
    costs = matching.costs(run, pages.first, pages.last)
    here = {line.position for line in shown}
    for line in shown:
        if line.question in here:
            continue
        told, is_cut = texts.get(line.position, (None, line.said_is_cut))
        yield Passage(
            position=line.position,
            kind=line.kind,
            caption=line.caption,
            words=told,
            size=line.said_size,
            is_cut=is_cut,
            state=line.state,
            at=line.timestamp,
            duration_ms=line.duration_ms,
            gap=line.gap,
            told_in=line.answer if line.answer in here else None,
            cost=costs.get(line.position),
            marks=tuple(_marks(line)),
            address=audience.url("step", run, line.position),
        )


def _marks(line: Line) -> Iterable[str]:
    yield from line.labels
    if line.state == "open":
        yield "no outcome was told"
    if line.was_changed:
        yield "changed later"
    if not line.is_known:
        yield "unknown type" if line.type else "no type reported"


def _words(run: Run, audience: Audience, shown: Sequence[Line]) -> dict[int, tuple[Words, bool]]:
    """What was said in each step that says anything, and whether it was cut."""
    speaking = {line.pk: line for line in shown if line.said_size}
    rows = (
        Step.objects.filter(pk__in=list(speaking))
        .order_by("position")
        .values_list("pk", Left("content", LONGEST + 1))
    )
    budget, left = Budget(UNITS), MOST_WORDS
    found = {}
    for pk, content in rows:
        text = (content or "")[: LONGEST if left > 0 else BEGINNING]
        left -= len(text)
        line = speaking[pk]
        links = f"{audience.url('step', run, line.position)}links/"
        found[line.position] = spoken(text, line.kind, budget, links), text != content
    return found


def _report(run: Run, shown: Sequence[Passage]) -> Passage | None:
    """The step that said, word for word, what came of the run: a document says it once."""
    last = next((one for one in reversed(shown) if one.kind == "output"), None)
    if last is None or not run.output or last.size != len(run.output.encode("utf-8", "replace")):
        return None
    is_same = run.steps.present().filter(position=last.position, content=run.output).exists()
    return last if is_same else None


# What came of it -----------------------------------------------------------------------------


class Made(NamedTuple):
    """An object of the result; `position` is that of the step whose output first names it."""

    name: str
    position: int | None


def _outcome(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    result = run_page.result(run, audience, now)
    names = dict.fromkeys([*result["created_ids"].items, *result["output_ids"].items])
    return result | {"made": made(run, list(names)), "is_last": True}


def made(run: Run, names: Sequence[str]) -> list[Made]:
    """Each object with the step that made it, as far as the last steps' outputs tell."""
    wanted = [name for name in names[:MADE_LOOKED_FOR] if len(name) > 3]
    found: dict[str, int] = {}
    if wanted:
        last = run.step_count - MADE_AMONG
        outputs = (
            run.steps.present()
            .filter(position__gt=last, type__in=(Step.Type.TOOL_CALL, Step.Type.TOOL_RESULT))
            .order_by("position")
            .values_list("position", Left("tool_output", MADE_READ))
        )
        for position, output in outputs.iterator():
            for name in wanted:
                if name not in found and name in (output or ""):
                    found[name] = position
            if len(found) == len(wanted):
                break
    return [Made(name, found.get(name)) for name in names]


def maker_page(pages: Mapping[str, Any], position: int) -> bool:
    """Whether a step stands on this very page."""
    return bool(pages["pages"].first <= position <= pages["pages"].last)
