"""The poller: claim due runs, ask Case.dev about them, store what it says.

A claim leases a run and raises its fence; the request is made outside any transaction; what it
brings is written only while the fence is still ours. So a worker that was killed, stopped or
doubled can do no harm, and messages that wake us are hints that may be lost or repeated.
"""

import datetime as dt
import logging
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import lru_cache

import msgspec
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q

from runs import breaker, notices, schedule, sync
from runs.casedev.client import Answer, Client, client
from runs.casedev.errors import CaseDevError, Unreadable
from runs.models import Poll, Run

logger = logging.getLogger(__name__)

BATCH = 48  # runs a claim
THREADS = 16  # requests in flight a process
LEASE = dt.timedelta(seconds=60)  # outlasts the client's deadline and the write after it
# A tick comes once a second: what falls due before the middle of the way to the next one goes
# with this one, or an interval of one second would become two.
EARLY = dt.timedelta(milliseconds=400)


class Outcome(StrEnum):
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    OVERTAKEN = "overtaken"  # another claim holds the run by now


class Report(msgspec.Struct, frozen=True):
    """What came of one poll; `error` tells the breaker how Case.dev itself is doing."""

    outcome: Outcome
    error: CaseDevError | None = None


class Claim(msgspec.Struct, frozen=True):
    """A leased run. `failures` and the rest are as they were when it was claimed."""

    run: int
    run_id: str
    fence: int
    failures: int
    sync_failures: int
    seen_digest: bytes
    is_terminal: bool
    last_ok_at: dt.datetime | None


def claim(now: dt.datetime, most: int, only: int | None = None) -> list[Claim]:
    """Lease up to `most` due runs, or the run `only` whether due or not, if nobody holds it."""
    polls = Poll.objects.due(now + EARLY) if only is None else Poll.objects.free(now, only)
    with transaction.atomic():
        leased = list(
            polls.select_for_update(skip_locked=True, of=("self",))
            .select_related("run")
            .only("run__run_id", "run__status", *_CLAIMED)[:most]
        )
        Poll.objects.filter(pk__in=[poll.pk for poll in leased]).update(
            fence=F("fence") + 1, leased_until=now + LEASE, last_tried_at=now
        )
    return [_as_claim(poll) for poll in leased]


_CLAIMED = ("fence", "failures", "sync_failures", "seen_digest", "last_ok_at")


def _as_claim(poll: Poll) -> Claim:
    return Claim(
        run=poll.pk,
        run_id=poll.run.run_id,
        fence=poll.fence + 1,
        failures=poll.failures,
        sync_failures=poll.sync_failures,
        seen_digest=bytes(poll.seen_digest),
        is_terminal=poll.run.is_terminal,
        last_ok_at=poll.last_ok_at,
    )


def poll_due(most: int = BATCH) -> int:
    """Poll what is due, up to `most`; returns how many were claimed.

    A full batch means that more may be due.
    """
    now = _now()
    # The allowance may be the one probe of an outage: it is not spent on having nothing to ask.
    is_any_due = Poll.objects.due(now + EARLY).exists()
    allowed = breaker.allowance(now, most) if is_any_due else 0
    claims = claim(now, allowed) if allowed else []
    looked_at = notices.watched(held.run for held in claims)
    if len(claims) == 1:
        reports = [poll(claims[0], client(), looked_at)]
    else:
        reports = list(_threads().map(lambda held: _poll_in_thread(held, looked_at), claims))
    breaker.note([report.error for report in reports], client(), _now())
    notices.beat()
    return len(claims)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="poll")


def _poll_in_thread(held: Claim, looked_at: Iterable[int]) -> Report:
    """`poll`, leaving no broken connection behind in a thread that outlives its task."""
    try:
        return poll(held, client(), looked_at)
    except DatabaseError:
        # The lease runs out and the run is claimed again; only the connection needs care.
        logger.exception("poll of %s could not be stored", held.run_id)
        connection.close()
        return Report(Outcome.FAILED)


def poll(held: Claim, case_dev: Client, looked_at: Iterable[int] = ()) -> Report:
    """Ask about one claimed run and store the answer. Raises only `DatabaseError`."""
    try:
        answer = case_dev.details(held.run_id)
    except CaseDevError as error:
        return Report(_failed(held, error), error)
    return Report(store(held, answer, is_watched=held.run in looked_at))


def store(held: Claim, answer: Answer, *, is_watched: bool = False) -> Outcome:
    """Write what was answered about a claimed run, unless another claim has taken over."""
    seen = sync.digest(answer.body)
    if seen == held.seen_digest:
        return _unchanged(held, answer, is_watched)
    try:
        with transaction.atomic():
            run = _hold(held)
            if run is None:
                return Outcome.OVERTAKEN
            change = sync.apply(run, answer.body, answer.received_at)
            _reschedule(held, run, answer, is_watched, seen)
    except Unreadable as error:
        return _failed(held, error)
    except DatabaseError:
        raise
    except Exception as error:
        # One run that our own code cannot take must not stop the others: it is counted, shown
        # on the run's page, and quarantined when it goes on.
        logger.exception("answer about %s could not be stored", held.run_id)
        sentence = f"Runsheet could not store the answer ({type(error).__name__})."
        return _failed(held, Unreadable(sentence, body=answer.body))
    if not change.is_new:
        return Outcome.UNCHANGED
    notices.publish([notices.Notice(held.run, change.version)])
    return Outcome.CHANGED


