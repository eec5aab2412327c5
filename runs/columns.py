"""From wire shapes to columns: cleaned, fitted, and with absent told apart from null.

Pure functions. `unreported` paths are the API's own names, as on its reference page.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from runs import text
from runs.casedev.payloads import (
    AgentPayload,
    Details,
    EntryPayload,
    FinalResponse,
    ListedRun,
    Notes,
    Result,
    StepPayload,
    Summary,
    Usage,
)

type Columns = dict[str, Any]

LISTED_PROMPT_LENGTH = 200  # the list cuts a longer prompt to this


def of_run(details: Details, notes: Notes) -> Columns:
    """Columns of `Run` that the API's answer speaks of; None where it gave no value."""
    result = details.result or Result()
    final = result.final_response or FinalResponse()
    usage = details.usage or Usage()
    summary = usage.summary or Summary()
    return {
        "agent_id": _short(details.agent_id, 200, "agentId", notes),
        "status": _short(details.status, 64, "status", notes),
        "prompt": _long(details.prompt),
        "guidance": _long(details.guidance),
        "model": _short(details.model, 200, "model", notes),
        "workflow_id": _short(details.workflow_id, 200, "workflowId", notes),
        "modal_sandbox_id": _short(details.modal_sandbox_id, 200, "modalSandboxId", notes),
        "provider": _short(details.provider, 64, "provider", notes),
        "runtime_id": _short(details.runtime_id, 200, "runtimeId", notes),
        "runtime_state": _short(details.runtime_state, 64, "runtimeState", notes),
        "output": _long(result.output),
        "output_object_ids": _list(result.output_object_ids),
        "summary": _long(final.summary),
        "created_object_ids": _list(final.created_object_ids),
        "issues": _list(final.issues),
        "logs": _logs(result.logs),
        "usage_model": _short(usage.model, 200, "usage.model", notes),
        "input_tokens": _count(usage.input_tokens, "usage.inputTokens", notes),
        "output_tokens": _count(usage.output_tokens, "usage.outputTokens", notes),
        "tool_calls": _count(usage.tool_calls, "usage.toolCalls", notes),
        "duration_ms": _count(usage.duration_ms, "usage.durationMs", notes),
        "summary_cost_micros": _count(summary.cost_micros, "usage.summary.costMicros", notes),
        "total_input_tokens": _count(
            summary.total_input_tokens, "usage.summary.totalInputTokens", notes
        ),
        "total_output_tokens": _count(
            summary.total_output_tokens, "usage.summary.totalOutputTokens", notes
        ),
        "total_tokens": _count(summary.total_tokens, "usage.summary.totalTokens", notes),
        "created_at": _time(details.created_at, "createdAt", notes),
        "started_at": _time(details.started_at, "startedAt", notes),
        "completed_at": _time(details.completed_at, "completedAt", notes),
    }


def of_listed_run(listed: ListedRun, notes: Notes) -> Columns:
    """Columns of `Run` as far as the list tells them."""
    prompt = _long(listed.prompt)
    return {
        "agent_id": _short(listed.agent_id, 200, "agentId", notes),
        "status": _short(listed.status, 64, "status", notes) or "",
        "prompt": prompt,
        "prompt_is_cut": prompt is not None and len(prompt) >= LISTED_PROMPT_LENGTH,
        "model": _short(listed.model, 200, "model", notes),
        "created_at": _time(listed.created_at, "createdAt", notes),
        "started_at": _time(listed.started_at, "startedAt", notes),
        "completed_at": _time(listed.completed_at, "completedAt", notes),
    }


def of_step(step: StepPayload, path: str, notes: Notes) -> Columns:
    return {
        "step_id": _short(step.id, 200, f"{path}.id", notes),
        "type": _short(step.type, 64, f"{path}.type", notes) or "",
        "content": _long(step.content),
        "tool_name": _short(step.tool_name, 200, f"{path}.toolName", notes),
        "tool_input": _json(step.tool_input),
        "tool_output": _json(step.tool_output),
        "duration_ms": _count(step.duration_ms, f"{path}.durationMs", notes),
        "timestamp": _time(step.timestamp, f"{path}.timestamp", notes),
    }


