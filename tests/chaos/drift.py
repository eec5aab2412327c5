"""What the record must say after an answer that drifted: an oracle that knows the API's names and
types by itself.

The product promises (runs/sync.py): what the API withdraws stays and is flagged by a note; what it
replaces is kept as a revision, where it is something that lasts; what it drops is marked and told;
a value of another type than documented is told; an unknown word is shown as it came, marked.
"""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from runs import text
from runs.models import Revision, Run, Step, UsageEntry
from tests.chaos.mutants import UNKNOWN

MISSING: Any = object()
MOST_NOTES = 45  # an answer in which much is wrong is not told of line by line (payloads.NOTES_CAP)

# Key in the item -> column and type; "json" is kept as it comes.
OF_STEP = {
    "id": ("step_id", "text"),
    "type": ("type", "text"),
    "content": ("content", "text"),
    "toolName": ("tool_name", "text"),
    "toolInput": ("tool_input", "json"),
    "toolOutput": ("tool_output", "json"),
    "durationMs": ("duration_ms", "whole"),
    "timestamp": ("timestamp", "time"),
}
OF_ENTRY = {
    "id": ("entry_id", "text"),
    "kind": ("kind", "text"),
    "service": ("service", "text"),
    "endpoint": ("endpoint", "text"),
    "method": ("method", "text"),
    "statusCode": ("status_code", "whole"),
    "costMicros": ("cost_micros", "whole"),
    "promptTokens": ("prompt_tokens", "whole"),
    "completionTokens": ("completion_tokens", "whole"),
    "totalTokens": ("total_tokens", "whole"),
    "model": ("model", "text"),
    "timestamp": ("timestamp", "time"),
    "metadata": ("metadata", "json"),
}
OF_RUN = {
    "agentId": ("agent_id", "text"),
    "status": ("status", "text"),
    "prompt": ("prompt", "text"),
    "guidance": ("guidance", "text"),
    "model": ("model", "text"),
    "workflowId": ("workflow_id", "text"),
    "modalSandboxId": ("modal_sandbox_id", "text"),
    "provider": ("provider", "text"),
    "runtimeId": ("runtime_id", "text"),
    "runtimeState": ("runtime_state", "text"),
    "result.output": ("output", "text"),
    "result.outputObjectIds": ("output_object_ids", "texts"),
    "result.finalResponse.summary": ("summary", "text"),
    "result.finalResponse.createdObjectIds": ("created_object_ids", "texts"),
    "result.finalResponse.issues": ("issues", "texts"),
    "result.logs": ("logs", "logs"),
    "usage.model": ("usage_model", "text"),
    "usage.inputTokens": ("input_tokens", "whole"),
    "usage.outputTokens": ("output_tokens", "whole"),
    "usage.toolCalls": ("tool_calls", "whole"),
    "usage.durationMs": ("duration_ms", "whole"),
    "usage.summary.costMicros": ("summary_cost_micros", "whole"),
    "usage.summary.totalInputTokens": ("total_input_tokens", "whole"),
    "usage.summary.totalOutputTokens": ("total_output_tokens", "whole"),
    "usage.summary.totalTokens": ("total_tokens", "whole"),
    "createdAt": ("created_at", "time"),
    "startedAt": ("started_at", "time"),
    "completedAt": ("completed_at", "time"),
}
OBJECTS = ("result", "result.finalResponse", "usage", "usage.summary")
MAY_GO = ("provider", "runtime_id", "runtime_state")  # they tell of the sandbox as it is now
# Of a run, an earlier value of these is kept. Its other columns move as it goes on.
LASTING = (
    *("agent_id", "prompt", "guidance", "output", "summary"),
    *("created_at", "started_at", "completed_at", "summary_cost_micros"),
)
RISING = ("duration_ms", "summary_cost_micros")


class Record(NamedTuple):
    """All that is stored of a run; steps and entries by their keys."""

    run: dict[str, Any]
    steps: dict[int, dict[str, Any]]
    entries: dict[int, dict[str, Any]]

    @property
    def notes(self) -> list[str]:
        return [item["text"] for item in self.run["contradictions"]]


