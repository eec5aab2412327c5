"""What is usual for an agent: how long its runs wait, and stay silent, when nothing is wrong.

Written once for each run that completes; read when a run looks as if it stood still, and then
kept for a while, since hundreds of rows may ask for one agent.
"""

import datetime as dt
import threading
import time
from typing import NamedTuple

from runs import direct, patience
from runs.models import Pace, Run, Step
from runs.patience import Patience

RECENT = 100  # runs of an agent that its habits are taken from
KEPT = 30.0  # seconds for which habits are remembered
MOST_KEPT = 2_000  # agents
WAIT_SHORTEST = 600.0  # a queued run waits for a person: nothing shorter is worth a word


class Habits(NamedTuple):
    """`silence`: without a new step, while running. `wait`: queued, before it starts."""

    silence: Patience
    wait: Patience


def note(run: Run, *, was_over: bool) -> None:
    """Remember how `run` went if it has just completed. `was_over`: it had ended before.

    Call in the transaction that stored the end. Runs that failed tell nothing of health.
    """
    if was_over or run.status != Run.Status.COMPLETED or not run.agent_id:
        return
    moments = direct.moments(Step, run.pk, "timestamp")
    silence = patience.longest_silence(run.started_at, moments, run.completed_at)
    Pace.objects.bulk_create(
        [
            Pace(
                run=run,
                agent_id=run.agent_id,
                wait_ms=_ms(run.created_at, run.started_at),
                silence_ms=None if silence is None or not run.step_count else _whole(silence),
                length_ms=_ms(run.started_at, run.completed_at),
            )
        ],
        ignore_conflicts=True,
    )


def of(agent_id: str | None) -> Habits:
    """The habits of an agent; of one that is unknown, the rule for everybody."""
    now = time.monotonic()
    with _lock:
        kept = _kept.get(agent_id or "")
    if kept and now - kept[0] < KEPT:
        return kept[1]
    habits = _read(agent_id or "")
    with _lock:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[agent_id or ""] = (now, habits)
    return habits


def forget() -> None:
    """Read all habits anew when they are next asked for."""
    with _lock:
        _kept.clear()


_kept: dict[str, tuple[float, Habits]] = {}
_lock = threading.Lock()


def _read(agent_id: str) -> Habits:
    rows = Pace.objects.filter(agent_id=agent_id) if agent_id else Pace.objects.none()
    spans = list(rows.order_by("-run").values_list("silence_ms", "wait_ms")[:RECENT])
    silences = [silence / 1000 for silence, _ in spans if silence is not None]
    waits = [wait / 1000 for _, wait in spans if wait is not None]
    return Habits(patience.of(silences), patience.of(waits, WAIT_SHORTEST))


def _ms(start: dt.datetime | None, end: dt.datetime | None) -> int | None:
    return None if start is None or end is None else max(_whole(end - start), 0)


def _whole(span: dt.timedelta) -> int:
    """Milliseconds."""
    return span // dt.timedelta(milliseconds=1)
