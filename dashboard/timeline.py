"""The timeline of a run: which steps a page shows, how it is filtered, and the run in time.

A page holds a window of WINDOW steps. Everything else is counted and one link away.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from django.db.models import Count, QuerySet
from django.http import QueryDict
from django.utils.safestring import SafeString

from dashboard import finds, places, step_items, step_search
from dashboard import outline as outlines
from dashboard.audience import Audience
from dashboard.notes.models import StepLabel
from dashboard.outline import Brief
from dashboard.places import Every, Places
from dashboard.rendering import strip as strips
from dashboard.rendering.text import visible_plain
from dashboard.step_items import Place
from dashboard.step_lines import Line, lines
from runs.models import Run, Step
from runs.tally import OTHERS, Tally

WINDOW = 100
BEFORE = 30  # steps shown before the one that was asked for
TOOLS_SHOWN = 10  # filters in sight; the others are in a fold
LONGEST_NAME = 200
END = 2**31 - 2  # behind the last step of every run
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
    label: str = ""  # that people of the house put on steps
    q: str = ""  # words that the steps' texts hold
    hit: int | None = None  # the find that is looked at among all steps, not only finds
    behind: int = 0  # steps up to here were looked through before

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
            label=query.get("label", "").replace("\0", "").strip()[:LONGEST_NAME],
            q=query.get("q", "").replace("\0", "").strip()[: step_search.LONGEST],
            hit=_position(query.get("hit")) if query.get("q", "").strip() else None,
            behind=_position(query.get("behind")) or 0,
        )

    @property
    def is_filtered(self) -> bool:
        is_list = bool(self.q) and self.hit is None
        return bool(self.types or self.tools or self.failed or self.gone or self.label or is_list)

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
        if asked.label:
            pairs.append(("label", asked.label))
        if asked.q:
            pairs += [("q", asked.q), *([("behind", asked.behind)] if asked.behind else [])]
        for name in ("hit", "at", "after", "before"):
            if (value := getattr(asked, name)) is not None:
                pairs.append((name, value))
        return f"?{urlencode(pairs)}"


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
    tally = outlines.of(run)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "asked": asked,
        "window": window(run, audience, asked, tally),
        "finds": finds.bar(run, audience, asked) if asked.q else None,
        "is_short": is_short(tally) and not asked.is_filtered,
        "filters": filters(run, audience, asked, tally),
        "total": tally.total,
    }


def is_short(tally: Tally) -> bool:
    """Whether one window holds all steps."""
    return tally.total <= WINDOW


def above(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_above.html` alone, while no filter is on."""
    tally = outlines.of(run)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "filters": filters(run, audience, Asked(), tally),
        "total": tally.total,
    }


def strip(run: Run, audience: Audience, now: dt.datetime, tab: str = "timeline") -> dict[str, Any]:
    """Context of `runs/_strip.html` alone, for a page that shows `tab`."""
    tally = outlines.of(run)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "strip": draw(run, now, tally),
        # Bars link within the page where that holds all steps.
        "is_short": tab == "timeline" and is_short(tally),
    }


def item(line: Line, run: Run, audience: Audience, now: dt.datetime) -> SafeString:
    """One line, as it stands on the run's page."""
    return step_items.item(line, Place(run, audience, now, is_short=run.step_count <= WINDOW))


def changed_steps(run: Run, since: int, at_most: int) -> list[Brief]:
    """The steps that came or changed after version `since`, in order, with those whose line turns
    by what now follows or answers them. At most `at_most` that changed themselves."""
    steps = run.steps.changed_since(since).order_by("position", "pk")
    changed = outlines.briefs(steps[:at_most])
    positions = {step.position for step in changed if not step.is_gone}
    turned = {step.question for step in changed if step.question}
    turned |= {position + 1 for position in positions}  # their gap begins elsewhere now
    tail = Every(run, outlines.of(run)).before(END, CHANGED_TAIL)
    others = outlines.at(run, (turned | set(tail)) - positions - {0})
    turned_in_tail = {step.position for step in others if step.unanswered}
    found = [step for step in others if step.position in turned | turned_in_tail]
    return outlines.in_order([*changed, *found])