def record_of(run: Run) -> Record:
    columns = [column for column, _ in OF_RUN.values()]
    row = Run.objects.filter(pk=run.pk).values("contradictions", "version", *columns).get()
    steps, entries = (
        {
            item["pk"]: item
            for item in model._default_manager.filter(run=run).values(
                "pk", "position", "vanished_at", *(column for column, _ in keys.values())
            )
        }
        for model, keys in ((Step, OF_STEP), (UsageEntry, OF_ENTRY))
    )
    return Record(row, steps, entries)


class Judge:
    """Compares what was stored before an answer with what is after it."""

    def __init__(self, run: Run, before: Record, after: Record, mutant: bytes, words: str) -> None:
        self.before, self.after, self.words = before, after, words
        self.answer = json.loads(mutant)
        self.notes = after.notes
        told = Revision.objects.filter(run=run, replaced_version=after.run["version"])
        # What a revision held is looked for in its body by the value.
        self.replaced = [
            (of, position, json.loads(body))
            for of, position, body in told.values_list("of", "position", "body")
        ]

    def judge(self) -> None:
        self._judge_run()
        steps = dig(self.answer, "steps")
        entries = dig(self.answer, "usage.entries")
        self._judge_list("steps", steps, OF_STEP, self.before.steps, self.after.steps)
        self._judge_list(
            "usage.entries", entries, OF_ENTRY, self.before.entries, self.after.entries
        )

    # The run's own columns

    def _judge_run(self) -> None:
        for path in OBJECTS:
            given = dig(self.answer, path)
            if given not in (MISSING, None) and not isinstance(given, dict):
                self._must_say(f"{path} is not an object.")
        is_over = self.before.run["status"] in Run.TERMINAL
        for path, (column, kind) in OF_RUN.items():
            given = dig(self.answer, path)
            self._judge_type(path, given, kind)
            was, now = self.before.run[column], self.after.run[column]
            if was in (None, ""):
                continue
            if is_nothing(given, kind):
                if column not in MAY_GO:
                    self._must_be_kept(path, was, now)
            elif column == "status" and is_over:
                assert now == was, f"I3: {self.words}"
                said = given if isinstance(given, str) else json.dumps(given)
                if said != was:
                    self._must_say(f"Case.dev said {said} after {was}.")
            elif now != was and column in LASTING and not is_gain(column, was, now, is_over):
                self._must_have_replaced(Revision.Of.RUN, 0, column, was)

    # Steps and entries

    def _judge_list(
        self,
        path: str,
        given: Any,
        keys: dict[str, tuple[str, str]],
        before: dict[int, dict[str, Any]],
        after: dict[int, dict[str, Any]],
    ) -> None:
        assert before.keys() <= after.keys(), f"{self.words}: one of {path} was deleted"
        if not isinstance(given, list):
            if before:
                self._must_say(f"{path} is no longer reported; the last ones are shown.")
            if given not in (MISSING, None):
                self._must_say(f"{path} had an unexpected type")
            given = []
            assert all(row == before[pk] for pk, row in after.items()), self.words
            return
        for place, item in enumerate(given, 1):
            where = f"{path}[{place}]"
            if not isinstance(item, dict):
                self._must_say(f"{where} is not an object.")
                continue
            for key, (_, kind) in keys.items():
                self._judge_type(f"{where}.{key}", item.get(key, MISSING), kind)
        gone = [pk for pk in before if after[pk]["vanished_at"]]
        if gone:
            self._must_say(f"{len(gone)} of {path} vanished upstream.")
        for pk, old in before.items():
            if pk not in gone:
                item = given[after[pk]["position"] - 1]
                self._judge_row(path, item, keys, old, after[pk])

    def _judge_row(
        self,
        path: str,
        item: Any,
        keys: dict[str, tuple[str, str]],
        old: dict[str, Any],
        new: dict[str, Any],
    ) -> None:
        of = Revision.Of.STEP if path == "steps" else Revision.Of.ENTRY
        for key, (column, kind) in keys.items():
            given = item.get(key, MISSING) if isinstance(item, dict) else MISSING
            was, now = old[column], new[column]
            if was in (None, "") or (kind == "json" and was == "null"):
                continue
            if now != was:
                if not is_gain(column, was, now, is_over=False):
                    self._must_have_replaced(of, new["position"], column, was)
            elif is_nothing(given, kind):
                self._must_be_kept(f"{path}[{new['position']}].{key}", was, now)

    # What is required

    def _judge_type(self, path: str, given: Any, kind: str) -> None:
        if given not in (MISSING, None) and not is_of(given, kind):
            self._must_say(f"{path} had an unexpected type")
        elif kind == "time" and isinstance(given, str) and text.moment(given) is None:
            self._must_say(f"{path} is not a time")

    def _must_be_kept(self, path: str, was: Any, now: Any) -> None:
        assert now == was, f"{self.words}: {path} was lost"
        self._must_say(f"{path} is no longer reported; the last value is shown.")

    def _must_say(self, opening: str) -> None:
        is_told = any(note.startswith(opening) for note in self.notes)
        assert is_told or len(self.notes) > MOST_NOTES, f"{self.words}: nothing says: {opening}"

    def _must_have_replaced(self, of: str, position: int, column: str, was: Any) -> None:
        wanted = was.isoformat() if isinstance(was, dt.datetime) else was
        kept = [
            body.get(column)
            for kind, place, body in self.replaced
            if (kind, place) == (of, position)
        ]
        same = [it for it in kept if it == wanted or _moment(it) == was]
        assert same, f"{self.words}: {of} {position} lost its {column}, {was!r}"


