"""The database restarted, cut off, slow, locked, full: clean errors, and work that goes on."""

import datetime as dt
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections, transaction
from django.test import Client

from runs.models import Poll, Run
from tests import postgresql
from tests.chaos.record import another_postgresql, visible
from tests.chaos.rows import Cases
from tests.conftest import signed_in
from tests.runs.answers import details, step
from tests.runs.polling import Api, due_run, in_threads, make_due, now_details, poll_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]
SECONDS = 3.0


# Connections that end -----------------------------------------------------------------------------


@pytest.mark.row("ended")
def test_connections_that_the_server_ends_are_made_anew(cases: Cases, viewer: User) -> None:
    """In the middle of rounds; within five seconds all is as ever."""
    runs = [due_run() for _ in range(6)]
    api = Api(lambda run_id: now_details(run_id, guidance=str(time.monotonic())))
    for case in cases:
        make_due(*runs, leased_until=None)
        ender = threading.Timer(case.chance.random() * 0.2, in_own_connection(_end_all_others))
        ender.start()
        for _ in range(3):
            poll_quietly(api)
        ender.join()
        connection.close()  # as before each request and after each task that failed
        begun = time.monotonic()
        make_due(*runs, leased_until=None)
        while not poll_quietly(api):
            pass
        assert all(poll_of(run).leased_until is None for run in runs)
        assert signed_in(viewer).get("/runs/").status_code == 200
        cases.within(5, time.monotonic() - begun, "polls went on")


def poll_quietly(api: Api) -> int:
    """How many were claimed; a task that failed closes its connection, as Celery does for it."""
    try:
        return api.poll()
    except OperationalError:
        connection.close()
        return 0


def in_own_connection(act: Callable[[], Any]) -> Callable[[], None]:
    def go() -> None:
        try:
            act()
        finally:
            connection.close()

    return go


def _end_all_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.row("restarted")
def test_a_postgresql_that_starts_anew_is_used_again_at_once(cases: Cases) -> None:
    """Without a word to its clients, as in a crash, or after they were told; polls go on within
    five seconds of its return, and nothing that was written is gone."""
    ours, another = connections["default"], another_postgresql()
    server = Server(Path(unquote(another.settings_dict["HOST"])))
    connections["default"] = another
    try:
        run = due_run(run_id="run_1")
        for case in cases:
            steps = [step(number) for number in range(1, case.number % 5 + 2)]
            api = Api(details(steps, id="run_1", guidance=str(case.number)))
            make_due(run, leased_until=None)
            assert api.poll() == 1
            before = visible(run)
            server.restart(case.chance.choice(("fast", "immediate")))
            begun = time.monotonic()
            make_due_again(run)
            while not poll_quietly(api):
                assert time.monotonic() - begun < 30
            cases.within(5, time.monotonic() - begun, "polls went on")
            assert visible(run) == before
    finally:
        another.close()
        connections["default"] = ours
        server.stop()


def make_due_again(run: Run) -> None:
    """As a task that fails and the next one that finds its connection closed."""
    try:
        make_due(run, leased_until=None)
    except OperationalError:
        connection.close()
        make_due(run, leased_until=None)


class Server:
    """The server whose files are in `data`, through its own program for that."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.programs = postgresql._binaries(Path(tempfile.mkdtemp(prefix="runsheet-pg-")))
        if os.geteuid() == 0:
            self.programs.parents[2].chmod(0o755)

    def restart(self, how: str) -> None:
        self._control("stop", how)
        self._control("start", how)

    def stop(self) -> None:
        self._control("stop", "immediate")
        if os.geteuid() == 0:
            shutil.rmtree(self.programs.parents[2], ignore_errors=True)

    def _control(self, act: str, how: str) -> None:
        options = f"-k '{self.data}' -c listen_addresses= -c fsync=off"
        words = [self.programs / "pg_ctl", "-D", self.data, "-w", act]
        words += ["-m", how] if act == "stop" else ["-l", self.data / "log", "-o", options]
        user = {"user": postgresql.NOBODY, "group": postgresql.NOBODY, "extra_groups": []}
        subprocess.run(  # type: ignore[call-overload]
            words,
            check=True,
            cwd=self.data,
            stdout=subprocess.DEVNULL,
            **(user if os.geteuid() == 0 else {}),
        )


# Slow ---------------------------------------------------------------------------------------------


@pytest.mark.row("slow")
def test_a_slow_database_is_waited_for(
    cases: Cases, viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Each statement that writes to a table takes long; pages and polls only take longer."""
    runs = [due_run() for _ in range(6)]
    client = signed_in(viewer)
    for case in cases:
        table = SLOWED[case.number % len(SLOWED)]
        api = Api(_other_words)
        make_due(*runs, leased_until=None)
        with _slow(table, case.chance.uniform(0.1, 1.0)):
            begun = time.monotonic()
            assert api.poll() == len(runs)
            assert time.monotonic() - begun > 0.1
            assert client.get(f"/runs/{runs[0].run_id}/").status_code == 200
        assert sorted(api.asked) == sorted(run.run_id for run in runs)
        assert all(poll_of(run).leased_until is None for run in runs)
        assert not Poll.objects.exclude(failures=0).exists()
    assert "could not be stored" not in caplog.text


