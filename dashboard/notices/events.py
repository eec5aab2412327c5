"""What happened to the runs that somebody follows, found by comparing them with what they were.

The record is asked, and nobody has to tell us: whatever was killed, lost or doubled meanwhile, a
change is found as long as the Follow has not moved on, and the Follow moves on in the transaction
that writes the notice. What was before somebody followed a run is never told.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from dashboard.notes.models import Note
from dashboard.notices import choices
from dashboard.notices.models import Delivery, Event, Follow, Notice
from runs import breaker, stalls
from runs.models import Run, Upstream

MOST = 500  # follows in one transaction
ENDS = {
    Run.Status.FAILED: Event.FAILED,
    Run.Status.COMPLETED: Event.COMPLETED,
    Run.Status.CANCELLED: Event.COMPLETED,
}


def look(now: dt.datetime) -> int:
    """Write the notices of what has changed since the last look; how many."""
    if not _open().exists():
        return 0  # nobody follows a run of which something may still be told
    count = 0
    for turn in (_of_changes, _of_stalls):
        last: int | None = 0
        while last is not None:
            last, made = turn(now, last)
            count += made
    _close()
    return count


def may_be_told(user: User) -> bool:
    """Whoever is disabled, or may not see runs any more, is told nothing."""
    return user.is_active and user.has_perm("runs.view_run")


# What has changed ----------------------------------------------------------------------------


def _of_changes(now: dt.datetime, after: int) -> tuple[int | None, int]:
    """Follows behind the key `after`: the last key looked at, if there may be more, and how many
    notices were written."""
    with transaction.atomic():
        follows = list(_held(_open().filter(run__version__gt=F("version"), pk__gt=after)))
        told = _Told(follows, now)
        notices = [one for follow in follows for one in _changes(follow, told)]
        for follow in follows:
            follow.version, follow.status = follow.run.version, follow.run.status
            follow.cost_micros, follow.stall = follow.run.cost_micros, ""
        Follow.objects.bulk_update(follows, ["version", "status", "cost_micros", "stall"])
        return _last(follows), _write(notices, told)


def _changes(follow: Follow, told: "_Told") -> Iterator[Notice]:
    run = follow.run
    if not told.may(follow.user):
        return
    if run.status in ENDS and follow.status not in Run.TERMINAL:
        at = run.completed_at or told.now
        yield told.notice(follow, ENDS[Run.Status(run.status)], "end", happened_at=at)
    limit = told.limit(follow.user)
    if run.cost_micros is not None and (follow.cost_micros or 0) <= limit < run.cost_micros:
        yield told.notice(follow, Event.COST, f"above {limit}", limit_micros=limit)


class _Told:
    """What the notices of one look share: who may be told, and who wants what."""

    def __init__(self, follows: Sequence[Follow], now: dt.datetime) -> None:
        self.now = now
        self.choices = choices.of_all({follow.user_id for follow in follows})
        self.rules = choices.rules()
        self._may: dict[int, bool] = {}

    def may(self, user: User) -> bool:
        if user.pk not in self._may:
            self._may[user.pk] = may_be_told(user)
        return self._may[user.pk]

    def limit(self, user: User) -> int:
        own = self.choices[user.pk].limit_micros
        return self.rules.limit_micros if own is None else own

    def notice(self, follow: Follow, event: Event, occurrence: str, **fields: Any) -> Notice:
        run, moment = follow.run, {"at": self.now, "happened_at": self.now}
        state = {"status": run.status, "cost_micros": run.cost_micros}
        named = {"user_id": follow.user_id, "run": run, "event": event, "occurrence": occurrence}
        return Notice(**(named | state | moment | fields))


def _write(notices: Sequence[Notice], told: _Told) -> int:
    """Store those that were not told before, and where each goes. In the caller's transaction."""
    known: set[tuple[Any, ...]] = set(
        Notice.objects.filter(
            user__in={one.user_id for one in notices}, run__in={one.run_id for one in notices}
        ).values_list("user", "run", "event", "occurrence")
    )
    new = [
        one for one in notices if (one.user_id, one.run_id, one.event, one.occurrence) not in known
    ]
    Notice.objects.bulk_create(new)
    Delivery.objects.bulk_create(
        Delivery(notice=one, channel=channel)
        for one in new
        for channel in choices.channels(told.choices[one.user_id], one.event)
    )
    return len(new)


# What stands still ---------------------------------------------------------------------------