def _moment(value: Any) -> Any:
    return text.moment(value) if isinstance(value, str) else None


def dig(whole: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(whole, dict) or key not in whole:
            return MISSING
        whole = whole[key]
    return whole


def is_of(value: Any, kind: str) -> bool:
    """Whether `value` is of the documented type."""
    match kind:
        case "text" | "time":
            return isinstance(value, str)
        case "whole":
            return isinstance(value, int) and not isinstance(value, bool)
        case "texts":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "logs":
            return isinstance(value, dict) and all(
                isinstance(one, str | None) for one in value.values()
            )
    return True


def is_nothing(value: Any, kind: str) -> bool:
    """Whether `value` tells nothing that could be a value of this kind."""
    if value is MISSING or value is None:
        return True
    match kind:
        case "whole":
            return isinstance(value, bool) or not isinstance(value, int | float)
        case "time":
            return not isinstance(value, str) or text.moment(value) is None
        case "texts":
            return not isinstance(value, list | str)
        case "logs":
            return not isinstance(value, dict | list | str)
    return False


def is_gain(column: str, was: Any, now: Any, is_over: bool) -> bool:
    """Whether `now` only adds to `was`, which then needs not be kept."""
    if column in RISING and now is not None and not is_over:
        return bool(now >= was)
    if isinstance(was, str) and isinstance(now, str):
        if column.startswith("tool_") and was.startswith('"') and now.startswith('"'):
            was = was[:-1]
        return now.startswith(was)
    return False


def unknown_words(mutant: bytes, was_terminal: bool) -> Iterator[tuple[str, str]]:
    """The tab, and the mark that must stand on it, of each kind of word that nobody knows."""
    answer = json.loads(mutant)
    if answer.get("status") == UNKNOWN and not was_terminal:
        yield "", "Unknown status."
    if _any_is_unknown(dig(answer, "steps"), "type"):
        yield "", "unknown type"
    if _any_is_unknown(dig(answer, "usage.entries"), "kind"):
        yield "cost/", ">unknown</small>"


def _any_is_unknown(items: Any, key: str) -> bool:
    items = items if isinstance(items, list) else []
    return any(isinstance(one, dict) and one.get(key) == UNKNOWN for one in items)
