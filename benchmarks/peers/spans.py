"""A run, as Case.dev tells it, as the spans that other programs take.

Runs in the peers' environments too, so it needs nothing but Python. One root span for the run and
one below it for each step, with OpenInference's attributes, which both peers understand. The texts
are those of the steps, so that all three programs hold the same.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NANOSECONDS = 1_000_000
THINKING_TAKES = 1_500  # milliseconds; Case.dev tells the time of tool calls alone


@dataclass(frozen=True)
class Span:
    """Ids are bytes, 16 of a trace and 8 of a span; times are nanoseconds since 1970."""

    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    began: int
    ended: int
    attributes: dict[str, str | int]


def trace_id(run_id: str) -> bytes:
    return hashlib.sha256(run_id.encode()).digest()[:16]


def spans(details: dict[str, Any]) -> Iterator[Span]:
    """The root first. `details` is an answer of Case.dev about a run that has ended."""
    run_id, steps = details["id"], details["steps"]
    calls = iter([entry for entry in details["usage"]["entries"] if entry["kind"] == "llm"])
    root = Span(
        name="run",
        trace_id=trace_id(run_id),
        span_id=_span_id(run_id, 0),
        parent_id=b"",
        began=_nanoseconds(details["startedAt"]),
        ended=_nanoseconds(details["completedAt"]),
        attributes={
            "openinference.span.kind": "AGENT",
            "input.value": details["prompt"],
            "input.mime_type": "text/plain",
            "output.value": details["result"]["output"],
            "output.mime_type": "text/plain",
        },
    )
    yield root
    for position, step in enumerate(steps, start=1):
        is_call = step["type"] == "tool_call"
        began = _nanoseconds(step["timestamp"])
        yield Span(
            name=step["toolName"] if is_call else step["type"],
            trace_id=root.trace_id,
            span_id=_span_id(run_id, position),
            parent_id=root.span_id,
            began=began,
            ended=began + (step["durationMs"] or THINKING_TAKES) * NANOSECONDS,
            attributes=_of_call(step) if is_call else _of_words(step, next(calls, None)),
        )


def _of_call(step: dict[str, Any]) -> dict[str, str | int]:
    return {
        "openinference.span.kind": "TOOL",
        "tool.name": step["toolName"],
        "input.value": json.dumps(step["toolInput"], ensure_ascii=False),
        "input.mime_type": "application/json",
        "output.value": step["toolOutput"],
        "output.mime_type": "text/plain",
    }


def _of_words(step: dict[str, Any], entry: dict[str, Any] | None) -> dict[str, str | int]:
    """`entry` tells of a call to a model; a run has fewer of them than steps with words."""
    said: dict[str, str | int] = {
        "openinference.span.kind": "LLM",
        "output.value": step["content"],
        "output.mime_type": "text/plain",
    }
    if entry is None:
        return said
    return said | {
        "llm.model_name": entry["model"],
        "llm.token_count.prompt": entry["promptTokens"],
        "llm.token_count.completion": entry["completionTokens"],
        "llm.token_count.total": entry["promptTokens"] + entry["completionTokens"],
    }


def _span_id(run_id: str, position: int) -> bytes:
    return hashlib.sha256(f"{run_id}:{position}".encode()).digest()[:8]


def _nanoseconds(moment: str) -> int:
    since = dt.datetime.fromisoformat(moment) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return since // dt.timedelta(milliseconds=1) * NANOSECONDS
