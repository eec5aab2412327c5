"""One simulated run: its facts, and what the API says about it at a given moment."""

from bisect import bisect_right
from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

import msgspec

from runs.simulator.body import Block, Body, FragmentLog
from runs.simulator.clock import iso, iso_or_none
from runs.simulator.script import Performance, ScriptedEntry, ScriptedResult
from runs.simulator.timeline import Moment, Timeline, Totals, shaped_output
from runs.simulator.variants import Variant

TERMINAL = ("completed", "failed", "cancelled")
CUT_SHORT = 0.7  # the part of a script that is played if the variant makes it fail
CANCELLED_AFTER = 0.4  # the same for the variant that cancels it while it runs
# Control characters cannot occur in JSON text, so these can mark where the long lists go.
_STEPS_GO_HERE = b"\x01"
_ENTRIES_GO_HERE = b"\x02"


class RunFacts(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """All that has to be remembered of a run; one line of the state file."""

    id: str
    script: str
    seed: int
    agent_id: str
    created_ms: int
    length_ms: int
    outcome: Literal["completed", "failed"] = "completed"
    speed: float = 1.0
    variant: Variant = Variant()
    arguments: dict[str, Any] = {}
    prompt: str = ""
    guidance: str | None = None
    model: str | None = None
    object_ids: list[str] = []
    started_ms: int | None = None
    cancelled_ms: int | None = None


class SimulatedRun:
    """Answers for one run. `play` gives its performance and may be called more than once."""

    def __init__(self, facts: RunFacts, play: Callable[[], Performance]) -> None:
        self.facts = facts
        self._play = play
        self._lock = Lock()
        self._timeline: Timeline | None = None
        self._changes_ms: list[int] = []
        self._body: tuple[int, Body] | None = None
        self._steps = FragmentLog()
        self._entries = FragmentLog()

    # Where the run stands

    @property
    def id(self) -> str:
        return self.facts.id

    @property
    def end_ms(self) -> int | None:
        """When it ends or ended by itself or was cancelled; None while nobody started it."""
        facts = self.facts
        if facts.cancelled_ms is not None or facts.started_ms is None:
            return facts.cancelled_ms
        share = {"failed_logs_only": CUT_SHORT, "failed_null_result": CUT_SHORT}
        part = share.get(facts.variant.outcome, 1.0)
        return facts.started_ms + round(facts.length_ms * part / facts.speed)

    def status(self, now_ms: int) -> str:
        facts, end_ms = self.facts, self.end_ms
        if facts.cancelled_ms is not None and now_ms >= facts.cancelled_ms:
            return "cancelled"
        if facts.started_ms is None or now_ms < facts.started_ms:
            return "queued"
        if end_ms is not None and now_ms >= end_ms:
            failed = facts.variant.outcome in ("failed_logs_only", "failed_null_result")
            return "failed" if failed else facts.outcome
        return "running"

    def ended(self, now_ms: int) -> bool:
        return self.status(now_ms) in TERMINAL

    def changed(self) -> None:
        """Forget what was derived, after the facts changed."""
        with self._lock:
            self._timeline = None
            self._body = None
            self._steps, self._entries = FragmentLog(), FragmentLog()

    # Short answers

    def status_answer(self, now_ms: int) -> dict[str, Any]:
        started_ms, completed_ms = self._bounds(now_ms)
        last_ms = now_ms if completed_ms is None else completed_ms
        return {
            "id": self.id,
            "status": self._shown_status(now_ms),
            "startedAt": iso_or_none(started_ms),
            "completedAt": iso_or_none(completed_ms),
            "durationMs": None if started_ms is None else last_ms - started_ms,
        }

    def list_item(self, now_ms: int) -> dict[str, Any]:
        started_ms, completed_ms = self._bounds(now_ms)
        return {
            "id": self.id,
            "agentId": self.facts.agent_id,
            "status": self._shown_status(now_ms),
            "prompt": self.facts.prompt[:200],
            "model": self.facts.model,
            "createdAt": iso(self.facts.created_ms),
            "startedAt": iso_or_none(started_ms),
            "completedAt": iso_or_none(completed_ms),
        }

    # The full audit trail

    @property
    def timeline(self) -> Timeline:
        if self._timeline is None:
            facts = self.facts
            start_ms = facts.created_ms if facts.started_ms is None else facts.started_ms
            # A run that was never started has an empty timeline, so it ends before it begins.
            end_ms = start_ms - 1 if facts.started_ms is None else self.end_ms
            assert end_ms is not None
            self._timeline = Timeline(self._play(), facts.variant, start_ms, end_ms, facts.speed)
            self._changes_ms = self._all_changes_ms(self._timeline)
        return self._timeline

    def revision(self, now_ms: int) -> int:
        """Rises each time the answer changes; equal revisions mean equal bytes."""
        assert self.timeline
        return bisect_right(self._changes_ms, now_ms)

    def next_change_ms(self, now_ms: int) -> int | None:
        revision = self.revision(now_ms)
        return self._changes_ms[revision] if revision < len(self._changes_ms) else None

    def details(self, now_ms: int) -> dict[str, Any]:
        """The answer of GET details as plain objects, computed from nothing but facts and time."""
        line = self.timeline
        seen, charged = line.seen(now_ms), self._charged(now_ms)
        steps = [self.step(position, now_ms) for position in range(seen)]
        entries = [self._entry(entry) for entry in line.entries[:charged]]
        return self._answer(now_ms, seen, charged, steps, entries)

    def body(self, now_ms: int) -> Body:
        """The same answer encoded; the very same object as long as nothing changed."""
        with self._lock:
            revision = self.revision(now_ms)
            if self._body is None or self._body[0] != revision:
                self._body = (revision, self._encoded(now_ms))
            return self._body[1]

    def step(self, position: int, now_ms: int) -> dict[str, Any]:
        moment = self.timeline.moments[position]
        done = moment.done_ms is not None and moment.done_ms <= now_ms
        return self._without_nulls(self._step(position, moment, done))

    def _all_changes_ms(self, line: Timeline) -> list[int]:
        facts = self.facts
        changes = {facts.created_ms, *line.changes_ms()}
        for moment_ms in (facts.started_ms, self.end_ms):
            if moment_ms is not None:
                changes.add(moment_ms)
        if facts.variant.late_costs != "none" and self.end_ms is not None:
            changes.add(self.end_ms + round(facts.variant.late_costs_seconds * 1000))
        return sorted(changes)

    def _encoded(self, now_ms: int) -> Body:
        line = self.timeline
        seen, charged = line.seen(now_ms), self._charged(now_ms)
        frame = self._answer(
            now_ms, seen, charged, msgspec.Raw(_STEPS_GO_HERE), msgspec.Raw(_ENTRIES_GO_HERE)
        )
        before, after = msgspec.json.encode(frame).split(_STEPS_GO_HERE)
        head, found, rest = before.partition(_ENTRIES_GO_HERE)
        parts = [Block(head)]
        if found:
            parts += [Block(b"["), *self._entry_parts(charged), Block(b"]" + rest)]
        return Body([*parts, Block(b"["), *self._step_parts(seen, now_ms), Block(b"]" + after)])

    def _step_parts(self, seen: int, now_ms: int) -> list[Block]:
        line, log = self.timeline, self._steps
        if log.count > seen:  # asked about an earlier moment than before
            log = self._steps = FragmentLog()
        while log.count < seen:
            done_ms = line.moments[log.count].done_ms
            if done_ms is None or done_ms > now_ms:
                break
            log.append(msgspec.json.encode(self.step(log.count, now_ms)))
        if log.count and (line.moments[log.count - 1].done_ms or 0) > now_ms:
            log = self._steps = FragmentLog()
            return self._step_parts(seen, now_ms)
        unfinished = [
            msgspec.json.encode(self.step(position, now_ms)) for position in range(log.count, seen)
        ]
        return log.parts(unfinished)

    def _entry_parts(self, charged: int) -> list[Block]:
        log = self._entries
        if log.count > charged:
            log = self._entries = FragmentLog()
        for entry in self.timeline.entries[log.count : charged]:
            log.append(msgspec.json.encode(self._entry(entry)))
        return log.parts([])

    def _answer(
        self, now_ms: int, seen: int, charged: int, steps: object, entries: object
    ) -> dict[str, Any]:
        facts, fields = self.facts, self.facts.variant.fields
        started_ms, completed_ms = self._bounds(now_ms)
        answer: dict[str, Any] = {
            "id": facts.id,
            "agentId": facts.agent_id,
            "status": self._shown_status(now_ms),
            "prompt": facts.prompt,
            "guidance": facts.guidance,
            "model": facts.model,
            "workflowId": None if started_ms is None else f"wf_{facts.id[4:]}",
            "modalSandboxId": None,
        }
        if fields == "newer":
            answer |= self._runtime(now_ms)
        elif started_ms is not None:
            answer["modalSandboxId"] = f"sb-{facts.id[4:]}"
        answer["result"] = self._result(now_ms)
        usage = self._usage(now_ms, seen, charged, entries)
        if facts.variant.usage != "absent":
            answer["usage"] = usage
        answer["steps"] = steps
        answer["createdAt"] = iso(facts.created_ms)
        answer["startedAt"] = iso_or_none(started_ms)
        answer["completedAt"] = iso_or_none(completed_ms)
        return self._without_nulls(answer)

    def _bounds(self, now_ms: int) -> tuple[int | None, int | None]:
        started_ms = self.facts.started_ms
        if started_ms is not None and started_ms > now_ms:
            started_ms = None
        return started_ms, self.end_ms if self.ended(now_ms) else None

    def _shown_status(self, now_ms: int) -> str:
        status = self.status(now_ms)
        return (
            "paused" if self.facts.variant.unknown == "status" and status == "running" else status
        )

    def _runtime(self, now_ms: int) -> dict[str, Any]:
        status = self.status(now_ms)
        if self._bounds(now_ms)[0] is None:
            return {"provider": None, "runtimeId": None, "runtimeState": None}
        state = {"running": "running", "completed": "ended", "failed": "error"}.get(
            status, "stopped"
        )
        provider = "daytona" if self.facts.seed % 3 else "vercel"
        if self.facts.variant.unknown == "values":
            provider = "modal"
        runtime_id = f"sandbox_{self.facts.id[4:]}"
        return {"provider": provider, "runtimeId": runtime_id, "runtimeState": state}

    def _result(self, now_ms: int) -> dict[str, Any] | None:
        status, variant = self.status(now_ms), self.facts.variant
        scripted = self.timeline.played.result
        if status not in ("completed", "failed") or variant.outcome == "failed_null_result":
            return None
        if variant.outcome == "failed_logs_only":
            return {"logs": self._logs()}
        if scripted is None:
            return None
        result: dict[str, Any] = {}
        if scripted.output is not None:
            result["output"] = scripted.output
        if variant.fields != "oldest":
            if scripted.output is not None:
                result["outputObjectIds"] = scripted.object_ids
            if scripted.summary or scripted.issues:
                result["finalResponse"] = self._final_response(scripted)
        result["logs"] = self._logs()
        return result

    def _final_response(self, scripted: ScriptedResult) -> dict[str, Any]:
        return self._without_nulls(
            {
                "summary": scripted.summary,
                "createdObjectIds": scripted.object_ids,
                "issues": scripted.issues,
            }
        )

    def _logs(self) -> dict[str, str]:
        line = self.timeline
        newer = self.facts.variant.fields == "newer"
        server_key = line.played.server_log_key if newer else "opencode"
        logs = {"runner": line.logs("runner"), server_key: line.logs("server")}
        if self.facts.variant.unknown == "values":
            logs["kernel"] = "nothing to report"
        return logs

    def _charged(self, now_ms: int) -> int:
        """Entries on record, less those which the variant holds back after the end."""
        charged = self.timeline.charged(now_ms)
        variant, end_ms = self.facts.variant, self.end_ms
        if variant.late_costs == "none" or end_ms is None:
            return charged
        if now_ms >= end_ms + round(variant.late_costs_seconds * 1000):
            return charged
        return min(charged, len(self.timeline.entries) // 2) if variant.late_costs == "grow" else 0

    def _usage(
        self, now_ms: int, seen: int, charged: int, entries: object
    ) -> dict[str, Any] | None:
        facts, variant, line = self.facts, self.facts.variant, self.timeline
        status = self.status(now_ms)
        if self._bounds(now_ms)[0] is None:
            return None
        if variant.usage == "null_while_running" and status == "running":
            return None
        sums = line.totals(charged)
        own = line.totals(line.charged(now_ms))
        end_ms = self.end_ms if status in TERMINAL else self._last_change_ms(now_ms)
        usage: dict[str, Any] = {
            "model": facts.model or line.played.model,
            "inputTokens": own.own_prompt_tokens,
            "outputTokens": own.own_completion_tokens,
            "toolCalls": line.tool_calls(seen),
            "durationMs": (end_ms or now_ms) - line.start_ms,
        }
        if variant.fields == "oldest" or (charged == 0 and variant.late_costs == "arrive"):
            return usage
        if variant.usage != "no_summary":
            usage["summary"] = _summary(sums)
        if variant.usage != "no_entries":
            usage["entries"] = entries
        return usage

    def _last_change_ms(self, now_ms: int) -> int:
        """While it runs, usage is as of its last event: a poll alone must not change the body."""
        return self._changes_ms[max(0, self.revision(now_ms) - 1)]

    def _step(self, position: int, moment: Moment, done: bool) -> dict[str, Any]:
        step, variant = moment.step, self.facts.variant
        answered = done and moment.part != "call" and step.type == "tool_call"
        output = shaped_output(step.tool_output, variant.tool_output) if answered else None
        type_: str = "tool_result" if moment.part == "result" else step.type
        if variant.unknown == "values" and type_ == "thinking":
            type_ = "reflection"
        return {
            "id": f"step_{position + 1:03d}",
            "type": type_,
            "content": step.content,
            "toolName": step.tool_name,
            "toolInput": None if moment.part == "result" else step.tool_input,
            "toolOutput": output,
            "durationMs": moment.took_ms if answered else None,
            "timestamp": iso(moment.timestamp_ms),
        }

    def _entry(self, entry: ScriptedEntry) -> dict[str, Any]:
        llm = entry.kind == "llm"
        total = (entry.prompt_tokens or 0) + (entry.completion_tokens or 0) if llm else None
        kind: str = entry.kind
        if kind == "api" and self.facts.variant.unknown == "values":
            kind = "storage"
        return self._without_nulls(
            {
                "id": entry.id,
                "kind": kind,
                "service": entry.service,
                "endpoint": entry.endpoint,
                "method": entry.method,
                "statusCode": entry.status_code,
                "costMicros": entry.cost_micros,
                "promptTokens": entry.prompt_tokens,
                "completionTokens": entry.completion_tokens,
                "totalTokens": total,
                "model": entry.model,
                "timestamp": iso(self.timeline.wall(entry.at_ms)),
                "metadata": entry.metadata,
            }
        )

    def _without_nulls(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Some answers leave a key out where others say null; a tool's own data is not touched."""
        if self.facts.variant.nulls == "explicit":
            return fields
        return {key: value for key, value in fields.items() if value is not None}


def _summary(sums: Totals) -> dict[str, int]:
    return {
        "costMicros": sums.cost_micros,
        "totalInputTokens": sums.prompt_tokens,
        "totalOutputTokens": sums.completion_tokens,
        "totalTokens": sums.prompt_tokens + sums.completion_tokens,
    }
