"""What Case.dev said of a run, field by field: with what it left out told from what it left empty.

Paths are the API's own names, as on its reference page and in `Run.unreported`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from runs.models import Run


@dataclass(frozen=True, slots=True)
class Field:
    """`absence` is "" for a value, else "not reported", "none", "empty" or "not fetched yet"."""

    label: str
    path: str
    value: Any
    absence: str

    @property
    def is_time(self) -> bool:
        return self.path.endswith("At")


# Label, path, column: ids and settings, which no other place of the pages shows in full.
FACTS = (
    ("Run", "id", "run_id"),
    ("Agent", "agentId", "agent_id"),
    ("Status", "status", "status"),
    ("Model asked for", "model", "model"),
    ("Model used", "usage.model", "usage_model"),
    ("Workflow", "workflowId", "workflow_id"),
    ("Provider", "provider", "provider"),
    ("Runtime", "runtimeId", "runtime_id"),
    ("Runtime state", "runtimeState", "runtime_state"),
    ("Modal sandbox", "modalSandboxId", "modal_sandbox_id"),
    ("Created", "createdAt", "created_at"),
    ("Started", "startedAt", "started_at"),
    ("Completed", "completedAt", "completed_at"),
)


def facts(run: Run) -> list[Field]:
    return [field(run, label, path, column) for label, path, column in FACTS]


def field(run: Run, label: str, path: str, column: str) -> Field:
    value = getattr(run, column)
    return Field(label, path, value, absence(run, path, value))


def absence(run: Run, path: str, value: Any) -> str:
    """Which nothing it is: nothing that was read yet, a key that was absent, a null, an empty text
    or list; "" for none."""
    if value is None and not run.is_read:
        return "not fetched yet"
    if value is None:
        return "not reported" if is_unreported(run.unreported, path) else "none"
    return "empty" if value in ("", []) else ""


def is_unreported(unreported: Collection[str], path: str) -> bool:
    """Whether the key, or an object around it, was absent from the last answer."""
    return any(part in unreported for part in _prefixes(path))


def _prefixes(path: str) -> Iterable[str]:
    names = path.split(".")
    return (".".join(names[:count]) for count in range(1, len(names) + 1))
