"""Claims: who may ask about which run, and until when.

A claim leases a run and raises its fence. What comes of it is written only while the fence is
still the claim's own, so a worker that was killed, stopped or doubled can do no harm.
"""

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from django.db import transaction
from django.db.models import F, Q

from runs import direct, leases, schedule
from runs.leases import Hold
from runs.models import Discovery, Poll, Run, Upstream

# A tick comes once a second: what falls due before the middle of the way to the next one goes
# with this one, or an interval of one second would become two.
EARLY = dt.timedelta(milliseconds=400)
# What a clock that is right can have written, with some seconds for clocks that differ.
GRACE = dt.timedelta(seconds=30)
LONGEST_PACE = dt.timedelta(seconds=schedule.QUEUED_SLOWEST) + GRACE
LONGEST_WAIT = dt.timedelta(seconds=schedule.WAIT_LONGEST) + GRACE
LONGEST_QUARANTINE = dt.timedelta(seconds=schedule.QUARANTINE) + GRACE
LONGEST_LEASE = leases.LEASE + GRACE


class Claim(msgspec.Struct, frozen=True):
    """A leased run. `failures` and the rest are as they were when it was claimed."""

    run: int
    run_id: str
    fence: int
    hold: Hold
    failures: int
    sync_failures: int
    seen_digest: bytes
    is_terminal: bool
    is_quarantined: bool
    last_ok_at: dt.datetime | None
    last_error_at: dt.datetime | None
    # What the next time depends on, if the answer brings nothing new.
    status: str
    created_at: dt.datetime | None
    completed_at: dt.datetime | None
    first_seen_at: dt.datetime
    settle_polls: int
    lag: float = 0.0  # seconds from when it was due to the claim


def claim(
    now: dt.datetime, most: int, only: int | None = None, early: dt.timedelta = EARLY
) -> list[Claim]:
    """Lease up to `most` runs that are due or will be `early`, or the run `only`, due or not,
    if nobody holds it."""
    polls = Poll.objects.due(now, early) if only is None else Poll.objects.free(now, only)
    with transaction.atomic():
        direct.end_if_idle()
        leased = list(
            polls.select_for_update(skip_locked=True, of=("self",)).values_list(*_CLAIMED)[:most]
        )
        Poll.objects.filter(pk__in=[poll[0] for poll in leased]).update(
            fence=F("fence") + 1, leased_until=now + leases.LEASE, last_tried_at=now
        )
    return [_as_claim(_Leased._make(poll), now) for poll in leased]


class _Leased(NamedTuple):
    """The columns _CLAIMED of a poll and its run, as they were before the claim."""

    run: int
    fence: int
    failures: int
    sync_failures: int
    seen_digest: bytes
    quarantined_at: dt.datetime | None
    last_ok_at: dt.datetime | None
    last_error_at: dt.datetime | None
    due_at: dt.datetime | None
    settle_polls: int
    run_id: str
    status: str
    created_at: dt.datetime | None
    completed_at: dt.datetime | None
    first_seen_at: dt.datetime


_OF_RUN = ("run_id", "status", "created_at", "completed_at", "first_seen_at")
_CLAIMED = (
    *_Leased._fields[: -len(_OF_RUN)],
    *(f"run__{name}" for name in _OF_RUN),
)


def _as_claim(poll: _Leased, now: dt.datetime) -> Claim:
    return Claim(
        run=poll.run,
        run_id=poll.run_id,
        fence=poll.fence + 1,
        hold=Hold(Poll, poll.run, poll.fence + 1, now),
        failures=poll.failures,
        sync_failures=poll.sync_failures,
        seen_digest=bytes(poll.seen_digest),
        is_terminal=poll.status in Run.TERMINAL,
        is_quarantined=poll.quarantined_at is not None,
        last_ok_at=poll.last_ok_at,
        last_error_at=poll.last_error_at,
        status=poll.status,
        created_at=poll.created_at,
        completed_at=poll.completed_at,
        first_seen_at=poll.first_seen_at,
        settle_polls=poll.settle_polls,
        lag=max((now - poll.due_at).total_seconds(), 0.0) if poll.due_at else 0.0,
    )


def release(held: Claim, due_at: dt.datetime | None = None) -> None:
    """Give a lease back without having asked; the run is due at `due_at`, else as it was."""
    fields = {"leased_until": None} | ({"due_at": due_at} if due_at else {})
    Poll.objects.filter(pk=held.run, fence=held.fence).update(**fields)


def mend(now: dt.datetime) -> None:
    """Free what a clock that was ahead has put off: no wait and no lease of ours is so long.

    Without it, a clock that was a year ahead for a minute would silence its runs for a year.
    """
    late = Q(due_at__gt=now + LONGEST_WAIT, quarantined_at=None)
    late |= Q(due_at__gt=now + LONGEST_QUARANTINE)
    if not Upstream.objects.filter(pk=Upstream.SOLE, paused_until__gt=now).exists():
        late |= Q(due_at__gt=now + LONGEST_PACE, lane__in=Poll.MOVING, failures=0)
    Poll.objects.filter(late).update(due_at=now)
    Poll.objects.filter(due_at__lte=now, leased_until__gt=now + LONGEST_LEASE).update(
        leased_until=now + leases.LEASE
    )
    walk = Discovery.objects.filter(pk=Discovery.SOLE)
    walk.filter(due_at__gt=now + LONGEST_WAIT).update(due_at=now)
    walk.filter(leased_until__gt=now + LONGEST_LEASE).update(leased_until=None)
    upstream = Upstream.objects.filter(pk=Upstream.SOLE)
    upstream.filter(probe_at__gt=now + LONGEST_WAIT).update(probe_at=now)
    upstream.filter(paused_until__gt=now + LONGEST_WAIT).update(paused_until=None)


class Room:
    """How many more claims this process may hold, over all tasks that run in it.

    When Case.dev is slow, ticks would otherwise claim ever more runs, which wait here for a
    thread while another worker could have polled them.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._lock = threading.Lock()

    @contextmanager
    def some(self, most: int) -> Iterator[int]:
        """As many places as there are, up to `most`, for as long as the block lasts."""
        with self._lock:
            taken = min(self._free, most)
            self._free -= taken
        try:
            yield taken
        finally:
            with self._lock:
                self._free += taken