def of_entry(entry: EntryPayload, path: str, notes: Notes) -> Columns:
    status_code = _count(entry.status_code, f"{path}.statusCode", notes)
    if status_code is not None and not -(2**31) <= status_code < 2**31:
        notes.append(f"{path}.statusCode is {status_code}, which no status code is.")
        status_code = None
    return {
        "entry_id": _short(entry.id, 200, f"{path}.id", notes),
        "kind": _short(entry.kind, 64, f"{path}.kind", notes) or "",
        "service": _short(entry.service, 200, f"{path}.service", notes),
        "endpoint": _long(entry.endpoint),
        "method": _short(entry.method, 32, f"{path}.method", notes),
        "status_code": status_code,
        "cost_micros": _count(entry.cost_micros, f"{path}.costMicros", notes),
        "prompt_tokens": _count(entry.prompt_tokens, f"{path}.promptTokens", notes),
        "completion_tokens": _count(entry.completion_tokens, f"{path}.completionTokens", notes),
        "total_tokens": _count(entry.total_tokens, f"{path}.totalTokens", notes),
        "model": _short(entry.model, 200, f"{path}.model", notes),
        "timestamp": _time(entry.timestamp, f"{path}.timestamp", notes),
        "metadata": _json(entry.metadata),
    }


_PATHS = {
    "output": "result.output",
    "output_object_ids": "result.outputObjectIds",
    "summary": "result.finalResponse.summary",
    "created_object_ids": "result.finalResponse.createdObjectIds",
    "issues": "result.finalResponse.issues",
    "logs": "result.logs",
    "usage_model": "usage.model",
    "input_tokens": "usage.inputTokens",
    "output_tokens": "usage.outputTokens",
    "tool_calls": "usage.toolCalls",
    "duration_ms": "usage.durationMs",
    "summary_cost_micros": "usage.summary.costMicros",
    "total_input_tokens": "usage.summary.totalInputTokens",
    "total_output_tokens": "usage.summary.totalOutputTokens",
    "total_tokens": "usage.summary.totalTokens",
}


def path_of(column: str) -> str:
    """Where the API's answer holds a column of `Run`."""
    return _PATHS.get(column) or key_of(column)


def key_of(column: str) -> str:
    """What the API calls a column within its own object."""
    first, *others = column.split("_")
    return "id" if column in ("step_id", "entry_id") else first + "".join(map(str.title, others))


def unreported(details: Details) -> list[str]:
    """Paths of the keys that were absent. Inside an absent or null object only it is named."""
    return sorted(_absent(details, ""))


def _absent(struct: Struct, prefix: str) -> Iterator[str]:
    names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    for attribute, name in names:
        value = getattr(struct, attribute)
        if value is UNSET:
            yield prefix + name
        elif isinstance(value, Struct):
            yield from _absent(value, f"{prefix}{name}.")


def _long(value: str | UnsetType | None) -> str | None:
    return text.clean(value) if isinstance(value, str) else None


def _short(value: str | UnsetType | None, length: int, path: str, notes: Notes) -> str | None:
    if not isinstance(value, str):
        return None
    if len(value) <= length:
        return text.clean(value)
    notes.append(f"{path} has {len(value):,} characters and is shown cut.")
    return text.fit(text.clean(value), length)


def _list(value: list[str] | UnsetType | None) -> list[str] | None:
    return [text.clean(item) for item in value] if isinstance(value, list) else None


def _logs(value: dict[str, Any] | UnsetType | None) -> list[list[str | None]] | None:
    if not isinstance(value, dict):
        return None
    return [[text.clean(name), _long(part)] for name, part in value.items()]


def _count(value: int | UnsetType | None, path: str, notes: Notes) -> int | None:
    if not isinstance(value, int):
        return None
    if text.whole(value) is None:
        notes.append(f"{path} is too large a number to be kept.")
    return text.whole(value)


def _time(value: str | UnsetType | None, path: str, notes: Notes) -> Any:
    if not isinstance(value, str):
        return None
    moment = text.moment(value)
    if moment is None:
        notes.append(f"{path} is not a time ({text.clean(value)[:40]}).")
    return moment


def _json(raw: Raw) -> str | None:
    """JSON text as sent; None for an absent key."""
    return str(raw, "utf-8") if raw else None


def of_agent(agent: AgentPayload) -> Columns:
    notes: Notes = []
    return {
        "name": _short(agent.name, 500, "name", notes),
        "description": _long(agent.description),
        "model": _short(agent.model, 200, "model", notes),
    }
