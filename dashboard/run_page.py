"""What stands above and on the tabs of a run, but for its timeline and its costs."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from dashboard import fields, outline, timeline
from dashboard.audience import Audience
from dashboard.live import sight
from dashboard.rendering import markdown, payload
from dashboard.rendering.payload import Payload
from dashboard.rendering.text import visible
from runs import agents, breaker, costs, evidence, freshness, oddities, outlines, stalls
from runs.models import Payload as Body
from runs.models import Poll, Run

TABS = (
    ("timeline", "Timeline"),
    ("read", "Reading view"),
    ("cost", "Cost"),
    ("result", "Result"),
    ("logs", "Logs"),
    ("raw", "Raw"),
)
TITLE_LENGTH = 180
ASKED_SHOWN = 32 * 1024  # characters of prompt and guidance
IDS_SHOWN = 200
ISSUES_SHOWN = 100
CONTRADICTIONS_SHOWN = 5
LOG_HEAD = LOG_TAIL = 16 * 1024  # characters of a long log


# Above the tabs ------------------------------------------------------------------------------


def title(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_title.html`: what was asked. It changes once at most, when details come."""
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "title_length": TITLE_LENGTH,
        "has_more": bool(run.guidance) or _is_more_than_title(run.prompt or ""),
        "prompt": _opened(run.prompt),
        "guidance": _opened(run.guidance),
        "guidance_absence": fields.absence(run, "guidance", run.guidance),
        "prompt_absence": fields.absence(run, "prompt", run.prompt),
    }


def head(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_head.html`: how the run stands."""
    poll = poll_of(run)
    odd = [*_oddities(run), *(_said(item) for item in run.contradictions)]
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "agent_name": agents.names([run.agent_id]).get(run.agent_id or ""),
        "has_details": has_details(run, poll),
        "tokens": tokens(run),
        "cost": costs.compare(run.entries_cost_micros, run.summary_cost_micros),
        "stall": stalls.stall(run, poll, now),
        "refused": refused(run, poll),
        "shown_as_of": poll.last_ok_at if poll else None,
        "contradictions": odd[:CONTRADICTIONS_SHOWN],
        "more_contradictions": odd[CONTRADICTIONS_SHOWN:],
        "clues": evidence.clues(run, outline.of(run)),
    }


def no_steps(run: Run) -> dict[str, Any]:
    """Context of `runs/_none.html`: why there are no steps, if there are none."""
    return {
        "run": run,
        "total": outline.of(run).total,
        "has_details": has_details(run, poll_of(run)),
    }


def _oddities(run: Run) -> list[dict[str, Any]]:
    """What does not agree in the record as it stands, in the shape of a contradiction."""
    gone = open_calls = 0
    if run.step_count:
        tally = outline.of(run)
        gone, open_calls = tally.gone, outlines.open_calls(run, tally)
    return [
        {"text": text, "at": None} for text in oddities.of(run, open_calls=open_calls, gone=gone)
    ]


def facts(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_facts.html`: ids, settings and times."""
    return {"run": run, "audience": audience, "now": now, "facts": fields.facts(run)}


def fresh(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_fresh.html`: as of when all this is."""
    state = freshness.of(poll_of(run), breaker.upstream(), now)
    return {"run": run, "audience": audience, "now": now, "freshness": state}


def tabs(run: Run, audience: Audience, tab: str) -> dict[str, Any]:
    """Context of `runs/_tabs.html`."""
    counts = {"timeline": run.step_count if run.is_read else None, "cost": run.entry_count}
    return {
        "run": run,
        "audience": audience,
        "tab": tab,
        "tabs": [
            {"name": name, "label": label, "count": counts.get(name)}
            for name, label in TABS
            if audience.may_see(name)
        ],
    }


def frame(run: Run, audience: Audience, now: dt.datetime, tab: str) -> dict[str, Any]:
    """Everything around a tab."""
    return (
        {"is_over": sight.is_over(run)}
        | title(run, audience, now)
        | head(run, audience, now)
        | facts(run, audience, now)
        | fresh(run, audience, now)
        | tabs(run, audience, tab)
        | timeline.strip(run, audience, now, tab)
    )


def _is_more_than_title(prompt: str) -> bool:
    return len(prompt) > TITLE_LENGTH or " ".join(prompt.split()) != prompt.strip()


def poll_of(run: Run) -> Poll | None:
    try:
        return run.poll
    except Poll.DoesNotExist:
        return None


def has_details(run: Run, poll: Poll | None) -> bool:
    """False for a run that only the list told of: of its steps and costs nothing is known yet."""
    if poll is None or run.step_count:
        return bool(run.version or run.step_count)
    return poll.last_ok_at is not None


def tokens(run: Run) -> int | None:
    """The summary's total; else what the run's own model calls used, as far as both are told."""
    if run.total_tokens is not None:
        return run.total_tokens
    known = [count for count in (run.input_tokens, run.output_tokens) if count is not None]
    return sum(known) if known else None


def refused(run: Run, poll: Poll | None) -> Body | None:
    """The last answer, if it could not be read. Asked for only while the poller has trouble."""
    if poll is None or not (poll.sync_failures or poll.quarantined_at):
        return None
    return run.payloads.filter(kind=Body.Kind.REFUSED).defer("body").first()


def _opened(text: str | None) -> Payload:
    if not text:
        return Payload()
    size = len(text.encode("utf-8", "replace"))
    return payload.of_text(text[:ASKED_SHOWN], size, len(text))


def _said(item: Any) -> dict[str, Any]:
    """One contradiction. The list is ours, but its shape is a JSON column's."""
    if not isinstance(item, dict):
        return {"text": str(item), "at": None}
    try:
        at = dt.datetime.fromisoformat(str(item.get("at")))
    except ValueError:
        at = None
    return {"text": str(item.get("text", "")), "at": at}


# Result --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of texts as the API gave it; `absence` says which nothing it is."""

    items: list[str]
    more: int
    absence: str


def result(run: Run, audience: Audience, now: dt.datetime, as_text: bool = False) -> dict[str, Any]:
    """Context of `runs/_result.html#result`."""
    links = f"{audience.url('result', run)}links/"
    html, reason = _formatted(run.output or "", links) if not as_text else (None, "")
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "as_text": as_text,
        "output_html": html,
        "not_formatted": reason,
        "output": _opened(run.output),
        "output_absence": fields.absence(run, "result.output", run.output),
        "summary": _opened(run.summary),
        "summary_absence": fields.absence(run, "result.finalResponse.summary", run.summary),
        "issues": _listed(run, "result.finalResponse.issues", run.issues, ISSUES_SHOWN),
        "output_ids": _listed(run, "result.outputObjectIds", run.output_object_ids, IDS_SHOWN),
        "created_ids": _listed(
            run, "result.finalResponse.createdObjectIds", run.created_object_ids, IDS_SHOWN
        ),
        "is_unreported": fields.is_unreported(run.unreported, "result"),
    }


