"""What is usual for an agent: how long its runs wait, and stay silent, when nothing is wrong.

Written once for each run that completes; read when a run looks as if it stood still, and then
kept for a while, since hundreds of rows may ask for one agent.
"""

import datetime as dt
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import batched
from typing import NamedTuple

from django.db import connection

from runs import direct, patience
from runs.models import Pace, Run, Step
from runs.patience import Patience

RECENT = 100  # runs of an agent that its habits are taken from
KEPT = 30.0  # seconds for which habits are remembered
MOST_KEPT = 2_000  # agents
AT_ONCE = 100  # agents that are read by one statement
WAIT_SHORTEST = 600.0  # a queued run waits for a person: nothing shorter is worth a word

OF_ONE = f"""
SELECT * FROM (
    SELECT agent_id, silence_ms, wait_ms FROM {Pace._meta.db_table}
    WHERE agent_id = %s ORDER BY run_id DESC LIMIT {RECENT}
) AS of_one"""


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
    return of_all([agent_id])[agent_id or ""]


def of_all(agent_ids: Iterable[str | None]) -> dict[str, Habits]:
    """The habits of several agents: what is not remembered is read together."""
    wanted, now = {agent_id or "" for agent_id in agent_ids}, time.monotonic()
    with _lock:
        kept = {agent_id: _kept[agent_id] for agent_id in wanted if agent_id in _kept}
    found = {agent_id: habits for agent_id, (at, habits) in kept.items() if now - at < KEPT}
    if fresh := _read(sorted(wanted - found.keys())):
        with _lock:
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
                _kept.update(kept)
            _kept.update((agent_id, (now, habits)) for agent_id, habits in fresh.items())
    return found | fresh


def forget() -> None:
    """Read all habits anew when they are next asked for."""
    with _lock:
        _kept.clear()


_kept: dict[str, tuple[float, Habits]] = {}
_lock = threading.Lock()


def _read(agent_ids: Sequence[str]) -> dict[str, Habits]:
    spans: dict[str, list[tuple[int | None, int | None]]] = {one: [] for one in agent_ids}
    for some in batched(filter(None, agent_ids), AT_ONCE):
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join([OF_ONE] * len(some)), some)
            for agent_id, *span in cursor.fetchall():
                spans[agent_id].append((span[0], span[1]))
    return {agent_id: _habits(of_one) for agent_id, of_one in spans.items()}


def _habits(spans: Iterable[tuple[int | None, int | None]]) -> Habits:
    silences = [silence / 1000 for silence, _ in spans if silence is not None]
    waits = [wait / 1000 for _, wait in spans if wait is not None]
    return Habits(patience.of(silences), patience.of(waits, WAIT_SHORTEST))


def _ms(start: dt.datetime | None, end: dt.datetime | None) -> int | None:
    return None if start is None or end is None else max(_whole(end - start), 0)


def _whole(span: dt.timedelta) -> int:
    """Milliseconds."""
    return span // dt.timedelta(milliseconds=1)
