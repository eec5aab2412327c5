"""The timeline of a run: which steps a page shows, how it is filtered, and the run in time.

A page holds a window of WINDOW steps. Everything else is counted and one link away.
"""

import datetime as dt
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from django.http import QueryDict

from dashboard import outline as outlines
from dashboard.audience import Audience
from dashboard.outline import Brief, Outline
from dashboard.rendering import strip as strips
from dashboard.rendering.text import visible_plain
from dashboard.step_lines import Line, lines
from runs.models import Run, Step

WINDOW = 100
BEFORE = 30  # steps shown before the one that was asked for
TOOLS_SHOWN = 10  # filters in sight; the others are in a fold
LONGEST_NAME = 200
CHANGED_TAIL = 20  # the last steps, whose state may turn with what follows them

TYPE_WORDS = {
    Step.Type.OUTPUT: "Output",
    Step.Type.THINKING: "Thinking",
    Step.Type.TOOL_CALL: "Tool calls",
    Step.Type.TOOL_RESULT: "Tool results",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks of the timeline.

    `at` opens the window around a position; `after` and `before` ask for the next part alone.
    """

    at: int | None = None
    after: int | None = None
    before: int | None = None
    types: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    failed: bool = False
    gone: bool = False

    @classmethod
    def from_query(cls, query: QueryDict) -> Self:
        """Whatever cannot be meant is ignored: an address may have been typed by hand."""
        return cls(
            at=_position(query.get("at")),
            after=_position(query.get("after")),
            before=_position(query.get("before")),
            types=_names(query.getlist("type")),
            tools=_names(query.getlist("tool")),
            failed=query.get("failed") == "1",
            gone=query.get("gone") == "1",
        )

    @property
    def is_filtered(self) -> bool:
        return bool(self.types or self.tools or self.failed or self.gone)

    @property
    def is_part(self) -> bool:
        return self.after is not None or self.before is not None

    def query(self, **changes: Any) -> str:
        """The query string of this question with `changes`, positions left out unless named."""
        changes = {"at": None, "after": None, "before": None} | changes
        asked = replace(self, **changes)
        pairs: list[tuple[str, str | int]] = [
            *(("type", name) for name in asked.types),
            *(("tool", name) for name in asked.tools),
        ]
        pairs += [(name, "1") for name in ("failed", "gone") if getattr(asked, name)]
        for name in ("at", "after", "before"):
            if (value := getattr(asked, name)) is not None:
                pairs.append((name, value))
        return f"?{urlencode(pairs)}"

    def accepts(self, step: Brief, outline: Outline) -> bool:
        if step.is_gone != self.gone and (self.gone or self.is_filtered):
            return False
        if self.types and step.type not in self.types:
            return False
        if self.tools and (step.tool_name or "") not in self.tools:
            return False
        return not self.failed or step.position in outline.failed_calls


@dataclass(frozen=True, slots=True)
class Turn:
    """A way to more steps: `count` of them, from `first` to `last`."""

    count: int
    first: int
    last: int
    href: str  # the page around them, for whoever has no script
    part: str  # the same steps alone, to be put in place


@dataclass(frozen=True, slots=True)
class Window:
    lines: list[Line]
    matching: int
    total: int
    earlier: Turn | None
    later: Turn | None
    is_complete: bool  # nothing follows the last line, and nothing is filtered out

    @property
    def last(self) -> int:
        return self.lines[-1].position if self.lines else 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One filter: a link that takes it or drops it."""

    label: str
    count: int
    href: str
    is_on: bool


def page(
    run: Run, audience: Audience, now: dt.datetime, asked: Asked | None = None
) -> dict[str, Any]:
    """Context of the timeline: steps and filters."""
    asked = asked or Asked()
    outline = outlines.of(run)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "asked": asked,
        "window": window(run, audience, asked, outline),
        "is_short": outline.step_count <= WINDOW and not asked.is_filtered,
        "filters": filters(run, audience, asked, outline),
        "total": len(outline.present),
    }


