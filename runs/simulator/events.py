"""Server-sent events of a run, with whole-number ids that can be replayed from.

Names and shapes are undocumented (API facts, events); these follow the details answer.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from runs.simulator.run import SimulatedRun
from runs.simulator.world import World

KEEP_ALIVE_MS = 15_000


def _ordered(run: SimulatedRun) -> list[tuple[int, str, int | None]]:
    """Every event of the run as (moment, name, step position), in the order of time."""
    facts, line = run.facts, run.timeline
    events: list[tuple[int, str, int | None]] = [(facts.created_ms, "run.queued", None)]
    if facts.started_ms is not None:
        events.append((facts.started_ms, "run.started", None))
    for position, moment in enumerate(line.moments):
        events.append((moment.visible_ms, "step.created", position))
        if moment.done_ms is not None and moment.done_ms > moment.visible_ms:
            events.append((moment.done_ms, "step.updated", position))
    if run.end_ms is not None:
        events.append((run.end_ms, "run.ended", None))
    return sorted(events, key=lambda event: event[0])


def _payload(run: SimulatedRun, name: str, position: int | None, at_ms: int) -> dict[str, Any]:
    payload: dict[str, Any] = {"type": name, "runId": run.id}
    if position is not None:
        payload["step"] = run.step(position, at_ms)
    else:
        payload["run"] = run.status_answer(at_ms)
    return payload


def _frame(sequence: int, name: str, payload: dict[str, Any]) -> bytes:
    data = msgspec.json.encode(payload)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (sequence, name.encode(), data)


async def event_stream(world: World, run: SimulatedRun, after: int) -> AsyncIterator[bytes]:
    """Events with a sequence number above `after`, until the run has ended."""
    sequence = 0
    quiet_since_ms = world.now_ms()
    line, events = run.timeline, _ordered(run)
    while True:
        now_ms = world.now_ms()
        if run.timeline is not line:  # started or cancelled meanwhile
            line, events = run.timeline, _ordered(run)
        due = sum(1 for at_ms, _, _ in events if at_ms <= now_ms)
        while sequence < due:
            at_ms, name, position = events[sequence]
            sequence += 1
            if sequence > after:
                yield _frame(sequence, name, _payload(run, name, position, at_ms))
                quiet_since_ms = now_ms
        if run.ended(now_ms):
            return
        if now_ms - quiet_since_ms > KEEP_ALIVE_MS:
            yield b": keep-alive\n\n"
            quiet_since_ms = now_ms
        await world.clock.pause(run.next_change_ms(now_ms))
