"""The allow-list: all that the pages of a link can tell, as frozen values.

Every text in here has been redacted. None means that there is nothing, or that the link does not
show it; which of the two, `Disclosure.shows` tells. Times are UTC, money is micro-dollars.
"""

import datetime as dt

import msgspec

from dashboard.disclosure.rules import Part


class Shown(msgspec.Struct, frozen=True):
    """Base of all; without defaults that a forgotten field could fall back to."""


class RunShown(Shown, frozen=True, kw_only=True):
    """How the run stands, what was asked and what came of it."""

    status: str
    is_active: bool
    created_at: dt.datetime | None
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    as_of: dt.datetime | None
    prompt: str | None
    guidance: str | None
    summary: str | None
    issues: tuple[str, ...]
    failure_cause: str | None
    step_count: int | None
    entry_count: int | None
    cost: "CostShown | None"
    ids: tuple[tuple[str, str], ...]
    objects: tuple[str, ...]


class CostShown(Shown, frozen=True, kw_only=True):
    cost_micros: int | None
    entries_micros: int | None
    summary_micros: int | None
    total_tokens: int | None
    model: str | None


class StepShown(Shown, frozen=True, kw_only=True):
    """`is_redacted`: nothing of it is told but that it is there. `state` of a tool call: "running",
    "done", "failed", or "open" if its outcome was never told; "" in copies made before it was kept.
    """

    position: int
    version: int
    is_redacted: bool = False
    type: str = ""
    tool: str | None = None
    at: dt.datetime | None = None
    duration_ms: int | None = None
    content: str | None = None
    tool_input: str | None = None
    tool_output: str | None = None
    state: str = ""


class EntryShown(Shown, frozen=True, kw_only=True):
    position: int
    kind: str
    service: str | None
    endpoint: str | None
    method: str | None
    status_code: int | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_micros: int | None
    at: dt.datetime | None
    metadata: str | None


class LogShown(Shown, frozen=True, kw_only=True):
    number: int
    name: str
    text: str


class Disclosure(Shown, frozen=True, kw_only=True):
    """All of it at once, as a frozen copy keeps it."""

    shows: frozenset[Part]
    run: RunShown
    output: str | None
    steps: tuple[StepShown, ...]
    entries: tuple[EntryShown, ...]
    logs: tuple[LogShown, ...]
