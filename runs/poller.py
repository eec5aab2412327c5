"""The poller: claim due runs, ask Case.dev about them, store what it says.

A claim leases a run and raises its fence; the request is made outside any transaction; what it
brings is written only while the fence is still ours. So a worker that was killed, stopped or
doubled can do no harm, and messages that wake us are hints that may be lost or repeated.
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from enum import StrEnum
from functools import lru_cache
from queue import Empty, SimpleQueue

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.db.models import Case, F, Q, When

from runs import (
    breaker,
    bulk,
    direct,
    fingerprints,
    gauges,
    habits,
    leases,
    notices,
    places,
    schedule,
    searching,
    sync,
    turns,
)
from runs.casedev import network
from runs.casedev.client import Answer, Client, client
from runs.casedev.errors import CaseDevError, RateLimited, Unreadable
from runs.claims import EARLY, Claim, Room, claim, release
from runs.models import Poll, Run

logger = logging.getLogger(__name__)

BATCH = 128  # runs a claim, and runs held by a process at once
THREADS = 16  # requests in flight a process
TELLS_EVERY = 1.0  # seconds between two signs of life in a long round
ASK_WITHIN = 30.0  # seconds from the claim; what waits longer for a thread is left to others
GATHER = 0.03  # seconds in which answers without news are gathered, to be written together
BIG = 256 * 1024  # bytes; a bigger answer is stored where it was fetched, and delays no other


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

    def __init__(self, case_dev: Client | None = None, looked_at: Iterable[int] = ()) -> None:
        self.case_dev = case_dev or client()
        self.looked_at = looked_at
        self.met_limit = threading.Event()  # one of them met a rate limit
        self.paused_until: dt.datetime | None = None  # which asks for this


class Asked(msgspec.Struct, frozen=True):
    """What came of asking: an answer, an error, or neither if nothing was asked."""

    held: Claim
    answer: Answer | None = None
    seen: bytes = b""  # fingerprint of the answer
    error: CaseDevError | None = None
    took: float | None = None

    @property
    def brings_nothing(self) -> bool:
        return self.answer is not None and self.seen == self.held.seen_digest


def poll_due(most: int = BATCH, case_dev: Client | None = None, early: dt.timedelta = EARLY) -> int:
    """Poll what is due or will be `early`, up to `most`; returns how many were claimed.

    A full batch means that more may be due.
    """
    try:
        with _room.some(most) as room:
            return _poll_due(room, case_dev or client(), early) if room else 0
    finally:
        notices.beat()  # whatever came of it: who finishes rounds is not deaf


def _poll_due(most: int, case_dev: Client, early: dt.timedelta) -> int:
    now = _now()
    # The allowance may be the one probe of an outage: it is not spent on having nothing to ask.
    is_any_due = Poll.objects.due(now, early).exists()
    if not is_any_due:
        _rest_if_idle()
    allowed = breaker.allowance(now, most) if is_any_due else 0
    claims = claim(now, allowed, early=early) if allowed else []
    this = Round(case_dev, notices.watched(held.run for held in claims))
    with leases.kept(held.hold for held in claims):
        reports = gather(claims, this)
    heard = [report.error for report in reports if report.tells_of_upstream]
    breaker.note(heard, case_dev, _now())
    gauges.round_ended(
        [
            gauges.Polled(report.outcome, held.lag, report.took)
            for held, report in zip(claims, reports, strict=True)
        ]
    )
    return len(claims)


def _rest_if_idle() -> None:
    """Have no tick come while no run is active. Looked at once more, since one may have come
    between the look and the rest."""
    moving = Poll.objects.filter(lane__in=Poll.MOVING)
    if not moving.exists():
        notices.rest()
        if moving.exists():
            notices.stir()


_room = Room(BATCH)
_winds_down = threading.Event()


def wind_down() -> None:
    """This process ends soon: what it has claimed and not yet asked about is given back."""
    _winds_down.set()


def winds_down() -> bool:
    return _winds_down.is_set()


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


def gather(claims: Sequence[Claim], this: Round) -> list[Report]:
    """Poll all `claims`; what came of each, in their order.

    Threads ask and compare; this one writes. Answers without news, nearly all of them, are
    written together, and one that is slow to come keeps no other waiting.
    """
    if len(claims) == 1:
        return [_settle_safely(_ask(claims[0], this), this)]
    arrived: SimpleQueue[tuple[int, Asked | Report]] = SimpleQueue()
    reports: dict[int, Report] = {}
    quiet: dict[int, Asked] = {}
    idle: dict[int, Asked] = {}
    for place, held in enumerate(claims):
        _threads().submit(_ask_in_thread, place, held, this, arrived)
    while len(reports) + len(quiet) + len(idle) < len(claims):
        try:
            place, asked = arrived.get(timeout=GATHER if quiet else TELLS_EVERY)
        except Empty:
            _flush(quiet, this, reports)
            _tell_of_life()
            continue
        if isinstance(asked, Report):
            reports[place] = asked
        elif asked.brings_nothing:
            quiet[place] = asked
        elif asked.answer is None and asked.error is None:
            idle[place] = asked  # until it is known how long a rate limit lasts
        else:
            reports[place] = _settle_safely(asked, this)
        if len(quiet) >= BATCH // 2:
            _flush(quiet, this, reports)
        _tell_of_life()
    _flush(quiet, this, reports)
    for place, asked in idle.items():
        reports[place] = _settle_safely(asked, this)
    return [reports[place] for place in range(len(claims))]


def _flush(quiet: dict[int, Asked], this: Round, reports: dict[int, Report]) -> None:
    """Write the answers without news to their places in the schedule, and report them."""
    if not quiet:
        return
    try:
        ours = _reschedule_quiet(list(quiet.values()), this)
        # Which of them were overtaken is not told, but how many: the outcomes are only counted.
        for number, (place, asked) in enumerate(quiet.items()):
            outcome = Outcome.UNCHANGED if number < ours else Outcome.OVERTAKEN
            reports[place] = Report(outcome, took=asked.took)
    except DatabaseError:
        # The leases run out and the runs are claimed again; only the connection needs care.
        logger.exception("polls of %d runs could not be noted", len(quiet))
        _close_broken()
        reports.update(dict.fromkeys(quiet, Report(Outcome.FAILED)))
    quiet.clear()


def _reschedule_quiet(asked: Sequence[Asked], this: Round) -> int:
    """Give leases back after answers without news; how many were ours still."""
    polls = []
    for one in asked:
        assert one.answer is not None
        held, now = one.held, one.answer.received_at
        fields = places.after_answer(held, held, now, is_watched=held.run in this.looked_at)
        polls.append(Poll(run_id=held.run, fence=held.fence, **fields))
    with transaction.atomic():
        return bulk.update(Poll, polls, places.AFTER_ANSWER, only_if=["fence"])


def _ask_in_thread(
    place: int, held: Claim, this: Round, arrived: "SimpleQueue[tuple[int, Asked | Report]]"
) -> None:
    """Ask; store too if the answer is big. The thread outlives its task, so that its connection
    to the database may have broken since the last time."""
    outcome: Asked | Report = Report(Outcome.FAILED)
    try:
        asked = outcome = _ask(held, this)
        if asked.answer and not asked.brings_nothing and len(asked.answer.body) > BIG:
            _close_unusable()
            outcome = _settle_safely(asked, this)
    finally:
        arrived.put((place, outcome))


def _close_unusable() -> None:
    try:
        if connection.connection is not None and not connection.is_usable():
            connection.close()
    except DatabaseError:
        connection.close()


def _close_broken() -> None:
    if not connection.in_atomic_block:
        connection.close()


def _tell_of_life() -> None:
    global _told_at
    if time.monotonic() - _told_at > TELLS_EVERY:
        _told_at = time.monotonic()
        notices.beat()


_told_at = 0.0


def _settle_safely(asked: Asked, this: Round) -> Report:
    try:
        return _settle(asked, this)
    except DatabaseError:
        # The lease runs out and the run is claimed again; only the connection needs care.
        logger.exception("poll of %s could not be stored", asked.held.run_id)
        _close_broken()
        return Report(Outcome.FAILED)


def poll(held: Claim, this: Round) -> Report:
    """Ask about one claimed run and store the answer. Raises only `DatabaseError`."""
    return _settle(_ask(held, this), this)


def _ask(held: Claim, this: Round) -> Asked:
    """Touches no database."""
    is_late = held.hold.age > ASK_WITHIN or not held.hold.lasts()
    if is_late or this.met_limit.is_set() or _winds_down.is_set():
        return Asked(held)
    asked_at = time.monotonic()
    try:
        with network.deadline(held.hold.ends_at):
            answer = this.case_dev.details(held.run_id)
    except CaseDevError as error:
        if not held.hold.lasts():
            return Asked(held)  # it was broken off, which tells nothing of Case.dev
        if isinstance(error, RateLimited):
            this.met_limit.set()
        return Asked(held, error=error, took=time.monotonic() - asked_at)
    took = time.monotonic() - asked_at
    return Asked(held, answer, fingerprints.of_body(answer.body), took=took)


def _settle(asked: Asked, this: Round) -> Report:
    """Write what came of asking."""
    held, answer, error = asked.held, asked.answer, asked.error
    if isinstance(error, RateLimited):
        this.paused_until = breaker.pause(error, _now())
    if error is not None:
        return Report(_failed(held, error), error, asked.took)
    if answer is None:
        release(held, this.paused_until and breaker.after(this.paused_until))
        return Report(Outcome.LATE)
    if asked.brings_nothing:
        is_ours = _reschedule_quiet([asked], this)
        return Report(Outcome.UNCHANGED if is_ours else Outcome.OVERTAKEN, took=asked.took)
    try:
        with turns.of(len(answer.body)):
            outcome = _store(held, answer, asked.seen, is_watched=held.run in this.looked_at)
        return Report(outcome, took=asked.took)
    except Unreadable as unreadable:
        return Report(_failed(held, unreadable), unreadable, asked.took)


def store(held: Claim, answer: Answer) -> Outcome:
    """Write what was answered about a claimed run, unless another claim has taken over."""
    asked = Asked(held, answer, fingerprints.of_body(answer.body))
    return _settle(asked, Round()).outcome


def _store(held: Claim, answer: Answer, seen: bytes, *, is_watched: bool) -> Outcome:
    """Bring the run up to an answer with news. Raises Unreadable if it cannot be stored."""
    now = answer.received_at
    try:
        reading = sync.read(held.run, held.run_id, answer.body, now, has_ended=held.is_terminal)
        is_small = len(answer.body) <= BIG
        with direct.pipelined() if is_small else nullcontext(), transaction.atomic():
            run = direct.held(held.run, held.fence)
            if run is None:
                return Outcome.OVERTAKEN
            was_over = run.is_terminal and run.version > 0
            change = sync.write(run, reading, now)
            habits.note(run, was_over=was_over)
            fields = places.after_answer(held, run, now, is_watched=is_watched)
            direct.change(Poll, held.run, fields | {"seen_digest": seen})
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


def _failed(held: Claim, error: CaseDevError) -> Outcome:
    """Give the lease back after a failure; the run keeps its last good state."""
    now = _now()
    fields = places.after_failure(held, error, now)
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
    """Somebody looks at `run`: poll it at the watched pace, from now on, and before what nobody
    looks at.

    Backoff after failures is not cut short, and a lease is not touched.
    """
    if run.is_terminal:
        return
    if notices.watch(run.pk):
        now = _now()
        is_far_off = Q(due_at__gt=now + dt.timedelta(seconds=schedule.WATCHED), failures=0)
        Poll.objects.filter(pk=run.pk, lane__in=Poll.MOVING).update(
            lane=Poll.Lane.WATCHED,
            due_at=Case(When(is_far_off, then=now), default=F("due_at")),
        )


def poll_now(run: Run, case_dev: Client | None = None) -> str:
    """Poll `run` at once, whatever its schedule says; one sentence on what came of it."""
    held = claim(_now(), 1, only=run.pk)
    if not held:
        return f"{run.run_id} is being polled right now."
    case_dev = case_dev or client()
    with leases.kept([held[0].hold]):
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


def schedule_new(runs: Sequence[Run], now: dt.datetime) -> None:
    """Give runs that were just found their place in the schedule, active ones first."""
    Poll.objects.bulk_create(
        [
            Poll(
                run=run,
                lane=places.lane(run),
                due_at=now,
            )
            for run in runs
        ],
        batch_size=500,
        ignore_conflicts=True,
    )
    searching.keep(runs)
    transaction.on_commit(notices.stir)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
