"""Reads the simulator's ledger, the database and Redis, and proves the invariants.

I1, I2, I7 hold after calm; I3, I4, I5, I6 are looked at again and again; I8 and I10 at the end.
I9 is proved in a browser (tests/browser), I11 by the row "hostile", I12 by the row "cuts".
"""

import datetime as dt
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from runs import leases, packing, spending
from runs.models import Poll, Run, Step, UsageEntry
from runs.simulator.run import SimulatedRun
from tests import recounted
from tests.chaos.rig import Rig
from tests.product import until

OVERDUE = dt.timedelta(seconds=15)  # three intervals of a running run
TICK = dt.timedelta(seconds=1)
# Whatever the load: a run that was due falls to a worker that is then killed, and is free again
# when its lease is over, for the next tick.
NEVER_LATER = OVERDUE + leases.LEASE + TICK
START = 180  # seconds that a worker may take on a machine that does much else


class Checker:
    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.ended: dict[int, str] = {}
        self.fences: dict[int, int] = {}

    def look(self, *, is_held_back: bool = False) -> None:
        """I3, I4, I6, while things go on; and of I5 what no load excuses, unless polling
        `is_held_back` by what is done to the lines just now."""
        for pk, status in Run.objects.values_list("pk", "status"):
            assert self.ended.get(pk, status) == status, f"I3: run {pk} is {status} again"
            if status in Run.TERMINAL:
                self.ended[pk] = status
        for pk, fence in Poll.objects.values_list("pk", "fence"):
            assert fence >= self.fences.get(pk, 0), f"I4: the fence of {pk} fell"
            self.fences[pk] = fence
        most = self.rig.simulator.world.requests.answer()["mostInFlightOfARun"]
        assert most <= 1, f"I6: {most} requests in flight for one run"
        if not is_held_back and self.rig.alive("worker"):
            self._prove_none_waits_for_ever()

    def _prove_none_waits_for_ever(self) -> None:
        now = timezone.now()
        late = Poll.objects.filter(due_at__lt=now - NEVER_LATER).values_list(
            "run__run_id", "due_at"
        )
        told = {run_id: (now - due_at).total_seconds() for run_id, due_at in late if due_at}
        assert not told, f"I5: overdue, in seconds: {told}"

    def is_on_time(self) -> bool:
        """I5: nothing is overdue for longer than OVERDUE, be it held or not."""
        return not Poll.objects.filter(due_at__lt=timezone.now() - OVERDUE).exists()

    def wait_until_on_time(self, seconds: float) -> float:
        """Seconds until I5 holds."""
        begun = time.monotonic()
        until(self.is_on_time, seconds, "I5: every run to be polled in time")
        return time.monotonic() - begun

    def prove(self) -> None:
        """After calm: all of them."""
        self.look()
        self._prove_steps_and_costs()
        self._prove_repetition_is_silent()
        self._prove_secrecy()
        self._prove_integrity()

    def _prove_steps_and_costs(self) -> None:
        world = self.rig.simulator.world
        for original in world.runs():
            truth = world.ledger(original.id)
            run = Run.objects.get(run_id=original.id)
            steps = Step.objects.filter(run=run, vanished_at=None).order_by("position")
            ids = list(steps.values_list("step_id", flat=True))
            assert ids == [step["id"] for step in truth["steps"]], f"I1: steps of {original.id}"
            assert run.step_count == truth["totals"]["steps"], f"I1: count of {original.id}"
            assert run.status == truth["status"], f"I1: status of {original.id}"
            entries = UsageEntry.objects.filter(run=run, vanished_at=None)
            cost = truth["totals"]["costMicros"]
            for grouping in ("kind", "service", "model"):
                groups = entries.values(grouping).annotate(cost=Sum("cost_micros"))
                total = sum(group["cost"] or 0 for group in groups.order_by())
                assert total == cost, f"I2: {original.id} by {grouping}: {total}, not {cost}"
        assert recounted.kept() == recounted.of_runs(), "I2: the sums of days"
        micros = Run.objects.aggregate(total=Sum("cost_micros", default=0))["total"]
        assert spending.total() == micros, "I2: the sum of all"

    def _prove_repetition_is_silent(self) -> None:
        """I7: read once more, nothing changes and nothing is told."""
        before = dict(Run.objects.values_list("pk", "version"))
        with redis.Redis(port=self.rig.valkey_port) as client, client.pubsub() as channel:
            channel.subscribe("runsheet:changes")
            begun = timezone.now()
            until(lambda: _all_were_tried(begun), START, "every run to be read again")
            told: Counter[str] = Counter()
            while message := channel.get_message(timeout=0.2):
                told[str(message["type"])] += 1
        assert told["message"] == 0, f"I7: {told['message']} notices about nothing"
        assert dict(Run.objects.values_list("pk", "version")) == before, "I7: versions rose"

    def _prove_secrecy(self) -> None:
        """I8, of what the rig can see: logs, database, Redis, arguments of processes."""
        key = self.rig.simulator.key
        assert key not in self.rig.log(), "I8: the key is in a log"
        for one in self.rig.processes:
            place = Path(f"/proc/{one.pid}/cmdline")
            if place.exists():
                assert key not in place.read_text(), "I8: the key is an argument"
        assert places_of(key) == [], "I8: the key is in the database"
        with redis.Redis(port=self.rig.valkey_port) as client:
            for name in client.scan_iter(count=1000):
                assert key.encode() not in name + (client.dump(name) or b""), f"I8: {name!r}"

    def _prove_integrity(self) -> None:
        """I10. PostgreSQL has no check of its own without an extension that the tests' server
        lacks; there every reference is followed."""
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA integrity_check")
                assert cursor.fetchone() == ("ok",), "I10"
                cursor.execute("PRAGMA foreign_key_check")
                assert cursor.fetchall() == [], "I10: foreign keys"
                return
            cursor.execute(
                "SELECT conrelid::regclass::text, confrelid::regclass::text,"
                " a.attname, f.attname FROM pg_constraint c"
                " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
                " JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1]"
                " WHERE c.contype = 'f' AND c.conrelid::regclass::text LIKE 'runs_%%'"
            )
            keys = cursor.fetchall()
            assert keys
            for table, other, column, target in keys:
                cursor.execute(
                    f"SELECT count(*) FROM {table} t LEFT JOIN {other} o ON o.{target} = t.{column}"
                    f" WHERE t.{column} IS NOT NULL AND o.{target} IS NULL"
                )
                assert cursor.fetchone() == (0,), f"I10: {table}.{column}"


