"""Claims: who may ask about which run, and until when.

A claim leases a run and raises its fence. What comes of it is written only while the fence is
still the claim's own, so a worker that was killed, stopped or doubled can do no harm.
"""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from django.db import transaction
from django.db.models import F

from runs.casedev.client import DEADLINE
from runs.models import Poll

LEASE = dt.timedelta(seconds=60)  # outlasts the client's deadline and the write after it
# A request that began later than this after its claim might still run when the lease is over,
# and meet that of the next claim.
ASK_WITHIN = LEASE.total_seconds() - DEADLINE
# A tick comes once a second: what falls due before the middle of the way to the next one goes
# with this one, or an interval of one second would become two.
EARLY = dt.timedelta(milliseconds=400)


class Claim(msgspec.Struct, frozen=True):
    """A leased run. `failures` and the rest are as they were when it was claimed."""

    run: int
    run_id: str
    fence: int
    ask_until: float  # monotonic
    failures: int
    sync_failures: int
    seen_digest: bytes
    is_terminal: bool
    is_quarantined: bool
    last_ok_at: dt.datetime | None
    last_error_at: dt.datetime | None


def claim(now: dt.datetime, most: int, only: int | None = None) -> list[Claim]:
    """Lease up to `most` due runs, or the run `only` whether due or not, if nobody holds it."""
    polls = Poll.objects.due(now + EARLY) if only is None else Poll.objects.free(now, only)
    ask_until = time.monotonic() + ASK_WITHIN
    with transaction.atomic():
        leased = list(
            polls.select_for_update(skip_locked=True, of=("self",))
            .select_related("run")
            .only("run__run_id", "run__status", *_CLAIMED)[:most]
        )
        Poll.objects.filter(pk__in=[poll.pk for poll in leased]).update(
            fence=F("fence") + 1, leased_until=now + LEASE, last_tried_at=now
        )
    return [_as_claim(poll, ask_until) for poll in leased]


_CLAIMED = (
    *("fence", "failures", "sync_failures", "seen_digest"),
    *("quarantined_at", "last_ok_at", "last_error_at"),
)


def _as_claim(poll: Poll, ask_until: float) -> Claim:
    return Claim(
        run=poll.pk,
        run_id=poll.run.run_id,
        fence=poll.fence + 1,
        ask_until=ask_until,
        failures=poll.failures,
        sync_failures=poll.sync_failures,
        seen_digest=bytes(poll.seen_digest),
        is_terminal=poll.run.is_terminal,
        is_quarantined=poll.quarantined_at is not None,
        last_ok_at=poll.last_ok_at,
        last_error_at=poll.last_error_at,
    )


def release(held: Claim, due_at: dt.datetime | None = None) -> None:
    """Give a lease back without having asked; the run is due at `due_at`, else as it was."""
    fields = {"leased_until": None} | ({"due_at": due_at} if due_at else {})
    Poll.objects.filter(pk=held.run, fence=held.fence).update(**fields)


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
