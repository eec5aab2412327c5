"""The poller: claim due runs, ask Case.dev about them, store what it says.

A claim leases a run and raises its fence; the request is made outside any transaction; what it
brings is written only while the fence is still ours. So a worker that was killed, stopped or
doubled can do no harm, and messages that wake us are hints that may be lost or repeated.
"""

import datetime as dt
import logging
import random
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.db.models import F, Q

from runs import breaker, fingerprints, gauges, habits, notices, schedule, sync
from runs.casedev.client import Answer, Client, client
from runs.casedev.errors import CaseDevError, NotFound, RateLimited, Unreadable
from runs.claims import EARLY, Claim, Room, claim, release
from runs.models import Poll, Run

logger = logging.getLogger(__name__)

BATCH = 48  # runs a claim, and runs held by a process at once
THREADS = 16  # requests in flight a process
TELLS_EVERY = 1.0  # seconds between two signs of life in a long round


class Outcome(StrEnum):
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    OVERTAKEN = "overtaken"  # another claim holds the run by now
    LATE = "late"  # its turn came too late in the lease, or in a pause; nothing was asked


class Report(msgspec.Struct, frozen=True):
    """What came of one poll; `error` tells the breaker how Case.dev itself is doing."""

    outcome: Outcome
    error: CaseDevError | None = None
    took: float | None = None  # seconds that Case.dev took to answer

    @property
    def tells_of_upstream(self) -> bool:
        is_ours = self.outcome is Outcome.FAILED and self.error is None
        return not is_ours and self.outcome is not Outcome.LATE


class Round:
    """What the polls of one claim share."""

    def __init__(self, case_dev: Client, looked_at: Iterable[int] = ()) -> None:
        self.case_dev = case_dev
        self.looked_at = looked_at
        self.paused_until: dt.datetime | None = None  # one of them met a rate limit


def poll_due(most: int = BATCH, case_dev: Client | None = None) -> int:
    """Poll what is due, up to `most`; returns how many were claimed.

    A full batch means that more may be due.
    """
    try:
        with _room.some(most) as room:
            return _poll_due(room, case_dev or client()) if room else 0
    finally:
        notices.beat()  # whatever came of it: who finishes rounds is not deaf


def _poll_due(most: int, case_dev: Client) -> int:
    now = _now()
    # The allowance may be the one probe of an outage: it is not spent on having nothing to ask.
    is_any_due = Poll.objects.due(now + EARLY).exists()
    allowed = breaker.allowance(now, most) if is_any_due else 0
    claims = claim(now, allowed) if allowed else []
    this = Round(case_dev, notices.watched(held.run for held in claims))
    if len(claims) == 1:
        reports = [_poll_safely(claims[0], this)]
    else:
        reports = list(_threads().map(lambda held: _poll_in_thread(held, this), claims))
    heard = [report.error for report in reports if report.tells_of_upstream]
    breaker.note(heard, case_dev, _now())
    gauges.round_ended(
        [
            gauges.Polled(report.outcome, held.lag, report.took)
            for held, report in zip(claims, reports, strict=True)
        ]
    )
    return len(claims)


_room = Room(BATCH)
_winds_down = threading.Event()


def wind_down() -> None:
    """This process ends soon: what it has claimed and not yet asked about is given back."""
    _winds_down.set()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="poll")


def rest() -> bool:
    """Let the threads go, once they have ended what they do; whether there were any. The next
    batch starts new ones."""
    if not _threads.cache_info().currsize:
        return False
    _threads().shutdown()
    _threads.cache_clear()
    return True


def _poll_in_thread(held: Claim, this: Round) -> Report:
    """`_poll_safely` in a thread that outlives its task, so that its connection to the database
    may have broken since the last time. Tells of life meanwhile: a round can last."""
    try:
        if connection.connection is not None and not connection.is_usable():
            connection.close()
    except DatabaseError:
        connection.close()
    report = _poll_safely(held, this)
    _tell_of_life()
    return report


def _tell_of_life() -> None:
    global _told_at
    if time.monotonic() - _told_at > TELLS_EVERY:
        _told_at = time.monotonic()
        notices.beat()


_told_at = 0.0


def _poll_safely(held: Claim, this: Round) -> Report:
    try:
        return poll(held, this)
    except DatabaseError:
        # The lease runs out and the run is claimed again; only the connection needs care.
        logger.exception("poll of %s could not be stored", held.run_id)
        if not connection.in_atomic_block:
            connection.close()
        return Report(Outcome.FAILED)


def poll(held: Claim, this: Round) -> Report:
    """Ask about one claimed run and store the answer. Raises only `DatabaseError`."""
    if this.paused_until or _winds_down.is_set() or time.monotonic() > held.ask_until:
        release(held, this.paused_until and breaker.after(this.paused_until))
        return Report(Outcome.LATE)
    asked_at = time.monotonic()
    try:
        answer = this.case_dev.details(held.run_id)
    except CaseDevError as error:
        took = time.monotonic() - asked_at
        if isinstance(error, RateLimited):
            this.paused_until = breaker.pause(error, _now())
        return Report(_failed(held, error), error, took)
    took = time.monotonic() - asked_at
    try:
        return Report(_store(held, answer, is_watched=held.run in this.looked_at), took=took)
    except Unreadable as error:
        return Report(_failed(held, error), error, took)


