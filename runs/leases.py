"""Leases that last for as long as the process that holds them lives, and not much longer.

A lease must outlast the slowest answer, and yet what a killed worker held should not lie idle for
as long as that. So a lease is short, and a thread renews those that are held for longer. Whoever
cannot renew one, as a process that was stopped, asks no further: another may do so by now.
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import Error, connection, models, transaction

from runs import direct

logger = logging.getLogger(__name__)

# What is left of one just before it is renewed, which may be twice RENEW after it was taken,
# outlasts any single read of an answer (client.READ), and clocks of two machines that differ by
# SKEW. With a tick, which comes once a second, what a killed worker held is polled again within
# 15 s.
LEASE = dt.timedelta(seconds=13.5)
RENEW = 1.5  # seconds
SKEW = 10.0  # seconds; see docs/faults.md on what is promised
# What takes longer hangs, as a write on a connection to a database that has gone without a word:
# more than any round of polls takes. A walk whose every page trickles is broken off there, and goes
# on from the last page that it has stored.
LONGEST = 330.0  # seconds


class Hold:
    """The lease of one row, at its `fence`, good until `until` (monotonic seconds). Rows of
    `model` have the columns `leased_until` and `fence`."""

    __slots__ = ("fence", "key", "model", "taken_at", "until")

    def __init__(self, model: type[models.Model], key: int, fence: int, now: dt.datetime) -> None:
        """`now`: when it was taken, which its end in the database counts from."""
        self.model, self.key, self.fence = model, key, fence
        self.until = _end(now)
        self.taken_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds."""
        return time.monotonic() - self.taken_at

    def lasts(self) -> bool:
        return time.monotonic() < self.until

    def is_renewable(self) -> bool:
        return self.lasts() and self.age < LONGEST

    def ends_at(self) -> float:
        """As of now: it may be renewed."""
        return self.until


@contextmanager
def kept(holds: Iterable[Hold]) -> Iterator[None]:
    """Those of `holds` that last are renewed within the block."""
    ours = list(holds)
    _keeper.take(ours)
    try:
        yield
    finally:
        _keeper.drop(ours)


class _Keeper:
    """Renews from a thread of its own, which sleeps while nothing is held."""

    def __init__(self) -> None:
        self._held: set[Hold] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def take(self, holds: list[Hold]) -> None:
        with self._changed:
            if not self._held:
                self._changed.notify()
            self._held.update(holds)
            if holds and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
                self._thread.start()

    def drop(self, holds: list[Hold]) -> None:
        with self._changed:
            self._held.difference_update(holds)

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held)
            time.sleep(RENEW)
            soon = time.monotonic() + LEASE.total_seconds() - RENEW
            with self._changed:
                old = [hold for hold in self._held if hold.until <= soon and hold.is_renewable()]
            old.sort(key=lambda hold: hold.fence)  # of two of one row, only the later can be ours
            for model in {hold.model for hold in old}:
                _renew_safely(model, {hold.key: hold for hold in old if hold.model is model})


def _renew_safely(model: type[models.Model], holds: dict[int, Hold]) -> None:
    try:
        renew(model, holds)
    except Error as error:
        # They end by themselves, and nothing is asked under them then.
        logger.warning("%d leases not renewed: %s", len(holds), type(error).__name__)
    finally:
        connection.close()  # an answer that takes so long is rare


def renew(model: type[models.Model], holds: dict[int, Hold]) -> None:
    """Lengthen the leases, by key, of what is ours still and not given back."""
    rows = model._default_manager.filter(pk__in=holds).exclude(leased_until=None)
    with transaction.atomic():
        direct.end_if_idle()
        # What is locked is being written, by whoever holds it.
        found = rows.select_for_update(skip_locked=True).values_list("pk", "fence")
        ours = [holds[key] for key, fence in found if fence == holds[key].fence]
        now = dt.datetime.now(dt.UTC)
        rows.filter(pk__in=[hold.key for hold in ours]).update(leased_until=now + LEASE)
    for hold in ours:
        hold.until = _end(now)


def _end(now: dt.datetime) -> float:
    """When a lease ends that was taken `now`, which may be some moments ago, in monotonic seconds.
    A clock may have been set meanwhile."""
    passed = (dt.datetime.now(dt.UTC) - now).total_seconds()
    whole = LEASE.total_seconds()
    return time.monotonic() + whole - min(max(passed, 0.0), whole)


_keeper = _Keeper()
