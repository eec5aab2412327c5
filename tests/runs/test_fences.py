"""Who may write: overtaken claims, sudden ends, many writers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from runs import bulk, gauges, notices, poller, turns
from runs.claims import release
from runs.models import Fingerprint, Payload, Poll, Run, Upstream
from runs.poller import Outcome, Round
from tests.factories import make_runs
from tests.product import until
from tests.runs.answers import client_of, details, reply, step
from tests.runs.polling import (
    MINUTE,
    NOW,
    Api,
    answer,
    claim_of,
    due_run,
    in_threads,
    make_due,
    now_details,
    poll_of,
)

# Fences -------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"<html>", None, "same"])
def test_whoever_was_overtaken_writes_nothing(body: Any) -> None:
    run = due_run()
    first = now_details(run.run_id)
    assert poller.store(claim_of(run), answer(first)) is Outcome.CHANGED
    old = claim_of(run)
    Poll.objects.filter(pk=run.pk).update(leased_until=None)
    new = claim_of(run)
    assert new.fence == old.fence + 1
    before = Poll.objects.values().get(pk=run.pk)
    late = {"same": first, None: now_details(run.run_id, guidance="late")}.get(body, body)
    assert poller.store(old, answer(late)) is Outcome.OVERTAKEN
    report = poller.poll(old, Round(client_of(lambda request: reply({}, 500))))
    assert report.outcome is Outcome.OVERTAKEN
    release(old)
    assert Poll.objects.values().get(pk=run.pk) == before
    assert not Payload.objects.filter(kind=Payload.Kind.REFUSED).exists()
    run.refresh_from_db()
    assert run.version == 1
    assert poller.store(new, answer(now_details(run.run_id, guidance="x"))) is Outcome.CHANGED


@pytest.mark.django_db(transaction=True)
def test_of_many_answers_without_news_only_the_overtaken_ones_write_nothing() -> None:
    runs = [due_run(run_id=f"run_{number}") for number in range(bulk.FEW * 2)]
    bodies = {run.run_id: details(id=run.run_id) for run in runs}
    api = Api(lambda run_id: reply(bodies[run_id]))
    assert api.poll() == len(runs)
    make_due(*runs)
    overtaken = runs[3]

    def overtake(run_id: str) -> Any:
        if run_id == overtaken.run_id:
            Poll.objects.filter(pk=overtaken.pk).update(fence=F("fence") + 1)
            connection.close()  # of the thread that asks
        return reply(bodies[run_id])

    begun, counted = timezone.now(), gauges.told().polls
    api.for_all = overtake
    assert api.poll() == len(runs)
    more = {name: count - counted.get(name, 0) for name, count in gauges.told().polls.items()}
    assert (more["unchanged"], more["overtaken"]) == (len(runs) - 1, 1)
    done = Poll.objects.filter(leased_until=None, due_at__gt=begun, last_ok_at__gt=begun)
    assert set(done.values_list("pk", flat=True)) == {run.pk for run in runs} - {overtaken.pk}
    assert set(Run.objects.values_list("version", flat=True)) == {1}


@pytest.mark.django_db
def test_a_claim_whose_turn_comes_too_late_is_given_back_unasked() -> None:
    run = due_run()
    due_at = poll_of(run).due_at
    held = claim_of(run)
    held.hold.until = time.monotonic() - 1
    api = Api(now_details(run.run_id))
    assert poller.poll(held, Round(api.client)).outcome is Outcome.LATE
    assert api.asked == []
    poll = poll_of(run)
    assert (poll.leased_until, poll.due_at, poll.failures) == (None, due_at, 0)


@pytest.mark.django_db(transaction=True)
def test_a_process_holds_no_more_claims_than_it_has_room_for() -> None:
    runs = make_runs(poller.BATCH + 10, status="running")
    poller.schedule_new(runs, timezone.now() - MINUTE)
    go_on = threading.Event()

    def slowly(run_id: str) -> bytes:
        go_on.wait(20)
        return now_details(run_id)

    api = Api(slowly)

    def tick() -> int:
        try:
            return api.poll()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(tick)
        while Poll.objects.exclude(leased_until=None).count() < poller.BATCH:
            time.sleep(0.01)
        assert threads.submit(tick).result() == 0
        assert notices.last_beat() is not None
        go_on.set()
        assert first.result() == poller.BATCH
    assert Poll.objects.filter(last_ok_at=None).count() == 10
    api.poll()  # what waited longest comes first
    assert not Poll.objects.filter(last_ok_at=None).exists()


# Sudden ends --------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_worker_killed_between_any_two_statements_leaves_a_whole_run(is_first: bool) -> None:
    """Killed after each number of statements; then the lease runs out and the next one polls."""
    before = details([step(1), step(2), step(3)], createdAt=NOW.isoformat(), id="run_1")
    after = details([step(3), step(4)], [], createdAt=NOW.isoformat(), id="run_1", guidance="x")
    survived = 0
    for survives in range(60):
        Run.objects.all().delete()
        run = due_run(run_id="run_1")
        if not is_first:
            Api(before).poll()
            make_due(run)
        known = (run_state(run), poll_of(run).last_ok_at)
        if kill_after(survives, lambda: Api(after).poll()):
            survived = survives
            break
        assert run_state(run) == known[0] or poll_of(run).last_ok_at != known[1]
        Poll.objects.update(leased_until=timezone.now())  # it runs out
        Upstream.objects.all().delete()
        make_due(run)
        assert Api(after).poll() == 1
        assert [one.step_id for one in run.steps.filter(vanished_at=None)] == [
            *("step_003", "step_004")
        ]
        assert poll_of(run).leased_until is None
        run.refresh_from_db()
        assert (run.guidance, run.entry_count) == ("x", 0)
        assert run.version == (1 if is_first else 2)
    assert survived > 10


def run_state(run: Run) -> tuple[Any, ...]:
    return (
        Run.objects.values_list("version", "step_count", "guidance").get(pk=run.pk),
        list(run.steps.values_list("position", "step_id", "vanished_at").order_by("pk")),
        list(Payload.objects.values_list("size", flat=True)),
        [bytes(steps) for steps in Fingerprint.objects.values_list("steps", flat=True)],
    )


def kill_after(statements: int, act: Callable[[], object]) -> bool:
    """Whether `act` came to its end before so many statements; the rest dies with its thread."""
    left = statements

    def kill(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return execute(sql, *rest)

    try:
        with connection.execute_wrapper(kill):
            act()
    except Killed:
        return False
    return True


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_meet_no_locked_database(caplog: pytest.LogCaptureFixture) -> None:
    """Claims, syncs, failures and attention from many threads, for a while."""
    runs = [due_run() for _ in range(20)]
    api = Api(lambda run_id: now_details(run_id, guidance=str(time.monotonic())))
    for run in runs[:5]:
        api.says[run.run_id] = lambda run_id: reply(b"odd")
    ends_at = time.monotonic() + 2

    def work() -> None:
        while time.monotonic() < ends_at:
            for run in runs:
                make_due(run)
                poller.attend(run)
            api.poll()

    in_threads(4, work)
    assert "could not be stored" not in caplog.text
    assert len(api.asked) >= len(runs)  # more on a machine with time for it
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            assert cursor.fetchone() == ("ok",)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_between_two_rounds_is_made_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = [due_run() for _ in range(4)]
    words = "word " * (poller.BIG // 5)  # so that threads store, each with its own connection
    api = Api(lambda run_id: now_details(run_id, guidance=words))
    assert api.poll() == 4
    if connection.vendor == "postgresql":  # as when the server starts anew; a file cannot break
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchall()
    make_due(*runs)
    assert api.poll() == 4
    assert "could not be stored" not in caplog.text
    assert not Poll.objects.exclude(leased_until=None).exists()


@pytest.mark.django_db(transaction=True)
def test_a_large_answer_waits_for_its_turn_and_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "LARGE", 2 * poller.BIG)
    runs = [due_run() for _ in range(3)]
    large = {run.run_id for run in runs[:2]}
    words = "word " * poller.BIG
    api = Api(lambda run_id: now_details(run_id, guidance=words if run_id in large else "few"))
    with ThreadPoolExecutor(1) as beside:
        with turns.of(turns.LARGE + 1):  # somebody else's turn
            polling = beside.submit(api.poll)
            until(lambda: poll_of(runs[2]).last_ok_at, 20, "the small answer")
            assert [poll_of(run).last_ok_at for run in runs[:2]] == [None, None]
        assert polling.result(20) == 3
        beside.submit(lambda: connection.close()).result()
    poller.rest()
    assert {run.guidance for run in Run.objects.filter(run_id__in=large)} == {words}
    assert not Poll.objects.exclude(leased_until=None).exists()