def store(held: Claim, answer: Answer, *, is_watched: bool = False) -> Outcome:
    """Write what was answered about a claimed run, unless another claim has taken over."""
    try:
        return _store(held, answer, is_watched=is_watched)
    except Unreadable as error:
        return _failed(held, error)


def _store(held: Claim, answer: Answer, *, is_watched: bool) -> Outcome:
    """The same; raises Unreadable for an answer that cannot be stored."""
    seen = fingerprints.of_body(answer.body)
    if seen == held.seen_digest:
        return _unchanged(held, answer, is_watched)
    now = answer.received_at
    try:
        reading = sync.read(held.run, held.run_id, answer.body, now, has_ended=held.is_terminal)
        with transaction.atomic():
            run = _hold(held)
            if run is None:
                return Outcome.OVERTAKEN
            was_over = run.is_terminal and run.version > 0
            change = sync.write(run, reading, now)
            habits.note(run, was_over=was_over)
            _reschedule(held, run, answer, is_watched, seen)
    except Unreadable:
        raise
    except DatabaseError as error:
        if not isinstance(error, DataError | IntegrityError):
            raise  # of the database itself; no fault of this run
        raise _unstorable(held, answer, error) from error
    except Exception as error:
        # One run that our own code cannot take must not stop the others: it is counted, shown
        # on the run's page, and quarantined when it goes on.
        raise _unstorable(held, answer, error) from error
    if not change.is_new:
        return Outcome.UNCHANGED
    notices.publish([notices.Notice(held.run, change.version)])
    return Outcome.CHANGED


def _unstorable(held: Claim, answer: Answer, error: Exception) -> Unreadable:
    logger.error("answer about %s could not be stored", held.run_id, exc_info=error)
    sentence = f"Runsheet could not store the answer ({type(error).__name__})."
    return Unreadable(sentence, body=answer.body)


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
    fields = _after_failure(held, error, now)
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


def _after_failure(held: Claim, error: CaseDevError, now: dt.datetime) -> dict[str, Any]:
    """The columns of `Poll` after a failure."""
    wait: float | None
    wait = schedule.after_failure(held.failures + 1, error.retry_after, random.Random())
    fields: dict[str, Any] = {
        "leased_until": None,
        "failures": held.failures + 1,
        "last_error": error.sentence,
        "last_error_at": now,
    }
    if isinstance(error, Unreadable):
        fields["sync_failures"] = held.sync_failures + 1
        if _is_poison(held):
            wait = schedule.QUARANTINE
            fields |= {} if held.is_quarantined else {"quarantined_at": now}
    elif isinstance(error, NotFound) and held.is_terminal:
        # It is gone upstream, after its end: what we have is all there will be.
        polls = Poll.objects.values_list("settle_polls", flat=True).get(pk=held.run)
        wait = schedule.after_success(schedule.Outlook(is_terminal=True, settle_polls=polls))
        fields["settle_polls"] = polls + 1
    return fields | {"due_at": None if wait is None else now + dt.timedelta(seconds=wait)}


def _is_poison(held: Claim) -> bool:
    """Whether it is this run that cannot be read. While nothing at all can be, as behind a proxy
    that answers everything with a page of its own, a run only backs off."""
    if held.is_quarantined or held.sync_failures + 1 < schedule.POISONED_AFTER:
        return held.is_quarantined
    return held.last_error_at is None or breaker.answered_since(held.last_error_at)


def attend(run: Run) -> None:
    """Somebody looks at `run`: poll it at the watched pace, from now on.

    Backoff after failures is not cut short, and a lease is not touched.
    """
    if run.is_terminal:
        return
    if notices.watch(run.pk):
        now = _now()
        Poll.objects.filter(
            Q(due_at__gt=now + dt.timedelta(seconds=schedule.WATCHED)), pk=run.pk, failures=0
        ).update(due_at=now)


def poll_now(run: Run, case_dev: Client | None = None) -> str:
    """Poll `run` at once, whatever its schedule says; one sentence on what came of it."""
    held = claim(_now(), 1, only=run.pk)
    if not held:
        return f"{run.run_id} is being polled right now."
    case_dev = case_dev or client()
    report = poll(held[0], Round(case_dev))
    breaker.note([report.error], case_dev, _now())
    match report.outcome:
        case Outcome.CHANGED:
            return f"{run.run_id} was polled and had changed."
        case Outcome.UNCHANGED:
            return f"{run.run_id} was polled; nothing new."
        case Outcome.OVERTAKEN | Outcome.LATE:
            return f"{run.run_id} was polled by somebody else meanwhile."
        case Outcome.FAILED:
            last_error = Poll.objects.values_list("last_error", flat=True).get(pk=run.pk)
            return f"{run.run_id} could not be polled: {last_error}"


def lift_quarantine(run: Run) -> None:
    """Make a quarantined run due at once, with a clean slate."""
    Poll.objects.filter(pk=run.pk).exclude(quarantined_at=None).update(
        quarantined_at=None, sync_failures=0, failures=0, due_at=_now()
    )


def retry_quarantined() -> None:
    """Give each quarantined run one try: a new version may read what the last one could not."""
    Poll.objects.exclude(quarantined_at=None).update(due_at=_now())


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
