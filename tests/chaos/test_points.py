"""A fault at each SQL statement and each HTTP call of one poll, one after the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from runs.models import Poll, Run, Upstream
from tests.chaos.record import visible
from tests.chaos.rows import Cases
from tests.runs.answers import details, reply, step
from tests.runs.polling import NOW, Api, due_run, make_due, poll_of

BEFORE = details([step(1), step(2), step(3)], createdAt=NOW.isoformat(), id="run_1")
AFTER = details([step(3), step(4)], [], createdAt=NOW.isoformat(), id="run_1", guidance="x")


class Killed(BaseException):
    """The process ends here."""


class Points:
    """Counts statements and calls, and spoils the one that it is told to."""

    def __init__(self, at: int, fault: Callable[[], BaseException], *, after: bool) -> None:
        self.at, self.fault, self.after = at, fault, after
        self.seen = 0

    def pass_through(self, act: Callable[[], Any]) -> Any:
        self.seen += 1
        is_it = self.seen == self.at + 1
        if is_it and not self.after:
            raise self.fault()
        result = act()
        if is_it:
            raise self.fault()
        return result

    @contextmanager
    def between(self) -> Iterator[None]:
        def wrap(execute: Any, sql: str, *rest: Any) -> Any:
            return self.pass_through(lambda: execute(sql, *rest))

        with connection.execute_wrapper(wrap):
            yield

    def answer(self, body: bytes) -> Callable[[str], httpx.Response]:
        def speak(run_id: str) -> httpx.Response:
            try:
                return cast(httpx.Response, self.pass_through(lambda: reply(body)))
            except (OperationalError, InterfaceError) as error:
                raise httpx.ReadError("broken off") from error

        return speak


FAULTS: dict[str, tuple[Callable[[], BaseException], bool]] = {
    "killed before": (Killed, False),
    "killed after": (Killed, True),
    "disk full": (lambda: OperationalError("database or disk is full"), False),
    "connection lost": (lambda: _lost(InterfaceError("connection already closed")), False),
    "answer lost": (lambda: _lost(OperationalError("server closed the connection")), True),
}


def _lost(error: BaseException) -> BaseException:
    """`error`, after the connection has truly gone; a file cannot go."""
    if connection.connection is not None and connection.vendor == "postgresql":
        connection.connection.close()
    return error


@pytest.mark.row("points")
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(0)
def test_a_fault_at_any_point_of_a_poll_leaves_a_whole_run(cases: Cases) -> None:
    for _ in cases:
        for name, is_first in [("killed before", True), *((name, False) for name in FAULTS)]:
            reached = _through_all_points(name, is_first)
            assert reached > 10, f"{name}: only {reached} points"


def _through_all_points(name: str, is_first: bool) -> int:
    for at in range(80):
        Run.objects.all().delete()
        Upstream.objects.all().delete()
        run = due_run(run_id="run_1")
        if not is_first:
            Api(BEFORE).poll()
            make_due(run)
        known = visible(run), poll_of(run).fence
        fault, after = FAULTS[name]
        points = Points(at, fault, after=after)
        _poll_once(points)
        words = f"{name} at point {at}, {'first' if is_first else 'later'} poll"
        if points.seen <= at:
            return at
        _judge(run, known, words)
    raise AssertionError(f"{name}: the poll does not end")


def _poll_once(points: Points) -> None:
    try:
        with points.between():
            Api(points.answer(AFTER)).poll()
    except (Killed, OperationalError, InterfaceError):
        pass
    _forget_connection()


def _forget_connection() -> None:
    """As at the end of a process, or of a task that failed: what was begun is rolled back."""
    connection.in_atomic_block = False
    connection.savepoint_ids, connection.needs_rollback = [], False
    connection.close()


def _judge(run: Run, known: tuple[Any, int], words: str) -> None:
    """Either nothing was written or all of it; the next claim, after the lease, completes it."""
    now = visible(run)
    assert now == known[0] or now["counts"][0] == 2, words
    assert poll_of(run).fence >= known[1], words
    Poll.objects.filter(pk=run.pk).exclude(leased_until=None).update(leased_until=timezone.now())
    Upstream.objects.all().delete()
    make_due(run)
    assert Api(AFTER).poll() == 1, words
    done = visible(run)
    assert [one[1] for one in done["steps"]] == ["step_003", "step_004"], words
    assert done["counts"] == (2, 0, 0), words
    assert poll_of(run).leased_until is None, words