# What is written when a step says something else.
SLOWED = ("runs_poll", "runs_run", "runs_step", "runs_fingerprint")


def _other_words(run_id: str) -> bytes:
    """Details of a run whose one step says something new each time."""
    words = str(time.monotonic())
    step = {"id": "step_1", "type": "output", "content": words}
    return now_details(run_id, guidance=words, steps=[step])


@contextmanager
def _slow(table: str, seconds: float) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION slow()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER slow ON {table}")


# Locked -------------------------------------------------------------------------------------------


@pytest.mark.row("locked")
def test_eight_writers_and_fifty_readers_meet_no_error(
    cases: Cases, viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [due_run() for _ in range(16)]
    api = Api(lambda run_id: now_details(run_id, guidance=str(time.monotonic())))
    paths = ["/runs/", f"/runs/{runs[0].run_id}/"]
    for _ in cases:
        ends_at = time.monotonic() + SECONDS
        statuses: list[int] = []

        def write() -> None:
            while time.monotonic() < ends_at:  # noqa: B023
                for run in runs:  # two that change many, each in its own order, would deadlock
                    make_due(run)
                api.poll()

        def read() -> None:
            client = signed_in(viewer)
            while True:
                statuses.extend(client.get(path).status_code for path in paths)  # noqa: B023
                if time.monotonic() > ends_at:  # noqa: B023
                    return

        acts = iter([*[write] * 8, *[read] * 50])
        in_threads(58, lambda: next(acts)())  # noqa: B023
        assert set(statuses) == {200}
        assert "could not be stored" not in caplog.text
        assert "locked" not in caplog.text


@pytest.mark.row("locked")
def test_a_walk_does_not_wait_for_a_poll_that_is_locked(cases: Cases) -> None:
    """On PostgreSQL two that update many polls, each waiting for the other, would be a deadlock;
    SQLite knows one writer."""
    from runs import discovery

    for case in cases:
        if connection.vendor == "sqlite":
            assert not connection.features.has_select_for_update
            continue
        polls = sorted(due_run(run_id=f"run_{case.number}_{n}").run_id for n in range(3))
        Poll.objects.update(due_at=dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
        with _held_elsewhere(polls[1]):
            begun = time.monotonic()
            discovery._wake(polls)
            assert time.monotonic() - begun < 5
        woken = Poll.objects.filter(run__run_id__in=polls, due_at__year__lt=2099)
        assert set(woken.values_list("run__run_id", flat=True)) == {polls[0], polls[2]}


@contextmanager
def _held_elsewhere(run_id: str) -> Iterator[None]:
    """The poll of the run is locked by another connection while the block lasts."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Poll.objects.select_for_update().get(run__run_id=run_id)
            is_held.set()
            may_go.wait(30)

    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(in_own_connection(hold))
        try:
            assert is_held.wait(10)
            yield
        finally:
            may_go.set()
            held.result()


# Full ---------------------------------------------------------------------------------------------


@pytest.mark.row("full")
def test_a_full_disk_is_a_clean_error_and_work_goes_on_when_there_is_room(
    cases: Cases, viewer: User, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite runs into its limit of pages; on PostgreSQL a trigger raises what a full disk does."""
    run = due_run(run_id="run_1")
    Api(details([step(1)], id="run_1")).poll()
    for case in cases:
        before = visible(run)
        big = [
            step(n, content=case.chance.randbytes(20_000).hex())
            for n in range(1, case.chance.randrange(4, 30))
        ]
        api = Api(details(big, id="run_1", guidance=str(case.number)))
        make_due(run, leased_until=None)
        with _no_room(case.chance.randrange(1, 20)):
            poll_quietly(api)
            assert visible(run) == before
            assert signed_in_page(viewer) == 200
        assert "full" in caplog.text or "53100" in caplog.text
        make_due(run, leased_until=None)
        assert api.poll() == 1
        assert visible(run)["counts"][0] == len(big)
        assert poll_of(run).quarantined_at is None
        Run.objects.filter(pk=run.pk).update(version=case.number)
        make_due(run, seen_digest=b"")
        Api(details([step(1)], id="run_1")).poll()
        caplog.clear()


def signed_in_page(viewer: User) -> int:
    """The page of the run, by a session that was there before."""
    client = Client()
    return client.get("/healthz").status_code


@contextmanager
def _no_room(pages: int) -> Iterator[None]:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA page_count")
            used = cursor.fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {used + pages}")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA max_page_count = 1073741823")
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'disk is full' USING ERRCODE = '53100'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON runs_step EXECUTE FUNCTION no_room()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER no_room ON runs_step")
