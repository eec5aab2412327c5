"""One step in full: its texts, what answers it, and what it said before."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left, Length

from dashboard import matching
from dashboard import outline as outlines
from dashboard.audience import Audience
from dashboard.outline import Brief
from dashboard.passages import Matched
from dashboard.rendering import payload
from dashboard.rendering.payload import Payload
from dashboard.sizes import Octets
from dashboard.step_lines import Line, lines
from runs.models import Revision, Run, Step

REVISIONS_SHOWN = 20
REVISION_READ = 16 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A payload with its place: `name` is that of its download, `of` the step that holds it."""

    name: str
    title: str
    of: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a step said until `replaced_at`."""

    replaced_at: dt.datetime
    version: int
    payload: Payload


def find(run: Run, position: int, was: int | None = None) -> Brief | None:
    """The step at `position`; `was` names the row of one that has vanished from there."""
    here = outlines.briefs(run.steps.filter(position=position))
    if was is not None:
        return next((step for step in here if step.pk == was and step.is_gone), None)
    return here[-1] if here else None


def body(
    run: Run, audience: Audience, now: dt.datetime, step: Brief, is_page: bool = False
) -> dict[str, Any]:
    """Context of `runs/_step.html#body`; `is_page` shows more of each text."""
    line = lines(run, [step])[0]
    shown = payload.WHOLE_PAGE if is_page else payload.WINDOW
    texts = _texts(step.pk, shown)
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "line": line,
        "step_id": texts["step_id"],
        "is_page": is_page,
        "cost": _cost(run, step),
        "parts": _parts(run, line, texts, step.answer, is_page),
        "revisions": _revisions(run, step) if line.was_changed else [],
    }


def _cost(run: Run, step: Brief) -> Matched | None:
    """What usage entries tell of this very call, if any do beyond doubt."""
    if step.is_gone or step.type != Step.Type.TOOL_CALL:
        return None
    return matching.costs(run, step.position, step.position).get(step.position)


def page(run: Run, audience: Audience, now: dt.datetime, step: Brief) -> dict[str, Any]:
    """Context of the step's own page."""
    gone = run.steps.gone().filter(position=step.position).exclude(pk=step.pk)
    before, after = outlines.neighbours(run, step.position)
    return body(run, audience, now, step, is_page=True) | {
        "before": before,
        "after": after,
        "total": outlines.of(run).total,
        "vanished": outlines.briefs(gone.order_by("pk")[:REVISIONS_SHOWN]),
    }


def _texts(pk: int, shown: int) -> Mapping[str, Any]:
    names = ("content", "tool_input", "tool_output")
    parts: dict[str, Any] = {f"{name}_text": Left(name, shown) for name in names}
    parts |= {f"{name}_size": Octets(name) for name in names}
    parts |= {f"{name}_length": Length(name) for name in names}
    return Step.objects.values("step_id", **parts).get(pk=pk)


def _parts(
    run: Run,
    line: Line,
    texts: Mapping[str, Any],
    answer: int | None,
    is_page: bool,
) -> list[Part]:
    """What there is to show, input before output. An output that a later step told stands here
    too, since that is where one looks for it."""
    at = line.position
    values = payload.VALUES_WHOLE_PAGE if is_page else payload.VALUES
    is_tool = line.kind in ("tool", "result")
    parts = []
    # A line that shows all of what was said needs no second copy below it.
    if texts["content_text"] is not None and (is_page or line.said_is_cut):
        said = payload.of_text(
            texts["content_text"], texts["content_size"], texts["content_length"]
        )
        parts.append(Part("content", "Content", at, said))
    for name, title in (("tool_input", "Input"), ("tool_output", "Output")):
        if texts[f"{name}_text"] is None and not is_tool and not is_page:
            continue
        if name == "tool_input" and line.kind == "result" and texts["tool_input_text"] is None:
            continue
        if name == "tool_output" and answer is not None:
            parts.append(_answer(run, answer, values, is_page))
            continue
        shown = payload.of_json(
            texts[f"{name}_text"], texts[f"{name}_size"] or 0, texts[f"{name}_length"], values
        )
        parts.append(Part(name.removeprefix("tool_"), title, at, shown))
    return parts


def _answer(run: Run, position: int, values: int, is_page: bool) -> Part:
    """The output of a call that a `tool_result` step tells."""
    pk = run.steps.present().get(position=position).pk
    texts = _texts(pk, payload.WHOLE_PAGE if is_page else payload.WINDOW)
    if texts["tool_output_text"] is None and texts["content_text"] is not None:
        said = payload.of_text(
            texts["content_text"], texts["content_size"], texts["content_length"]
        )
        return Part("content", "Output", position, said)
    shown = payload.of_json(
        texts["tool_output_text"],
        texts["tool_output_size"] or 0,
        texts["tool_output_length"],
        values,
    )
    return Part("output", "Output", position, shown)


def _revisions(run: Run, step: Brief) -> list[Earlier]:
    rows = (
        Revision.objects.filter(run=run, of=Revision.Of.STEP, position=step.position)
        .order_by("-replaced_version")
        .values_list(
            "replaced_at",
            "replaced_version",
            Left("body", REVISION_READ),
            Octets("body"),
            Length("body"),
        )[:REVISIONS_SHOWN]
    )
    return [
        Earlier(at, version, payload.of_json(text, size, length, values=100))
        for at, version, text, size, length in rows
    ]
