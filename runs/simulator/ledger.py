"""The ground truth that a client's record can be compared with."""

from typing import Any

from runs.simulator.clock import iso, iso_or_none
from runs.simulator.run import SimulatedRun


def run_ledger(run: SimulatedRun, now_ms: int) -> dict[str, Any]:
    """What has become visible by now and when, and what it all sums to by now.

    `visibleAt` is the first moment at which a client could see the step, `completedAt` the first
    at which it could see its answer. `finalTotals` are those of the whole run.
    """
    line = run.timeline
    seen, charged = line.seen(now_ms), line.charged(now_ms)
    return {
        "id": run.id,
        "script": run.facts.script,
        "seed": run.facts.seed,
        "agentId": run.facts.agent_id,
        "status": run.status(now_ms),
        "createdAt": iso(run.facts.created_ms),
        "startedAt": iso_or_none(run.facts.started_ms),
        "endsAt": iso_or_none(run.end_ms),
        "steps": [_step_ledger(run, position, now_ms) for position in range(seen)],
        "totals": _totals(run, seen, charged),
        "finalTotals": _totals(run, len(line.moments), len(line.entries)),
    }


def run_summary(run: SimulatedRun, now_ms: int) -> dict[str, Any]:
    """The same without the steps, for the ledger of the whole world."""
    return {key: value for key, value in run_ledger(run, now_ms).items() if key != "steps"}


def _step_ledger(run: SimulatedRun, position: int, now_ms: int) -> dict[str, Any]:
    moment = run.timeline.moments[position]
    done = moment.done_ms is not None and moment.done_ms <= now_ms
    return {
        "id": f"step_{position + 1:03d}",
        "visibleAt": iso(moment.visible_ms),
        "completedAt": iso_or_none(moment.done_ms) if done else None,
    }


def _totals(run: SimulatedRun, seen: int, charged: int) -> dict[str, int]:
    sums = run.timeline.totals(charged)
    return {
        "steps": seen,
        "toolCalls": run.timeline.tool_calls(seen),
        "entries": charged,
        "costMicros": sums.cost_micros,
        "inputTokens": sums.prompt_tokens,
        "outputTokens": sums.completion_tokens,
    }