def window(run: Run, audience: Audience, asked: Asked, tally: Tally) -> Window:
    matches = matching(run, asked, tally)
    span = _span(matches, asked, is_active=run.is_active)
    here = audience.url("timeline", run)
    shown = lines(run, matches.steps(span.shown))
    return Window(
        lines=finds.marked(run, asked, shown) if asked.q else shown,
        matching=matches.count,
        total=tally.total,
        earlier=_earlier(span, here, asked),
        later=_later(span, here, asked),
        is_complete=not (span.later or asked.is_filtered or asked.q or asked.before is not None),
    )


def matching(run: Run, asked: Asked, tally: Tally) -> Places:
    """Where the steps are that `asked` lets through."""
    if asked.q:
        return (
            Every(run, tally) if asked.hit else places.Listed(run, finds.of(run, asked).positions)
        )
    if asked.gone:
        rows = places.narrowed(run.steps.gone(), asked.types, asked.tools, failed=asked.failed)
        return places.Few(rows)
    if asked.label:
        labelled = run.steps.filter(position__in=_labelled(run, asked.label), vanished_at=None)
        rows = places.narrowed(labelled, asked.types, asked.tools, failed=asked.failed)
        return places.Few(rows)
    if asked.is_filtered:
        return places.of_kinds(run, tally, asked.types, asked.tools, failed=asked.failed)
    return Every(run, tally)


def _labelled(run: Run, name: str) -> QuerySet[StepLabel, int]:
    """Positions of the steps that bear a label, in whatever case it is written."""
    rows = StepLabel.objects.filter(run=run, label__name__iexact=name).order_by()
    return rows.values_list("position", flat=True)


class Span(NamedTuple):
    """Places to show, and those of the parts before and after them."""

    shown: list[int]
    earlier: list[int]
    later: list[int]

    @property
    def first(self) -> int:
        return self.shown[0]

    @property
    def last(self) -> int:
        return self.shown[-1]


def _span(matches: Places, asked: Asked, *, is_active: bool) -> Span:
    """The part asked for, else the newest steps of an active run, else the first of an ended one.
    Steps that share a position (one vanished) stay together."""
    both = 2 * WINDOW
    if asked.after is not None:
        found = matches.after(asked.after, both)
        return _apart([], found[:WINDOW], found[WINDOW:])
    if asked.before is not None:
        found = matches.before(asked.before, both)
        return _apart(found[:-WINDOW], found[-WINDOW:], [])
    at = asked.hit if asked.at is None else asked.at
    if at is None:
        at = END if is_active and not asked.q else 0
    before = matches.before(at, both) if at > 1 else []
    behind = matches.after(at - 1, both) if at < END else []
    begin = len(before) - min(len(before), max(BEFORE, WINDOW - len(behind)))
    until = WINDOW - (len(before) - begin)
    shown = before[begin:] + behind[:until]
    return _apart(before[:begin][-WINDOW:], shown, behind[until:][:WINDOW])


def _apart(earlier: list[int], shown: list[int], later: list[int]) -> Span:
    if not shown:
        return Span([], [], [])
    return Span(
        shown,
        [place for place in earlier if place < shown[0]],
        [place for place in later if place > shown[-1]],
    )


def _earlier(span: Span, here: str, asked: Asked) -> Turn | None:
    part = span.earlier
    if not part or asked.after is not None:
        return None
    return Turn(
        len(part),
        part[0],
        part[-1],
        f"{here}{asked.query(at=max(part[-1] - WINDOW + BEFORE, 1))}",
        f"{here}{asked.query(before=span.first)}",
    )