def _hold(held: Claim) -> Run | None:
    """The claimed run, its poll locked until the transaction ends; None if overtaken."""
    poll = Poll.objects.select_for_update().filter(pk=held.run, fence=held.fence).first()
    return Run.objects.get(pk=held.run) if poll else None


def _unchanged(held: Claim, answer: Answer, is_watched: bool) -> Outcome:
    run = Run.objects.only("status", "created_at", "completed_at", "first_seen_at").get(pk=held.run)
    is_ours = _reschedule(held, run, answer, is_watched, held.seen_digest)
    return Outcome.UNCHANGED if is_ours else Outcome.OVERTAKEN


def _reschedule(
    held: Claim, run: Run, answer: Answer, is_watched: bool, seen_digest: bytes
) -> bool:
    """Give the lease back after a good answer and set the next time; whether it was ours."""
    now = answer.received_at
    settled = F("settle_polls") + 1 if run.is_terminal else 0
    due_at = next_due(run, now, is_watched=is_watched, settle_polls=_settle_polls(held, run))
    fields = {
        "lane": Poll.Lane.SETTLING if run.is_terminal else Poll.Lane.ACTIVE,
        "due_at": due_at,
        "leased_until": None,
        "failures": 0,
        "sync_failures": 0,
        "settle_polls": settled,
        "quarantined_at": None,
        "last_ok_at": now,
        "last_error": "",
        "seen_digest": seen_digest,
    }
    return bool(Poll.objects.filter(pk=held.run, fence=held.fence).update(**fields))


def _settle_polls(held: Claim, run: Run) -> int:
    """Good polls since the run ended, before this one."""
    if not run.is_terminal:
        return 0
    return Poll.objects.values_list("settle_polls", flat=True).get(pk=held.run)


def next_due(
    run: Run, now: dt.datetime, *, is_watched: bool, settle_polls: int
) -> dt.datetime | None:
    """When a run that was just read is due again; None: never."""
    outlook = schedule.Outlook(
        is_terminal=run.is_terminal,
        is_queued=run.status == Run.Status.QUEUED,
        is_watched=is_watched,
        age=schedule.seconds_since(run.created_at or run.first_seen_at, now),
        ended_ago=schedule.seconds_since(run.completed_at, now),
        settle_polls=settle_polls,
    )
    seconds = schedule.after_success(outlook)
    return None if seconds is None else now + dt.timedelta(seconds=seconds)


def _failed(held: Claim, error: CaseDevError) -> Outcome:
    """Give the lease back after a failure; the run keeps its last good state."""
    now = _now()
    sync_failures = held.sync_failures + isinstance(error, Unreadable)
    wait = schedule.after_failure(held.failures + 1, error.retry_after, random.Random())
    is_poison = sync_failures >= schedule.POISONED_AFTER
    fields = {
        "due_at": now + dt.timedelta(seconds=schedule.QUARANTINE if is_poison else wait),
        "leased_until": None,
        "failures": held.failures + 1,
        "sync_failures": sync_failures,
        "quarantined_at": now if is_poison else None,
        "last_error": error.sentence,
        "last_error_at": now,
    }
    with transaction.atomic():
        ours = Poll.objects.filter(pk=held.run, fence=held.fence).update(**fields)
        if ours and isinstance(error, Unreadable):
            sync.refuse(Run(pk=held.run), error.body, error.sentence, now)
    logger.log(
        logging.INFO if held.failures else logging.WARNING,
        "poll of %s failed (%d in a row): %s",
        held.run_id,
        held.failures + 1,
        error.sentence,
    )
    return Outcome.FAILED if ours else Outcome.OVERTAKEN


def attend(run: Run) -> None:
    """Somebody looks at `run`: poll it at the watched pace, from now on.

    Backoff after failures is not cut short, and a lease is not touched.
    """
    if not run.is_active:
        return
    if notices.watch(run.pk):
        now = _now()
        Poll.objects.filter(
            Q(due_at__gt=now + dt.timedelta(seconds=schedule.WATCHED)), pk=run.pk, failures=0
        ).update(due_at=now)


def poll_now(run: Run) -> str:
    """Poll `run` at once, whatever its schedule says; one sentence on what came of it."""
    held = claim(_now(), 1, only=run.pk)
    if not held:
        return f"{run.run_id} is being polled right now."
    report = poll(held[0], client())
    breaker.note([report.error], client(), _now())
    match report.outcome:
        case Outcome.CHANGED:
            return f"{run.run_id} was polled and had changed."
        case Outcome.UNCHANGED:
            return f"{run.run_id} was polled; nothing new."
        case Outcome.OVERTAKEN:
            return f"{run.run_id} was polled by somebody else meanwhile."
        case Outcome.FAILED:
            last_error = Poll.objects.values_list("last_error", flat=True).get(pk=run.pk)
            return f"{run.run_id} could not be polled: {last_error}"


def lift_quarantine(run: Run) -> None:
    """Make a quarantined run due at once, with a clean slate."""
    Poll.objects.filter(pk=run.pk).exclude(quarantined_at=None).update(
        quarantined_at=None, sync_failures=0, failures=0, due_at=_now()
    )


def schedule_new(runs: Sequence[Run], now: dt.datetime) -> None:
    """Give runs that were just found their place in the schedule, active ones first."""
    Poll.objects.bulk_create(
        [
            Poll(
                run=run,
                lane=Poll.Lane.SETTLING if run.is_terminal else Poll.Lane.ACTIVE,
                due_at=now,
            )
            for run in runs
        ],
        batch_size=500,
        ignore_conflicts=True,
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
