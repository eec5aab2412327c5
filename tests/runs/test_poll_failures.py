"""What a failure does to a run, to its place in the schedule, and to the others."""

import time
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from runs import breaker, places
from runs.models import Payload, Poll, Run, Step, Upstream
from tests.factories import make_run
from tests.runs.answers import reply
from tests.runs.polling import MINUTE, NOW, Api, due_run, make_due, now_details, poll_of, wait_of


@pytest.mark.django_db
def test_a_failure_keeps_the_last_good_state_and_backs_off() -> None:
    run = due_run()
    api = Api(now_details(run.run_id))
    api.poll()
    ok_at = poll_of(run).last_ok_at
    api.for_all = reply({"message": "No room"}, 503)
    for failures in range(1, 5):
        make_due(run)
        api.poll()
        poll = poll_of(run)
        assert (poll.failures, poll.leased_until) == (failures, None)
        assert poll.last_error == "Case.dev answered 503: No room"
        assert poll.last_ok_at == ok_at
        assert 1 <= wait_of(run) <= 2**failures
        api.for_all = reply({"message": "No room"}, 503)
    run.refresh_from_db()
    assert run.version == 1
    assert run.step_count == 1
    make_due(run)
    api.for_all = now_details(run.run_id)
    api.poll()
    poll = poll_of(run)
    assert (poll.failures, poll.last_error) == (0, "")
    assert wait_of(run) == 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry_after": "120"}, 120, 132),
        ({"retry_after": "0"}, 1, 1.1),
        ({"retry_after": "86400"}, 900, 900),
        ({"x_ratelimit_reset_requests": "45s"}, 45, 49.5),
    ],
)
def test_a_wait_that_the_api_asks_for_is_obeyed_within_reason(
    headers: dict[str, str], least: float, most: float
) -> None:
    run = due_run()
    Api(lambda run_id: reply({}, 429, **headers)).poll()
    assert least <= wait_of(run) <= most


@pytest.mark.django_db
def test_a_run_unknown_upstream_keeps_what_we_have_and_is_asked_for_ever_more_rarely() -> None:
    run = due_run()
    api = Api(now_details(run.run_id))
    api.poll()
    api.for_all = lambda run_id: reply({"error": {"message": "Run not found"}}, 404)
    make_due(run, failures=30)
    api.poll()
    assert 1 <= wait_of(run) <= 900
    run.refresh_from_db()
    assert (run.status, run.step_count) == ("running", 1)
    assert poll_of(run).last_error == "Case.dev answered 404: Run not found"


@pytest.mark.django_db
def test_an_ended_run_that_is_gone_upstream_has_settled() -> None:
    run = due_run("completed")
    api = Api(lambda run_id: reply({}, 404))
    for _ in range(6):
        make_due(run)
        api.poll()
    assert poll_of(run).due_at is None
    assert api.poll() == 0


@pytest.mark.django_db(transaction=True)
def test_a_run_that_cannot_be_read_is_put_aside_after_five_tries_and_slows_no_other() -> None:
    bad, good = due_run(), due_run()
    api = Api(lambda run_id: now_details(run_id, guidance=f"{time.monotonic()}"))
    api.says[bad.run_id] = lambda run_id: reply(b"<html>not here</html>")
    for tries in range(1, 6):
        make_due(bad, good)
        assert api.poll() == 2
        poll = poll_of(bad)
        assert (poll.failures, poll.sync_failures) == (tries, tries)
        assert (poll.quarantined_at is not None) is (tries == 5)
        refused = Payload.objects.get(run=bad, kind=Payload.Kind.REFUSED)
        assert refused.text == b"<html>not here</html>"
        assert refused.error == "The answer cannot be read: it is not JSON."
    assert wait_of(bad) == 3600
    good.refresh_from_db()
    assert good.version == 5
    assert poll_of(good).failures == 0
    assert api.asked.count(good.run_id) == 5


