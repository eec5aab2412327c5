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
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, unquote

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.base import SessionBase
from django.db import OperationalError, close_old_connections, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test import Client

from runs import discovery
from runs.models import Poll, Run
from tests import postgresql
from tests.chaos.checker import START, begin, finish
from tests.chaos.record import another_postgresql, visible
from tests.chaos.rig import Rig
from tests.chaos.rows import Cases
from tests.chaos.test_processes import RESUMES_WITHIN
from tests.conftest import account, signed_in
from tests.runs.answers import details, step
from tests.runs.polling import Api, due_run, in_threads, make_due, now_details, poll_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]
SECONDS = 3.0


# Connections that end -----------------------------------------------------------------------------


@pytest.mark.row("ended")
def test_connections_that_the_server_ends_are_made_anew(
    cases: Cases, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of rounds; within five seconds all is as ever."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)  # as in the product
    runs = [due_run() for _ in range(6)]
    api = Api(lambda run_id: now_details(run_id, guidance=str(time.monotonic())))
    client = calm_client(viewer)
    connection.close()  # the next one is kept
    for case in cases:
        make_due(*runs, leased_until=None)
        ender = threading.Timer(case.chance.random() * 0.2, in_own_connection(_end_all_others))
        ender.start()
        for _ in range(3):
            poll_quietly(api)
        ender.join()
        begun = time.monotonic()
        while not make_due_quietly(*runs) or not poll_quietly(api):
            assert time.monotonic() - begun < 30
        assert all(poll_of(run).leased_until is None for run in runs)
        in_own_connection(_end_all_others)()
        assert page(client, "/runs/").status_code == 200
        cases.within(5, time.monotonic() - begun, "polls went on")


def poll_quietly(api: Api) -> int:
    """How many were claimed, by a task as a worker runs it: before each, and only then, it lets go
    of connections that are of no use any more (`dashboard.celery`)."""
    close_old_connections()
    try:
        return api.poll()
    except OperationalError:
        return 0


def make_due_quietly(*runs: Run) -> bool:
    close_old_connections()
    try:
        make_due(*runs, leased_until=None)
    except OperationalError:
        return False
    return True


def calm_client(user: User) -> Client:
    """Signed in; gets the page of an error, and not the exception."""
    client = signed_in(user)
    client.raise_request_exception = False
    return client


def page(client: Client, path: str) -> Any:
    """As the product answers: Django's client takes out what a request begins with."""
    close_old_connections()
    return client.get(path)


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


# A server that stops and starts -------------------------------------------------------------------


class Server:
    """The server whose files are in `data`, through its own program for that."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.programs = postgresql._binaries(Path(tempfile.mkdtemp(prefix="runsheet-pg-")))
        if os.geteuid() == 0:
            self.programs.parents[2].chmod(0o755)

    @property
    def url(self) -> str:
        return f"postgresql://runsheet@{quote(str(self.data), safe='')}/postgres"

    def stop(self, how: str) -> None:
        """`fast`: clients are told; `immediate`: as in a crash."""
        self._control("stop", "-m", how)

    def start(self) -> None:
        options = f"-k '{self.data}' -c listen_addresses= -c fsync=off"
        self._control("start", "-l", self.data / "log", "-o", options)

    def end(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        if os.geteuid() == 0:
            shutil.rmtree(self.programs.parents[2], ignore_errors=True)

    def _control(self, act: str, *how: str | Path) -> None:
        words = [self.programs / "pg_ctl", "-D", self.data, "-w", act, *how]
        user = {"user": postgresql.NOBODY, "group": postgresql.NOBODY, "extra_groups": []}
        subprocess.run(  # type: ignore[call-overload]
            words,
            check=True,
            cwd=self.data,
            stdout=subprocess.DEVNULL,
            **(user if os.geteuid() == 0 else {}),
        )


@pytest.mark.row("restarted")
def test_a_postgresql_that_starts_anew_is_used_again_at_once(
    cases: Cases, own_server: Server
) -> None:
    """Without a word to its clients, as in a crash, or after they were told; polls and pages go on
    within five seconds of its return, pages say so meanwhile, and nothing that was written is
    gone."""
    run, client = due_run(run_id="run_1"), calm_client(account("violet", "viewer"))
    for case in cases:
        steps = [step(number) for number in range(1, case.number % 5 + 2)]
        api = Api(details(steps, id="run_1", guidance=str(case.number)))
        assert make_due_quietly(run)
        assert poll_quietly(api) == 1
        assert page(client, "/runs/run_1/").status_code == 200
        before = visible(run)
        own_server.stop(case.chance.choice(("fast", "immediate")))
        assert poll_quietly(api) == 0
        answer = page(client, "/runs/run_1/")
        assert answer.status_code == 503
        assert "The database cannot be used now" in answer.text
        assert "Error" not in answer.text
        own_server.start()
        begun = time.monotonic()
        while page(client, "/runs/run_1/").status_code != 200:
            assert time.monotonic() - begun < 30
        while not make_due_quietly(run) or not poll_quietly(api):
            assert time.monotonic() - begun < 30
        cases.within(5, time.monotonic() - begun, "polls and pages went on")
        assert visible(run) == before


@pytest.mark.row("restarted")
def test_a_worker_whose_postgresql_starts_anew_goes_on(
    cases: Cases, own_server: Server, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one. What it held when the server went is free when its leases are over."""
    monkeypatch.setenv("DATABASE_URL", own_server.url)
    checker = begin(rig, workers=1, beats=1)
    workers = rig.alive("worker")
    for case in cases:
        own_server.stop(case.chance.choice(("fast", "immediate")))
        time.sleep(case.chance.uniform(0, 3))
        own_server.start()
        close_old_connections()
        took = rig.wait_for_polls(START, 2, "polls after PostgreSQL was away")
        cases.within(5, took, "a worker went on")
        cases.within(RESUMES_WITHIN, checker.wait_until_on_time(START), "I5: all were in time")
        checker.look()
        assert rig.alive("worker") == workers
    finish(rig, checker)


@pytest.fixture
def own_server(db: None) -> Iterator[Server]:
    """A PostgreSQL that may be stopped, with all tables, in the place of the test's own."""
    ours, another = connections["default"], another_postgresql(whole=True)
    server = Server(Path(unquote(another.settings_dict["HOST"])))
    connections["default"] = another
    ContentType.objects.clear_cache()
    try:
        server.stop("fast")
        server.start()  # as its clients expect it: what is committed is written
        close_old_connections()
        yield server
    finally:
        another.close()
        connections["default"] = ours
        ContentType.objects.clear_cache()
        server.end()


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
def test_a_walk_and_a_poll_that_is_locked(cases: Cases) -> None:
    """On PostgreSQL two that update many polls, each waiting for the other, would be a deadlock, so
    a walk passes over what another holds. SQLite knows one writer: the walk waits for it, and then
    wakes all."""
    is_sqlite = connection.vendor == "sqlite"
    for case in cases:
        polls = sorted(due_run(run_id=f"run_{case.number}_{n}").run_id for n in range(3))
        Poll.objects.update(due_at=dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
        seconds = case.chance.uniform(0.5, 3)
        with _held_elsewhere(polls[1], seconds if is_sqlite else 30):
            begun = time.monotonic()
            discovery._wake(polls)
            took = time.monotonic() - begun
        assert seconds - 0.5 < took < seconds + 5 if is_sqlite else took < 5
        woken = Poll.objects.filter(run__run_id__in=polls, due_at__year__lt=2099)
        expected = set(polls) if is_sqlite else {polls[0], polls[2]}
        assert set(woken.values_list("run__run_id", flat=True)) == expected


@contextmanager
def _held_elsewhere(run_id: str, seconds: float) -> Iterator[None]:
    """The poll of the run is locked by another connection while the block lasts, for `seconds` at
    most."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Poll.objects.select_for_update().get(run__run_id=run_id)
            is_held.set()
            may_go.wait(seconds)

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
    cases: Cases, member: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite runs into its limit of pages; on PostgreSQL a trigger raises what a full disk does."""
    settings.REQUIRE_MFA = True  # who wants to share keeps in the session where to go on
    run = due_run(run_id="run_1")
    Api(details([step(1)], id="run_1")).poll()
    client = calm_client(member)
    for case in cases:
        before = visible(run)
        big = [
            step(n, content=case.chance.randbytes(20_000).hex())
            for n in range(1, case.chance.randrange(4, 30))
        ]
        api = Api(details(big, id="run_1", guidance=str(case.number)))
        make_due(run, leased_until=None)
        _seen_long_ago(client, case.chance)
        with _no_room(case.chance):
            poll_quietly(api)
            assert visible(run) == before
            assert "full" in caplog.text or "53100" in caplog.text
            caplog.clear()
            _fill_what_is_left()
            _is_shown_or_told(page(client, "/runs/run_1/"))
            assert "could not be noted" in caplog.text
            answer = client.post("/runs/run_1/share/")
            assert answer.status_code == 503
            _is_shown_or_told(answer)
        assert page(client, "/runs/run_1/").status_code == 200
        assert client.post("/runs/run_1/share/").status_code == 302
        assert time.time() - client.session["seen_at"] < 60, "the look was not noted later"
        make_due(run, leased_until=None)
        assert api.poll() == 1
        assert visible(run)["counts"][0] == len(big)
        assert poll_of(run).quarantined_at is None
        Run.objects.filter(pk=run.pk).update(version=case.number)
        make_due(run, seen_digest=b"")
        Api(details([step(1)], id="run_1")).poll()
        caplog.clear()


def _is_shown_or_told(answer: Any) -> None:
    """The page, or a word on why it is not shown."""
    sentences = ("This page cannot be shown now", "The database cannot be used now")
    is_told = answer.status_code == 503 and any(one in answer.text for one in sentences)
    assert answer.status_code == 200 or is_told, answer.status_code


def _seen_long_ago(client: Client, chance: Random) -> None:
    """The next look is to be noted: with what that adds, the row of the session does not fit into
    its page any more, where SQLite would write over what was there."""
    session = client.session
    kept = ("signed_in_at", "seen_at", "_session_expiry", "padding", "after_second_factor")
    for key in kept:
        session.pop(key, None)
    padding = chance.randbytes(3_000).hex()
    length = next(n for n in range(6_000) if len(_encoded(session, padding[:n])) >= 3_970)
    session["padding"] = padding[:length]
    session.save()


def _encoded(session: SessionBase, padding: str) -> str:
    return session.encode(dict(session.items()) | {"padding": padding})


@contextmanager
def _no_room(chance: Random) -> Iterator[None]:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE filler (filled)")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA page_count")
            most = cursor.fetchone()[0] + chance.randrange(1, 20)

        def limit(connection: Any, **_: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA max_page_count = {most}")

        connection_created.connect(limit)  # each connection has a limit of its own
        connection.close()
        try:
            yield
        finally:
            connection_created.disconnect(limit)
            connection.close()
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE filler")
        return
    tables = ["runs_step", "django_session", *chance.choice(([], ["dashboard_audit"]))]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'disk is full' USING ERRCODE = '53100'; END $$"
        )
        for table in tables:
            cursor.execute(
                f"CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DROP TRIGGER no_room ON {table}")


def _fill_what_is_left() -> None:
    """So that not even one more page fits."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor, suppress(OperationalError):
            while True:
                cursor.execute("INSERT INTO filler VALUES (zeroblob(4000))")