def places_of(secret: str) -> list[str]:
    """The columns, of whatever table the database has, that hold `secret`: as text or bytes, in
    what is compressed, or in a session."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description]
            holding: set[str] = set()
            while rows := cursor.fetchmany(1_000):
                for name, values in zip(names, zip(*rows, strict=True), strict=True):
                    if name not in holding and any(secret in _readable(it, name) for it in values):
                        holding.add(name)
            found += [f"{table}.{name}" for name in names if name in holding]
    return found


def _readable(value: Any, column: str) -> str:
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        with suppress(Exception):  # most are not compressed
            raw += packing.unpack(raw)
        return raw.decode("utf-8", "replace")
    if column == "session_data":
        return f"{value} {SessionStore().decode(value)}"
    return value if isinstance(value, str) else str(value)


def begin(rig: Rig, workers: int, beats: int, seconds: int = 72_000) -> Checker:
    """With eight runs that go on for as long as the test does, 4,000 steps in `seconds`, and some
    that end."""
    start_long(rig, seconds)
    for number in range(4):
        rig.simulator.start("nda_review", seed=number + 1)
    rig.start(workers, beats)
    rig.wait_for_polls(START, 3, "the first polls")
    return Checker(rig)


def start_long(rig: Rig, seconds: int) -> list[SimulatedRun]:
    return [
        rig.simulator.start("synthetic", steps=4_000, seconds=seconds, seed=number + 1, speed=1.0)
        for number in range(8)
    ]


def finish(rig: Rig, checker: Checker) -> None:
    """Calm, then all invariants."""
    world = rig.simulator.world
    for run in world.runs():
        world.cancel(run)
    if not rig.alive("worker"):
        rig.launch("worker")
    if not rig.alive("beat"):
        rig.launch("beat")
    rig.calm()
    checker.prove()


def _all_were_tried(since: dt.datetime) -> bool:
    """Whether every run was claimed after `since`; what was not, and nobody holds, is made due.

    Not once for all: a poll under way sets its run's next time at its end, over ours.
    """
    left = Poll.objects.exclude(last_tried_at__gt=since)
    left.exclude(leased_until__gt=timezone.now()).update(due_at=since)
    return not left.exists()
