"""Which runs look stuck, and why.

"Stalled" is our own label beside the API's status, never instead of it. Three clocks are kept
apart: a queued run that nobody starts, a running one that gives no sign for far longer than its
agent's runs usually do (`habits`), and our own poller, whose delay says nothing of the run.
"""

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Self

import msgspec
from django.db import connection

from runs import habits, patience
from runs.freshness import LATE_AFTER, how_long
from runs.models import Poll, Run

# Habits are asked for only beyond these, and never say that less is long.
QUEUED_LONG = dt.timedelta(seconds=habits.WAIT_SHORTEST)
NO_STEP_LONG = dt.timedelta(seconds=patience.SHORTEST)
SANDBOX_LIMIT = dt.timedelta(minutes=35)  # the documented 30 minutes, and some grace
SIGHT = dt.timedelta(seconds=90)  # beyond the slowest pace, what we know of a run is old

# Each kind is the beginning of an index, so that however many run none but these are read. The same
# SQL on both databases.
SUSPECTS = """
SELECT id FROM (
    SELECT * FROM (
        SELECT id, listed_at AS since FROM runs_run
        WHERE status = 'queued' AND listed_at < %(queued)s
        ORDER BY listed_at LIMIT %(most)s
    ) AS waiting
    UNION ALL SELECT * FROM (
        SELECT id, started_at FROM runs_run
        WHERE status = 'running' AND started_at < %(begun)s
        ORDER BY started_at LIMIT %(most)s
    ) AS past_limit
    UNION ALL SELECT * FROM (
        SELECT id, last_step_at FROM runs_run
        WHERE status = 'running' AND last_step_at < %(told)s AND step_count > 0
        ORDER BY last_step_at LIMIT %(most)s
    ) AS silent
    UNION ALL SELECT * FROM (
        SELECT id, started_at FROM runs_run
        WHERE status = 'running' AND last_step_at IS NULL AND step_count > 0
            AND started_at < %(told)s
        ORDER BY last_step_at, step_count LIMIT %(most)s
    ) AS untimed
) AS suspects
GROUP BY id ORDER BY min(since), id LIMIT %(most)s
"""


class StallCause(StrEnum):
    QUEUED = "queued"
    NO_STEP = "no-step"
    PAST_LIMIT = "past-limit"


class Stall(msgspec.Struct, frozen=True):
    cause: StallCause
    sentence: str


class Signs(NamedTuple):
    """What a stall is told by."""

    status: str
    agent_id: str | None
    created_at: dt.datetime | None
    first_seen_at: dt.datetime
    started_at: dt.datetime | None
    step_count: int
    last_step_at: dt.datetime | None
    failures: int
    due_at: dt.datetime | None
    last_ok_at: dt.datetime | None

    @classmethod
    def of(cls, run: Run, poll: Poll) -> Self:
        return cls(
            *(getattr(run, name) for name in _OF_RUN), *(getattr(poll, name) for name in _OF_POLL)
        )


_OF_RUN, _OF_POLL = Signs._fields[:7], Signs._fields[7:]


def suspects(now: dt.datetime, most: int) -> tuple[dict[int, Signs], bool]:
    """Of `most` runs that may be stalled, by key, in the order in which that began to be long; and
    whether there are more. All others are not."""
    spans = {"queued": QUEUED_LONG, "begun": SANDBOX_LIMIT, "told": NO_STEP_LONG}
    adapt = connection.ops.adapt_datetimefield_value
    since: dict[str, Any] = {name: adapt(now - span) for name, span in spans.items()}
    with connection.cursor() as cursor:
        cursor.execute(SUSPECTS, since | {"most": most + 1})
        keys = [pk for (pk,) in cursor.fetchall()]
    names = *_OF_RUN, *(f"poll__{name}" for name in _OF_POLL)
    seen = {"poll__failures": 0, "poll__last_ok_at__gte": now - SIGHT}  # or nothing is said of them
    rows = Run.objects.filter(pk__among=keys[:most], **seen).order_by()
    told = {pk: Signs(*signs) for pk, *signs in rows.values_list("pk", *names)}
    habits.of_all(signs.agent_id for signs in told.values())  # together, not one by one
    return {pk: told[pk] for pk in keys if pk in told}, len(keys) > most


def prepare(runs: Iterable[Run], now: dt.datetime) -> None:
    """Read together what `stall` would read one by one, the habits of the agents that it asks
    for."""
    habits.of_all(run.agent_id for run in runs if _seems_long(run, now))


def _seems_long(run: Run, now: dt.datetime) -> bool:
    match run.status:
        case Run.Status.QUEUED:
            return now - (run.created_at or run.first_seen_at) > QUEUED_LONG
        case Run.Status.RUNNING:
            return (
                run.step_count > 0
                and now - (run.last_step_at or run.started_at or now) > NO_STEP_LONG
            )
    return False


def stall(run: Run, poll: Poll | None, now: dt.datetime) -> Stall | None:
    """Why `run` looks stuck, if it does and our own sight of it is good."""
    return told_by(Signs.of(run, poll), now) if poll else None


def told_by(signs: Signs, now: dt.datetime) -> Stall | None:
    if signs.failures or signs.last_ok_at is None or now - signs.last_ok_at > SIGHT:
        return None
    if signs.due_at is not None and now - signs.due_at > LATE_AFTER:
        return None
    match signs.status:
        case Run.Status.QUEUED:
            return _unstarted(signs, now)
        case Run.Status.RUNNING:
            return _past_limit(signs, now) or _silent(signs, now)
    return None


def _unstarted(signs: Signs, now: dt.datetime) -> Stall | None:
    waiting = now - (signs.created_at or signs.first_seen_at)
    if waiting <= QUEUED_LONG:
        return None
    usual = habits.of(signs.agent_id).wait
    if waiting.total_seconds() <= usual.seconds:
        return None
    known = _usually(usual, "did not wait for longer than")
    sentence = f"queued for {how_long(waiting)}, and nobody started it{known}"
    return Stall(StallCause.QUEUED, sentence)


def _past_limit(signs: Signs, now: dt.datetime) -> Stall | None:
    if signs.started_at is None or now - signs.started_at <= SANDBOX_LIMIT:
        return None
    lasted = how_long(now - signs.started_at)
    return Stall(StallCause.PAST_LIMIT, f"running for {lasted}; a sandbox ends after 30 minutes")


def _silent(signs: Signs, now: dt.datetime) -> Stall | None:
    """Only a run that has told a step can be silent: some tell all of theirs at the end."""
    last_sign = signs.last_step_at or signs.started_at
    if not signs.step_count or last_sign is None or now - last_sign <= NO_STEP_LONG:
        return None
    usual = habits.of(signs.agent_id).silence
    if (now - last_sign).total_seconds() <= usual.seconds:
        return None
    known = _usually(usual, "were never silent for longer than")
    return Stall(StallCause.NO_STEP, f"no new step for {how_long(now - last_sign)}{known}")


def _usually(usual: patience.Patience, verb: str) -> str:
    """ "; 95 % of this agent's last 40 runs were never silent for longer than 20 s"."""
    if usual.usual is None:
        return ""
    span = how_long(dt.timedelta(seconds=usual.usual))
    share = round(patience.QUANTILE * 100)
    return f"; {share} % of this agent's last {usual.runs} runs {verb} {span}"
