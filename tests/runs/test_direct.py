"""Statements that come again and again: prepared where whoever answers will know them again."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs import direct, leases
from runs.claims import claim
from runs.models import Poll, Run
from tests.factories import make_run
from tests.product import until
from tests.runs.answers import step
from tests.runs.polling import Api, due_run, make_due, now_details

pytestmark = pytest.mark.django_db(transaction=True)
# SQLite prepares nothing and knows no sessions; `make test` runs these in its second pass.
of_a_server = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="of a server")


@pytest.fixture(autouse=True)
def _own_connection() -> Iterator[None]:
    """One that has prepared nothing, and is not left to other tests."""
    connection.close()
    yield
    connection.close()


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def poll_often(times: int = 4) -> None:
    """A changed poll each time, whose statements are those of the one before."""
    run = due_run(run_id="run_1")
    steps: list[Any] = []
    for number in range(times):
        steps.append(step(number))
        make_due(run)
        assert Api(now_details("run_1", steps=steps)).poll() == 1


@of_a_server
def test_statements_of_a_changed_poll_are_prepared_on_a_way_of_our_own_to_the_server() -> None:
    poll_often()
    tables = ("runs_poll", "runs_run", "runs_step", "runs_outline", "runs_fingerprint")
    found = prepared()
    for table in tables:
        assert any(f'"{table}"' in statement for statement in found), table


@of_a_server
def test_behind_a_pooler_nothing_is_prepared() -> None:
    """It answers with the process number of a server that its own connection does not have."""
    connection.ensure_connection()
    connection.connection.leads_to_server = False
    poll_often()
    assert prepared() == []


@of_a_server
def test_a_way_through_a_pooler_is_told_by_another_process_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.ensure_connection()
    info = type(connection.connection.info)
    own = connection.connection.info.backend_pid
    for pid, is_direct in ((own + 1, False), (own, True)):
        monkeypatch.setattr(info, "backend_pid", pid)
        if hasattr(connection.connection, "leads_to_server"):
            del connection.connection.leads_to_server
        with direct.cursor():
            assert connection.connection.leads_to_server is is_direct
        assert (connection.connection.prepare_threshold is not None) is is_direct


@of_a_server
@pytest.mark.parametrize("act", ["claim", "renew"])
def test_what_takes_and_renews_leases_cannot_lock_rows_and_stop(act: str) -> None:
    """On any connection: a pooler's too."""
    run = due_run()
    (held,) = claim(timezone.now(), 1, only=run.pk)
    connection.close()
    with CaptureQueriesContext(connection) as asked:
        if act == "claim":
            claim(timezone.now(), 10)
        else:
            leases.renew(Poll, {run.pk: held.hold})
    first = next(query["sql"] for query in asked.captured_queries if query["sql"] != "BEGIN")
    assert first == "SET LOCAL idle_in_transaction_session_timeout = '30s'"


@of_a_server
@pytest.mark.parametrize("limit", ["IDLE_MOST", "LASTS_MOST"])
def test_a_process_that_stops_in_a_transaction_keeps_its_rows_from_others_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(direct, limit, 1)
    run = due_run()
    has_locked = threading.Event()

    def stop() -> None:
        try:
            with transaction.atomic():
                direct.held(run.pk, 0)
                has_locked.set()
                time.sleep(4)  # as if it stood still: the server hears nothing
                direct.held(run.pk, 0)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(stop)
        assert has_locked.wait(20)
        assert claim(timezone.now(), 10) == []
        until(lambda: claim(timezone.now(), 10), 20, "the row to be free")
        with pytest.raises(DatabaseError):
            stopped.result()


def test_a_number_is_stored_whatever_the_width_it_was_sent_with() -> None:
    """A statement is prepared for the types of its values, and a small number is another type."""
    run = make_run("running")
    for cost in (1, 70_000, 5_000_000_000, None, 0, 1, 2, 3):
        direct.change(Run, run.pk, {"cost_micros": cost, "summary": None})
        run.refresh_from_db()
        assert run.cost_micros == cost