def above(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_above.html` alone, while no filter is on."""
    outline = outlines.of(run)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "filters": filters(run, audience, Asked(), outline),
        "total": len(outline.present),
    }


def strip(run: Run, audience: Audience, now: dt.datetime, tab: str = "timeline") -> dict[str, Any]:
    """Context of `runs/_strip.html` alone, for a page that shows `tab`."""
    outline = outlines.of(run)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "strip": draw(run, now, outline),
        # Bars link within the page where that holds all steps.
        "is_short": tab == "timeline" and outline.step_count <= WINDOW,
    }


def item(line: Line, run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of one line, `runs/_timeline.html#step_item`."""
    is_short = run.step_count <= WINDOW
    return {"line": line, "run": run, "audience": audience, "now": now, "is_short": is_short}


def changed_steps(run: Run, since: int) -> tuple[Outline, list[Brief]]:
    """The steps that came or changed after version `since`, in order, with those whose line turns
    by what now follows or answers them; and the outline that they are of."""
    outline = outlines.of(run)
    positions = {step.position for step in outline.steps if step.changed_version > since}
    following = [outline.after(at) for at in positions]
    positions |= {step.position for step in following if step}  # their gap begins elsewhere now
    positions |= {outline.questions[at] for at in positions if at in outline.questions}
    tail = outline.present[-CHANGED_TAIL:]
    positions |= {
        step.position for step in tail if step.type == Step.Type.TOOL_CALL and not step.is_answered
    }
    changed = [
        step
        for step in outline.steps
        if step.position in positions and (not step.is_gone or step.changed_version > since)
    ]
    return outline, changed


def window(run: Run, audience: Audience, asked: Asked, outline: Outline) -> Window:
    steps = outline.steps
    if asked.is_filtered:
        steps = [step for step in steps if asked.accepts(step, outline)]
    start, stop = _span(run, asked, steps)
    here = audience.url("timeline", run)
    return Window(
        lines=lines(run, steps[start:stop], outline),
        matching=len(steps),
        total=len(outline.present),
        earlier=_earlier(steps, start, here, asked),
        later=_later(steps, stop, here, asked),
        is_complete=stop >= len(steps) and not asked.is_filtered,
    )


def _span(run: Run, asked: Asked, steps: Sequence[Brief]) -> tuple[int, int]:
    """Which of `steps` to show: the part asked for, else the newest of an active run, else the
    first of an ended one. Steps that share a position (one vanished) stay together."""
    places = [step.position for step in steps]
    if asked.after is not None:
        start = bisect_left(places, asked.after + 1)
        stop = start + WINDOW
    elif asked.before is not None:
        stop = bisect_left(places, asked.before)
        start = stop - WINDOW
    else:
        at = len(steps) - WINDOW if run.is_active else 0
        at = at if asked.at is None else bisect_left(places, asked.at) - BEFORE
        start = min(at, len(steps) - WINDOW)
        stop = max(start, 0) + WINDOW
    start, stop = max(start, 0), min(stop, len(steps))
    while 0 < start < len(places) and places[start - 1] == places[start]:
        start -= 1
    while 0 < stop < len(places) and places[stop - 1] == places[stop]:
        stop += 1
    return start, stop


def _earlier(steps: Sequence[Brief], start: int, here: str, asked: Asked) -> Turn | None:
    if start == 0 or asked.after is not None:
        return None
    part = steps[max(start - WINDOW, 0) : start]
    return Turn(
        len(part),
        part[0].position,
        part[-1].position,
        f"{here}{asked.query(at=max(part[-1].position - WINDOW + BEFORE, 1))}",
        f"{here}{asked.query(before=steps[start].position)}",
    )


def _later(steps: Sequence[Brief], stop: int, here: str, asked: Asked) -> Turn | None:
    if stop >= len(steps) or asked.before is not None:
        return None
    part = steps[stop : stop + WINDOW]
    return Turn(
        len(part),
        part[0].position,
        part[-1].position,
        f"{here}{asked.query(at=part[0].position + BEFORE)}",
        f"{here}{asked.query(after=steps[stop - 1].position)}",
    )


# Filters -------------------------------------------------------------------------------------


def filters(run: Run, audience: Audience, asked: Asked, outline: Outline) -> dict[str, Any]:
    """Choices for `runs/_filters.html`: kinds of steps, tools, and what went wrong."""
    here = audience.url("timeline", run)
    tools = [
        Choice(
            visible_plain(name[:60]) or "no name",
            count,
            here + asked.query(tools=_toggled(asked.tools, name), gone=False),
            name in asked.tools,
        )
        for name, count in outline.tools.most_common()
    ]
    tools.sort(key=lambda choice: not choice.is_on)  # what is on stays in sight
    odd = [
        Choice("Failed", len(outline.failed_calls), here + asked.query(
            failed=not asked.failed, gone=False), asked.failed),
        Choice("No longer reported", outline.gone, here + asked.query(
            types=(), tools=(), failed=False, gone=not asked.gone), asked.gone),
    ]  # fmt: skip
    return {
        "all": Choice("All", len(outline.present), here, not asked.is_filtered),
        "types": _types(here, asked, outline),
        "odd": [choice for choice in odd if choice.count or choice.is_on],
        "tools": tools[:TOOLS_SHOWN] if len(tools) > 1 or asked.tools else [],
        "more_tools": tools[TOOLS_SHOWN:],
    }


def _types(here: str, asked: Asked, outline: Outline) -> list[Choice]:
    known = [kind for kind in TYPE_WORDS if outline.types[kind]]
    unknown = [kind for kind in outline.types if kind not in TYPE_WORDS]
    return [
        Choice(
            TYPE_WORDS.get(kind) or visible_plain(kind[:60]) or "no type",  # type: ignore[call-overload]
            outline.types[kind],
            here + asked.query(types=_toggled(asked.types, kind), gone=False),
            kind in asked.types,
        )
        for kind in [*known, *sorted(unknown)]
    ]


def _toggled(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(n for n in names if n != name) if name in names else (*names, name)


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values[:20] if len(value) <= LONGEST_NAME))


def _position(value: str | None) -> int | None:
    if value and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None


# The run in time -----------------------------------------------------------------------------


def draw(run: Run, now: dt.datetime, outline: Outline) -> strips.Strip:
    return strips.draw(
        outline.present,
        (run.started_at, run.completed_at),
        now if run.is_active and run.started_at and not run.completed_at else None,
        outline.failed_calls,
        outline.still_open,
    )
