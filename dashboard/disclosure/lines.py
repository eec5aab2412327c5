"""What was redacted, put into words and HTML. Pure: nothing here can ask for more."""

import datetime as dt
from dataclasses import dataclass

from django.utils.safestring import SafeString

from dashboard.disclosure.redaction import MARK
from dashboard.disclosure.rules import Part
from dashboard.disclosure.shown import EntryShown, LogShown, StepShown
from dashboard.rendering import captions, markdown, payload
from dashboard.rendering.addresses import Address
from dashboard.rendering.payload import Payload
from dashboard.rendering.text import visible
from dashboard.rendering.wording import Caption, Code, caption, tense
from runs import outcomes

SAID_SHOWN = 4_000  # characters of a step in the timeline
UNTOLD = "no outcome was told"
LOG_SHOWN = 32 * 1024
ASKED_SHOWN = 32 * 1024

_KINDS = {"output": "output", "thinking": "thinking", "tool_call": "tool", "tool_result": "result"}


@dataclass(frozen=True, slots=True)
class Line:
    """A step in the timeline. `opens`: its own page has more than stands here. `state`: of a tool
    call, as in `StepShown`; "" for other steps."""

    position: int
    version: int
    kind: str
    caption: Caption
    said: SafeString
    said_is_cut: bool
    state: str
    at: dt.datetime | None
    duration_ms: int | None
    opens: bool
    is_redacted: bool = False


def line(step: StepShown, shows: frozenset[Part]) -> Line:
    if step.is_redacted:
        said = caption(MARK)
        nothing = SafeString("")
        return Line(
            position=step.position,
            version=step.version,
            kind="other",
            caption=said,
            said=nothing,
            said_is_cut=False,
            state="",
            at=None,
            duration_ms=None,
            opens=False,
            is_redacted=True,
        )
    reason = outcomes.failure(step.tool, step.tool_output)
    state = step.state
    if not state and step.type == "tool_call":
        state = "failed" if reason else "done"
    content = step.content or ""
    return Line(
        position=step.position,
        version=step.version,
        kind=_KINDS.get(step.type, "other"),
        caption=_caption(step, state, reason),
        said=visible(content[:SAID_SHOWN]),
        said_is_cut=len(content) > SAID_SHOWN,
        state=state,
        at=step.at,
        duration_ms=step.duration_ms,
        opens=Part.TOOLS in shows and step.type not in ("output", "thinking"),
    )


def _caption(step: StepShown, state: str, reason: str) -> Caption:
    match step.type:
        case "output":
            return caption("What the agent said")
        case "thinking":
            return caption("Thinking")
        case "tool_call":
            output = captions.read_output(step.tool_output, is_whole=True)
            return captions.of_call(step.tool, step.tool_input, output, tense(state), reason)
        case "tool_result":
            return caption("Result of ", Code(step.tool)) if step.tool else caption("Result")
    return caption("A step")


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload of a step's page; `name` is that of its download."""

    name: str
    title: str
    payload: Payload


def payloads(step: StepShown) -> list[Shown]:
    parts = []
    if step.content is not None:
        parts.append(Shown("content", "Content", of_text(step.content, payload.WHOLE_PAGE)))
    for name, title, text in (
        ("input", "Input", step.tool_input),
        ("output", "Output", step.tool_output),
    ):
        if text is not None:
            part = text[: payload.WHOLE_PAGE]
            shown = payload.of_json(part, _octets(text), len(text), payload.VALUES_WHOLE_PAGE)
            parts.append(Shown(name, title, shown))
    return parts


def of_text(text: str | None, at_most: int = ASKED_SHOWN) -> Payload:
    if not text:
        return Payload()
    return payload.of_text(text[:at_most], _octets(text), len(text))


def formatted(text: str | None, links: str) -> SafeString | None:
    """Markdown as HTML, its links below `links`; None where it has to be shown as text."""
    try:
        return markdown.render(text, links) if text else None
    except markdown.Unrendered:
        return None


def linked(text: str | None, number: int) -> Address | None:
    """Where link `number` of a text that is shown formatted leads."""
    try:
        return markdown.link(text or "", number)
    except markdown.Unrendered:
        return None


@dataclass(frozen=True, slots=True)
class Log:
    number: int
    name: str
    text: SafeString
    is_cut: bool
    size: int


def log(shown: LogShown) -> Log:
    text = visible(shown.text[:LOG_SHOWN])
    return Log(shown.number, shown.name, text, len(shown.text) > LOG_SHOWN, _octets(shown.text))


def is_error(entry: EntryShown) -> bool:
    return entry.status_code is not None and entry.status_code >= 400


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
