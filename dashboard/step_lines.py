"""A step as a line of the timeline: caption, times, state, and what links it to others.

Lines are made from the first characters of each text; the whole is on the step's own page.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, StringAgg, Subquery, Value
from django.db.models.functions import Left, Length
from django.utils.safestring import SafeString

from dashboard import outline as outlines
from dashboard import passages
from dashboard.audience import STAFF
from dashboard.notes.models import Note, StepLabel
from dashboard.outline import Brief
from dashboard.rendering import captions, words
from dashboard.rendering.addresses import Address
from dashboard.rendering.text import visible
from dashboard.rendering.wording import Caption, Code, caption, tense
from dashboard.rendering.words import Budget, Words
from dashboard.sizes import Octets
from dashboard.step_search import Excerpt
from runs import outcomes
from runs.models import Revision, Run, Step

SAID_SHOWN = 4_000  # characters of what the agent said
SAID_AT_ONCE = 900  # of them in sight; the others are in a fold
NOTES_SHOWN = 1_500  # of its thinking, which stands folded
INPUT_READ = 2_000
OUTPUT_READ = 8_192
GAP_FROM = dt.timedelta(seconds=1)
AT_ONCE = 400  # parameters of one query


@dataclass(frozen=True, slots=True)
class Line:
    """`kind` is the line's class in the sheet; `state` is set for tool calls alone.

    `state`: "running", "done", "failed", or "open" for a call whose outcome was never told.
    """

    position: int
    dom_id: str
    kind: str
    type: str
    is_known: bool
    tool: str | None
    caption: Caption | None
    said: SafeString
    rest: SafeString
    is_formatted: bool  # said and rest are blocks of HTML, else text whose line breaks count
    said_is_cut: bool
    said_size: int
    peek: str
    state: str
    timestamp: dt.datetime | None
    duration_ms: int | None
    gap: dt.timedelta | None
    output_size: int | None
    answer: int | None  # position of the result that answers this call
    question: int | None  # position of the call that this result answers
    version: int
    vanished_at: dt.datetime | None
    was_changed: bool
    pk: int
    labels: tuple[str, ...]  # what people of the house put on the step
    notes: int  # that they wrote on it
    finds: Sequence[Excerpt] = ()  # where it holds the words that are looked for


_KINDS = {
    Step.Type.OUTPUT: "output",
    Step.Type.THINKING: "thinking",
    Step.Type.TOOL_CALL: "tool",
    Step.Type.TOOL_RESULT: "result",
}


def lines(run: Run, steps: Sequence[Brief]) -> list[Line]:
    """Lines for `steps`, in their order: two queries or three for each AT_ONCE of them."""
    near = _near(run, steps)
    here = {step.position for step in steps if not step.is_gone}
    answers = {step.answer for step in steps if step.answer} - here
    read = [*steps, *(near[position] for position in answers if position in near)]
    texts: dict[int, Mapping[str, Any]] = {}
    for at in range(0, len(read), AT_ONCE):
        texts |= {row["pk"]: row for row in _texts(run, read[at : at + AT_ONCE])}
    budget = Budget()
    return [_line(run, step, texts, near, budget) for step in steps if step.pk in texts]


def _near(run: Run, steps: Sequence[Brief]) -> dict[int, Brief]:
    """By position, the reported ones of `steps`, those just before them and those that answer."""
    near = {step.position: step for step in steps if not step.is_gone}
    wanted = {step.position - 1 for step in steps} | {step.answer or 0 for step in steps}
    return near | {step.position: step for step in outlines.at(run, wanted - near.keys() - {0})}


def _texts(run: Run, steps: Sequence[Brief]) -> Iterable[Mapping[str, Any]]:
    revisions = Revision.objects.filter(
        run_id=run.pk, of=Revision.Of.STEP, position=OuterRef("position")
    )
    return Step.objects.filter(pk__in=[step.pk for step in steps]).values(
        "pk",
        "vanished_at",
        said=Left("content", SAID_SHOWN),
        said_length=Length("content"),
        said_size=Octets("content"),
        given=Left("tool_input", INPUT_READ),
        output=Left("tool_output", OUTPUT_READ),
        output_length=Length("tool_output"),
        output_size=Octets("tool_output"),
        was_changed=Exists(revisions),
        labels=_labels(run),
        notes=_notes(run),
    )


def _labels(run: Run) -> Subquery:
    """Names, one a line."""
    found = StepLabel.objects.filter(run_id=run.pk, position=OuterRef("position")).order_by()
    names = StringAgg("label__name", delimiter=Value("\n"))
    return Subquery(found.values("position").annotate(names=names).values("names"))


def _notes(run: Run) -> Subquery:
    notes = Note.objects.filter(run_id=run.pk, position=OuterRef("position"), removed_at=None)
    return Subquery(notes.order_by().values("position").annotate(n=Count("pk")).values("n"))


def _line(
    run: Run,
    step: Brief,
    texts_of: Mapping[int, Mapping[str, Any]],
    near: Mapping[int, Brief],
    budget: Budget,
) -> Line:
    texts = texts_of[step.pk]
    state = "" if step.is_gone else outlines.state_of(run, step)
    kind = _KINDS.get(step.type, "other")  # type: ignore[call-overload]
    shown = NOTES_SHOWN if kind == "thinking" else SAID_SHOWN
    said = (texts["said"] or "")[:shown]
    told, more = Words(visible(said), False), Words(visible(""), False)
    if kind != "thinking":
        links = f"{STAFF.url('step', run, step.position)}links/"
        within = budget if kind == "output" else Budget(-1)
        told, more = words.in_parts(said, SAID_AT_ONCE, within, links)
    return Line(
        position=step.position,
        dom_id=f"s{step.position}-was-{step.pk}" if step.is_gone else f"s{step.position}",
        kind=kind,
        type=step.type,
        is_known=kind != "other",
        tool=step.tool_name,
        caption=_caption(step, _with_answer(step, texts_of, near), state),
        said=told.html,
        rest=more.html,
        is_formatted=told.is_formatted,
        said_is_cut=(texts["said_length"] or 0) > len(said),
        said_size=texts["said_size"] or 0,
        peek=said[:200],
        state=state,
        timestamp=step.timestamp,
        duration_ms=step.duration_ms,
        gap=gap(step, near.get(step.position - 1)),
        output_size=texts["output_size"],
        answer=step.answer,
        question=step.question,
        version=step.changed_version,
        vanished_at=texts["vanished_at"],
        was_changed=texts["was_changed"],
        pk=step.pk,
        labels=tuple(sorted((texts["labels"] or "").splitlines(), key=str.casefold)),
        notes=texts["notes"] or 0,
    )


def leads(content: str, mark: str) -> Address | None:
    """Where a link of what the agent said goes, in the timeline or in the reading view."""
    in_sight = words.parted(content[:SAID_SHOWN], SAID_AT_ONCE)
    return words.leads(in_sight, mark) or passages.leads(content, mark)


def _with_answer(
    step: Brief, texts_of: Mapping[int, Mapping[str, Any]], near: Mapping[int, Brief]
) -> Mapping[str, Any]:
    """The texts of a step; of a call that a later step answers, with the output told there."""
    texts = texts_of[step.pk]
    answer = near.get(step.answer or 0)
    told = texts_of.get(answer.pk) if answer else None
    if told is None or told["output"] is None:
        return texts
    return {**texts, "output": told["output"], "output_length": told["output_length"]}


def _caption(step: Brief, texts: Mapping[str, Any], state: str) -> Caption | None:
    if step.type in (Step.Type.OUTPUT, Step.Type.THINKING):
        return None
    if step.type not in _KINDS and step.tool_name is None and texts["given"] is None:
        return caption("A step of type ", Code(step.type)) if step.type else caption("A step")
    output = texts["output"]
    length = texts["output_length"] or 0
    reason = outcomes.failure(step.tool_name, output)
    if step.type == Step.Type.TOOL_RESULT:
        return captions.of_result(step.tool_name, step.question, reason)
    value = captions.read_output(output, length <= OUTPUT_READ)
    return captions.of_call(step.tool_name, texts["given"], value, tense(state), reason)


def gap(step: Brief, before: Brief | None) -> dt.timedelta | None:
    """How long nothing was told before `step` began; None below GAP_FROM or without times."""
    if before is None or before.end is None or step.timestamp is None:
        return None
    span = step.timestamp - before.end
    return span if span >= GAP_FROM else None
