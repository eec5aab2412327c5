"""A run, its steps and its usage entries as JSON: one shape for files and for the JSON API.

Names are those of the record's columns. Null: Case.dev gave no value. What is JSON itself (a
tool's input and output, an entry's metadata) stands as it was sent, numbers as they were written;
its key is missing where Case.dev sent no such key, which is not the same as null.
"""

import datetime as dt
from typing import Any

import msgspec

from runs.models import Run, Step, UsageEntry

# What a row of the list tells.
OF_LISTED_RUN = (
    *("run_id", "status", "agent_id", "workflow_id", "model", "usage_model"),
    *("created_at", "started_at", "completed_at", "step_count", "tool_call_count"),
    *("cost_micros", "last_step_at", "failure_cause", "first_seen_at", "changed_at", "version"),
)
OF_RUN = (
    *OF_LISTED_RUN,
    *("prompt", "prompt_is_cut", "guidance", "provider", "runtime_id", "runtime_state"),
    *("modal_sandbox_id", "output", "output_object_ids", "summary", "created_object_ids"),
    *("issues", "logs", "input_tokens", "output_tokens", "tool_calls", "duration_ms"),
    *("summary_cost_micros", "total_input_tokens", "total_output_tokens", "total_tokens"),
    *("entry_count", "entries_cost_micros", "unreported", "contradictions"),
)
OF_STEP = (
    *("position", "step_id", "type", "tool_name", "content", "duration_ms", "timestamp"),
    *("vanished_at", "changed_version"),
)
OF_ENTRY = (
    *("position", "entry_id", "kind", "service", "endpoint", "method", "status_code"),
    *("cost_micros", "prompt_tokens", "completion_tokens", "total_tokens", "model", "timestamp"),
    *("vanished_at", "changed_version"),
)


def of_listed_run(run: Run, agent_name: str | None, as_of: dt.datetime | None) -> dict[str, Any]:
    """`prompt_start`: the first characters of the prompt; from `rows.for_rows`."""
    opening: str | None = run.opening  # type: ignore[attr-defined]
    return _of_run(run, OF_LISTED_RUN) | {
        "prompt_start": opening,
        "agent_name": agent_name,
        "as_of": as_of,
    }


def of_run(run: Run, agent_name: str | None, as_of: dt.datetime | None) -> dict[str, Any]:
    return _of_run(run, OF_RUN) | {"agent_name": agent_name, "as_of": as_of}


def of_step(step: Step) -> dict[str, Any]:
    return _columns(step, OF_STEP) | _json("input", step.tool_input) | _json(
        "output", step.tool_output
    )  # fmt: skip


def of_entry(entry: UsageEntry) -> dict[str, Any]:
    return _columns(entry, OF_ENTRY) | _json("metadata", entry.metadata)


def encoded(shape: Any) -> bytes:
    return msgspec.json.encode(shape)


def _of_run(run: Run, names: tuple[str, ...]) -> dict[str, Any]:
    """Null also where nothing was read yet but what the list told."""
    told = _columns(run, names)
    return told if run.is_read else told | {"step_count": None, "tool_call_count": None}


def _columns(row: Run | Step | UsageEntry, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _json(name: str, text: str | None) -> dict[str, Any]:
    """The value that `text` spells, unchanged; the text itself under `<name>_text` if it spells
    none after all, or one that is nested deeper than a reader could follow."""
    if text is None:
        return {}
    try:
        msgspec.json.decode(text, type=msgspec.Raw)  # looks at it, and makes no number of it
    except (msgspec.DecodeError, RecursionError):
        return {f"{name}_text": text}
    return {name: msgspec.Raw(text.encode())}
