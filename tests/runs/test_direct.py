"""Statements that come again and again: prepared where whoever answers will know them again."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from runs import direct
from runs.models import Run
from tests.factories import make_run
from tests.runs.answers import step
from tests.runs.polling import Api, due_run, make_due, now_details

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no server"),
]


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


def test_statements_of_a_changed_poll_are_prepared_on_a_way_of_our_own_to_the_server() -> None:
    poll_often()
    tables = ("runs_poll", "runs_run", "runs_step", "runs_outline", "runs_fingerprint")
    found = prepared()
    for table in tables:
        assert any(f'"{table}"' in statement for statement in found), table


def test_behind_a_pooler_nothing_is_prepared() -> None:
    """It answers with the process number of a server that its own connection does not have."""
    connection.ensure_connection()
    connection.connection.leads_to_server = False
    poll_often()
    assert prepared() == []


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


def test_a_number_is_stored_whatever_the_width_it_was_sent_with() -> None:
    """A statement is prepared for the types of its values, and a small number is another type."""
    run = make_run("running")
    for cost in (1, 70_000, 5_000_000_000, None, 0, 1, 2, 3):
        direct.change(Run, run.pk, {"cost_micros": cost, "summary": None})
        run.refresh_from_db()
        assert run.cost_micros == cost