@pytest.mark.django_db
def test_quarantine_outlives_other_failures_and_ends_with_a_good_answer() -> None:
    run = due_run(poll_sync_failures=4, poll_failures=4)
    api = Api(reply(b"odd"))
    api.poll()
    since = poll_of(run).quarantined_at
    assert since is not None
    api.for_all = reply({}, 503)
    make_due(run)
    api.poll()
    assert poll_of(run).quarantined_at == since
    assert wait_of(run) < 900
    api.for_all = reply(b"odd")
    make_due(run)
    api.poll()
    poll = poll_of(run)
    assert (poll.quarantined_at, wait_of(run)) == (since, 3600)
    api.for_all = now_details(run.run_id)
    make_due(run)
    api.poll()
    poll = poll_of(run)
    assert (poll.quarantined_at, poll.failures, poll.sync_failures) == (None, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_while_nothing_at_all_can_be_read_no_run_is_put_aside() -> None:
    runs = [due_run(), due_run()]
    earlier = timezone.now() - MINUTE
    Upstream.objects.create(pk=Upstream.SOLE, last_ok_at=earlier)
    api = Api(lambda run_id: reply(b"<html>Please sign in to the hotel's network</html>"))
    for _ in range(7):
        make_due(*runs)
        api.poll()
    for run in runs:
        poll = poll_of(run)
        assert (poll.sync_failures, poll.quarantined_at) == (7, None)
        assert wait_of(run) <= 128
    assert breaker.upstream().last_ok_at == earlier
    assert breaker.upstream().state == Upstream.State.UP


@pytest.mark.django_db
def test_a_lifted_quarantine_makes_the_run_due_with_a_clean_slate() -> None:
    later = timezone.now() + 60 * MINUTE
    run = make_run(
        "running", poll_quarantined_at=NOW, poll_sync_failures=9, poll_failures=9, poll_due_at=later
    )
    other = make_run("running", poll_due_at=later, poll_failures=3)
    places.lift_quarantine(run)
    places.lift_quarantine(other)
    poll = poll_of(run)
    assert (poll.quarantined_at, poll.sync_failures, poll.failures) == (None, 0, 0)
    assert poll.due_at
    assert poll.due_at <= timezone.now()
    assert (poll_of(other).due_at, poll_of(other).failures) == (later, 3)


@pytest.mark.django_db
def test_a_new_start_gives_quarantined_runs_one_more_try() -> None:
    later = timezone.now() + 60 * MINUTE
    run = make_run("running", poll_quarantined_at=NOW, poll_sync_failures=5, poll_due_at=later)
    other = make_run("running", poll_due_at=later)
    places.retry_quarantined()
    assert Api(reply(b"odd")).poll() == 1
    assert poll_of(run).quarantined_at == NOW
    assert wait_of(run) == 3600
    assert poll_of(other).due_at == later


@pytest.mark.django_db
def test_an_answer_that_our_own_code_cannot_take_is_put_down_to_the_run() -> None:
    run = due_run()

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT") and "runs_step" in sql:
            raise ZeroDivisionError
        return execute(sql, *rest)

    body = now_details(run.run_id)
    with connection.execute_wrapper(fail):
        Api(body).poll()
    poll = poll_of(run)
    assert (poll.failures, poll.sync_failures) == (1, 1)
    assert poll.last_error == "Runsheet could not store the answer (ZeroDivisionError)."
    assert Payload.objects.get(kind=Payload.Kind.REFUSED).text == body
    run.refresh_from_db()
    assert run.version == 0
    assert not Step.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["DataError", "IntegrityError"])
def test_data_that_the_database_cannot_take_is_put_down_to_the_run(kind: str) -> None:
    from django import db

    run = due_run()

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT") and "runs_step" in sql:
            raise getattr(db, kind)
        return execute(sql, *rest)

    with connection.execute_wrapper(fail):
        Api(now_details(run.run_id)).poll()
    assert poll_of(run).sync_failures == 1
    assert poll_of(run).last_error == f"Runsheet could not store the answer ({kind})."


@pytest.mark.django_db
def test_a_failing_database_is_put_down_to_no_run(caplog: pytest.LogCaptureFixture) -> None:
    run = due_run()

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT") and "runs_step" in sql:
            raise OperationalError("disk is full")
        return execute(sql, *rest)

    with connection.execute_wrapper(fail):
        assert Api(now_details(run.run_id)).poll() == 1
    poll = poll_of(run)
    assert (poll.failures, poll.sync_failures, poll.quarantined_at) == (0, 0, None)
    assert poll.leased_until is not None  # it runs out, and the run is claimed again
    assert "disk is full" in caplog.text
    assert breaker.upstream().last_ok_at is None


@pytest.mark.django_db(transaction=True)
def test_a_failure_in_one_thread_of_a_batch_leaves_the_others_alone() -> None:
    runs = [due_run() for _ in range(5)]
    api = Api(now_details)
    api.says[runs[2].run_id] = lambda run_id: reply(b"[]")
    api.says[runs[3].run_id] = lambda run_id: reply({}, 500)
    assert api.poll() == 5
    polls = [poll_of(run) for run in runs]
    assert [poll.failures for poll in polls] == [0, 0, 1, 1, 0]
    assert Run.objects.filter(version=1).count() == 3
    assert not Poll.objects.exclude(leased_until=None).exists()