def _formatted(output: str, links: str) -> tuple[SafeString | None, str]:
    """HTML of the output, or why it is shown as text."""
    if not output:
        return None, ""
    try:
        return markdown.render(output, links), ""
    except markdown.Unrendered as error:
        return None, str(error)


def _listed(run: Run, path: str, value: Any, at_most: int) -> Listed:
    items = [str(item) for item in value] if isinstance(value, list) else []
    return Listed(items[:at_most], max(len(items) - at_most, 0), fields.absence(run, path, value))


# Logs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Log:
    """One log: all of it, or its head and its tail with `left_out` characters between them."""

    number: int
    name: str
    size: int
    lines: int
    head: SafeString
    tail: SafeString
    left_out: int
    absence: str


def logs(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_logs.html#logs`. Whatever Case.dev calls a log is one."""
    pairs = run.logs if isinstance(run.logs, list) else []
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "logs": [_log(number, *pair) for number, pair in enumerate(pairs, 1)],
        "logs_absence": fields.absence(run, "result.logs", run.logs),
    }


def _log(number: int, name: str, text: str | None) -> Log:
    if not text:
        nothing = SafeString("")
        return Log(number, name, 0, 0, nothing, nothing, 0, "none" if text is None else "empty")
    head, tail, left_out = text, "", 0
    if len(text) > LOG_HEAD + LOG_TAIL:
        # Cut at line ends, so that no line is shown in half.
        head = text[: text.rfind("\n", 0, LOG_HEAD) + 1 or LOG_HEAD]
        tail = text[text.find("\n", len(text) - LOG_TAIL) + 1 or len(text) - LOG_TAIL :]
        left_out = len(text) - len(head) - len(tail)
    size = len(text.encode("utf-8", "replace"))
    lines = text.count("\n") + (not text.endswith("\n"))
    return Log(number, name, size, lines, visible(head), visible(tail), left_out, "")


def log_text(run: Run, number: int) -> tuple[str, str] | None:
    """Name and text of a log, counted from 1."""
    pairs = run.logs if isinstance(run.logs, list) else []
    if not 1 <= number <= len(pairs):
        return None
    name, text = pairs[number - 1]
    return name, text or ""