def _later(span: Span, here: str, asked: Asked) -> Turn | None:
    part = span.later
    if not part or asked.before is not None:
        return None
    return Turn(
        len(part),
        part[0],
        part[-1],
        f"{here}{asked.query(at=part[0] + BEFORE)}",
        f"{here}{asked.query(after=span.last)}",
    )


# Filters -------------------------------------------------------------------------------------


def filters(run: Run, audience: Audience, asked: Asked, tally: Tally) -> dict[str, Any]:
    """Choices for `runs/_filters.html`: kinds of steps, tools, and what went wrong."""
    here = audience.url("timeline", run)
    tools = [_tool(here, asked, name, count) for name, count in tally.tools.most_common()]
    tools.sort(key=lambda choice: not choice.is_on)  # what is on stays in sight
    odd = [
        Choice("Failed", tally.failed, here + asked.query(
            failed=not asked.failed, gone=False), asked.failed),
        Choice("No longer reported", tally.gone, here + asked.query(
            types=(), tools=(), failed=False, gone=not asked.gone), asked.gone),
    ]  # fmt: skip
    return {
        "all": Choice("All", tally.total, here, not asked.is_filtered),
        "types": _types(here, asked, tally),
        "odd": [choice for choice in odd if choice.count or choice.is_on],
        "tools": tools[:TOOLS_SHOWN] if len(tools) > 1 or asked.tools else [],
        "more_tools": tools[TOOLS_SHOWN:],
        "labels": _labels(run, here, asked) if audience.is_staff else [],
    }


def _labels(run: Run, here: str, asked: Asked) -> list[Choice]:
    """The labels that its steps bear."""
    rows = StepLabel.objects.filter(run=run).order_by().values_list("label__name")
    counted = sorted(rows.annotate(count=Count("pk")), key=lambda row: row[0].casefold())
    return [
        Choice(name, count, here + asked.query(label="" if is_on else name, gone=False), is_on)
        for name, count in counted
        for is_on in [name.casefold() == asked.label.casefold()]
    ]


def _tool(here: str, asked: Asked, name: str, count: int) -> Choice:
    if name == OTHERS:
        return Choice("other tools", count, here + asked.query(types=(Step.Type.TOOL_CALL,)), False)
    label = visible_plain(name[:60]) or "no name"
    href = here + asked.query(tools=_toggled(asked.tools, name), gone=False)
    return Choice(label, count, href, name in asked.tools)


def _types(here: str, asked: Asked, tally: Tally) -> list[Choice]:
    types = tally.types
    known = [kind for kind in TYPE_WORDS if types[kind]]
    unknown = [kind for kind in types if kind not in (*TYPE_WORDS, OTHERS)]
    choices = [
        Choice(
            TYPE_WORDS.get(kind) or visible_plain(kind[:60]) or "no type",  # type: ignore[call-overload]
            types[kind],
            here + asked.query(types=_toggled(asked.types, kind), gone=False),
            kind in asked.types,
        )
        for kind in [*known, *sorted(unknown)]
    ]
    if types[OTHERS]:
        choices.append(Choice("other types", types[OTHERS], here, False))
    return choices


def _toggled(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(n for n in names if n != name) if name in names else (*names, name)


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values[:20] if len(value) <= LONGEST_NAME))


def _position(value: str | None) -> int | None:
    if value and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None


# The run in time -----------------------------------------------------------------------------


def draw(run: Run, now: dt.datetime, tally: Tally) -> strips.Strip:
    span = run.started_at, run.completed_at
    is_moving = run.is_active and run.started_at and not run.completed_at
    moment = now if is_moving else None
    if tally.total > strips.BARS_AT_MOST:
        return strips.sketch(tally, span, moment)
    steps = outlines.briefs(run.steps.present())
    failed = {step.position for step in steps if step.failed}
    at_work = {step.position for step in steps if outlines.is_at_work(step, tally)}
    return strips.draw(steps, span, moment, failed, at_work)