def _of_stalls(now: dt.datetime, after: int) -> tuple[int | None, int]:
    """As `_of_changes`.

    A stall has to be the run's own: nothing is said while Case.dev cannot be asked, or our own poll
    of the run is late, or has brought what was not looked at yet.
    """
    upstream = breaker.upstream()
    if upstream.state != Upstream.State.UP or upstream.is_paused(now):
        return None, 0
    with transaction.atomic():
        silent = _open().filter(_maybe_stalled(now), run__version=F("version"), stall="")
        follows = list(_held(silent.filter(pk__gt=after).select_related("run__poll")))
        found = [(follow, stalls.stall(follow.run, follow.run.poll, now)) for follow in follows]
        stalled = [(follow, stall) for follow, stall in found if stall is not None]
        told = _Told([follow for follow, _ in stalled], now)
        notices = []
        for follow, stall in stalled:
            follow.stall = key_of(stall, follow.run)
            was_before = stalls.stall(follow.run, follow.run.poll, follow.since)
            if told.may(follow.user) and not was_before:
                told_why = {"told": stall.sentence[:300]}
                notices.append(told.notice(follow, Event.STALLED, follow.stall, **told_why))
        Follow.objects.bulk_update([follow for follow, _ in stalled], ["stall"])
        return _last(follows), _write(notices, told)


def key_of(stall: stalls.Stall, run: Run) -> str:
    """The same as long as nothing has moved; past its limit a run is, however it moves."""
    is_past = stall.cause == stalls.StallCause.PAST_LIMIT
    return stall.cause if is_past else f"{stall.cause} {run.step_count}"


def _maybe_stalled(now: dt.datetime) -> Q:
    """What `stalls.stall` will look at more closely."""
    queued = Q(run__status=Run.Status.QUEUED) & Q(
        waiting_since__lt=now - stalls.QUEUED_LONG,
    )
    running = Q(run__status=Run.Status.RUNNING) & (
        Q(run__started_at__lt=now - stalls.SANDBOX_LIMIT)
        | Q(silent_since__lt=now - stalls.NO_STEP_LONG)
    )
    seen = Q(run__poll__failures=0, run__poll__last_ok_at__gte=now - stalls.SIGHT)
    return seen & (queued | running)


# -----------------------------------------------------------------------------------------------


def _open() -> QuerySet[Follow]:
    return Follow.objects.filter(is_on=True, is_open=True).alias(
        waiting_since=Coalesce("run__created_at", "run__first_seen_at"),
        silent_since=Coalesce("run__last_step_at", "run__started_at"),
    )


def _held(follows: QuerySet[Follow]) -> QuerySet[Follow]:
    """Up to MOST, locked: whoever looks at the same moment leaves them alone."""
    columns = ("run_id", "version", "status", "cost_micros", "step_count", "started_at")
    more = ("created_at", "completed_at", "first_seen_at", "last_step_at", "agent_id")
    return (
        follows.select_related("user", "run")
        .defer(*(f"run__{field.name}" for field in _columns_left_out(columns + more)))
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("pk")[:MOST]
    )


def _last(follows: Sequence[Follow]) -> int | None:
    return follows[-1].pk if len(follows) == MOST else None


def _columns_left_out(named: Iterable[str]) -> list[Any]:
    wanted = {"id", *named}
    return [field for field in Run._meta.concrete_fields if field.name not in wanted]


def _close() -> None:
    """Nothing more will be told of a run that has ended and is polled no more."""
    over = _open().filter(
        run__status__in=Run.TERMINAL, run__poll__due_at=None, run__version=F("version")
    )
    Follow.objects.filter(pk__in=over.values("pk")).update(is_open=False)


# Mentions ------------------------------------------------------------------------------------


def mentioned(note: Note, people: Sequence[User]) -> None:
    """Call in the transaction that writes the note."""
    now = timezone.now()
    wants = choices.of_all([person.pk for person in people])
    notices = [
        Notice(
            user=person,
            run=note.run,
            event=Event.MENTIONED,
            occurrence=f"note {note.pk}",
            note=note,
            at=now,
            happened_at=now,
            status=note.run.status,
            cost_micros=note.run.cost_micros,
        )
        for person in people
    ]
    Notice.objects.bulk_create(notices)
    Delivery.objects.bulk_create(
        Delivery(notice=one, channel=channel)
        for one in notices
        for channel in choices.channels(wants[one.user_id], one.event)
    )


def taken_back(note: Note) -> None:
    """Nobody is told any more of a note that is gone."""
    Notice.objects.filter(note=note).delete()
