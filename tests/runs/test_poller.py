"""Claiming, asking, storing: what each answer does to a run and to its place in the schedule."""

import datetime as dt
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest
import redis
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from runs import breaker, notices, poller
from runs.casedev.client import DEADLINE, Answer, Client
from runs.claims import ASK_WITHIN, LEASE, Claim, claim, release
from runs.models import Payload, Poll, Run, Step, Upstream
from runs.poller import Outcome
from runs.simulator.clock import ManualClock
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run, make_runs
from tests.runs.answers import client_of, details, reply, step

NOW = timezone.now()
MINUTE = dt.timedelta(minutes=1)


class Api:
    """Case.dev, as a test wants it: `says` by run id, or for all; counts what it is asked."""

    def __init__(self, says: Any = None) -> None:
        self.for_all = says
        self.says: dict[str, Any] = {}
        self.asked: list[str] = []
        self.listed: Any = {"runs": [], "hasMore": False}
        self.client = client_of(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        *_, run_id, what = request.url.path.split("/")
        if what != "details":
            self.asked.append("list")
            return self.listed if isinstance(self.listed, httpx.Response) else reply(self.listed)
        self.asked.append(run_id)
        said = self.says.get(run_id, self.for_all)
        said = said(run_id) if callable(said) else said
        return said if isinstance(said, httpx.Response) else reply(said)

    def poll(self, most: int = poller.BATCH) -> int:
        return poller.poll_due(most, self.client)


def now_details(run_id: str, **fields: Any) -> bytes:
    return details(id=run_id, createdAt=timezone.now().isoformat(), **fields)


def due_run(status: str = "running", **fields: Any) -> Run:
    """A run that has been due for a second, never polled."""
    fields = {"poll_due_at": timezone.now() - dt.timedelta(seconds=1), "poll_last_ok_at": None} | (
        fields
    )
    return make_run(status, version=0, step_count=0, **fields)


def make_due(*runs: Run, **fields: Any) -> None:
    moment = timezone.now() - dt.timedelta(seconds=1)
    Poll.objects.filter(pk__in=[run.pk for run in runs]).update(due_at=moment, **fields)


def poll_of(run: Run) -> Poll:
    return Poll.objects.get(pk=run.pk)


def wait_of(run: Run) -> float:
    """Seconds from the last word until the next poll."""
    poll = poll_of(run)
    said = max(filter(None, (poll.last_ok_at, poll.last_error_at)))
    assert poll.due_at
    return (poll.due_at - said).total_seconds()


def claim_of(run: Run) -> Claim:
    return claim(timezone.now(), 1, only=run.pk)[0]


def answer(body: bytes) -> Answer:
    return Answer(body, timezone.now())


# Claims -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_claim_leases_what_is_due_and_raises_its_fence() -> None:
    run = due_run()
    make_run("running", poll_due_at=timezone.now() + MINUTE)
    make_run("completed", poll_due_at=None)
    now = timezone.now()
    held = claim(now, 10)
    assert [one.run_id for one in held] == [run.run_id]
    poll = poll_of(run)
    assert (poll.fence, held[0].fence) == (1, 1)
    assert poll.leased_until == now + LEASE
    assert poll.last_tried_at == now
    assert claim(now, 10) == []


@pytest.mark.django_db
def test_a_lease_that_ran_out_is_claimed_again_with_a_higher_fence() -> None:
    due_run()
    now = timezone.now()
    first = claim(now, 10)
    assert claim(now + LEASE - dt.timedelta(seconds=1), 10) == []
    second = claim(now + LEASE, 10)
    assert [one.fence for one in [*first, *second]] == [1, 2]


@pytest.mark.django_db
def test_active_runs_go_before_ended_ones_and_the_longest_due_first() -> None:
    now = timezone.now()
    ended = due_run("completed", poll_due_at=now - 9 * MINUTE, poll_lane=Poll.Lane.SETTLING)
    later = due_run(poll_due_at=now - MINUTE)
    first = due_run(poll_due_at=now - 2 * MINUTE)
    held = claim(now, 2)
    assert [one.run for one in held] == [first.pk, later.pk]
    assert [one.run for one in claim(now, 2)] == [ended.pk]


@pytest.mark.django_db
def test_what_falls_due_before_the_next_tick_goes_with_this_one() -> None:
    now = timezone.now()
    make_run("running", poll_due_at=now + dt.timedelta(milliseconds=399))
    make_run("running", poll_due_at=now + dt.timedelta(milliseconds=900))
    assert len(claim(now, 10)) == 1


def in_threads(count: int, act: Callable[[], Any]) -> list[Any]:
    """`act` at the same moment in many threads, each with its own connection."""
    barrier = threading.Barrier(count)

    def go() -> Any:
        barrier.wait()
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return [one.result() for one in [threads.submit(go) for _ in range(count)]]


@pytest.mark.django_db(transaction=True)
def test_no_run_goes_to_two_claimers() -> None:
    runs = make_runs(60, status="running")
    poller.schedule_new(runs, timezone.now() - MINUTE)

    def claim_all() -> list[Claim]:
        mine: list[Claim] = []
        while held := claim(timezone.now(), 7):
            mine += held
        return mine

    claims = [held for mine in in_threads(6, claim_all) for held in mine]
    assert Counter(held.run for held in claims) == dict.fromkeys([run.pk for run in runs], 1)
    assert set(Poll.objects.values_list("fence", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_fences_only_rise_and_no_two_commits_carry_one() -> None:
    run = due_run()
    written: list[int] = []

    def go() -> None:
        for number in range(5):
            for held in claim(timezone.now() + number * LEASE, 1, only=run.pk):
                body = now_details(run.run_id, guidance=f"{threading.get_ident()} {number}")
                outcome = poller.store(held, answer(body))
                if outcome is not Outcome.OVERTAKEN:
                    written.append(held.fence)

    in_threads(4, go)
    assert len(set(written)) == len(written)
    assert poll_of(run).fence >= max(written)
    run.refresh_from_db()
    assert run.version == len(written)


# Answers ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_answer_is_stored_and_the_run_is_due_again() -> None:
    run = due_run()
    api = Api(now_details(run.run_id))
    assert api.poll() == 1
    run.refresh_from_db()
    poll = poll_of(run)
    assert (run.version, run.step_count) == (1, 1)
    assert (poll.leased_until, poll.failures, poll.last_error) == (None, 0, "")
    assert poll.last_ok_at
    assert wait_of(run) == 5
    assert api.poll() == 0
    assert api.asked == [run.run_id]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "wait", "lane"),
    [
        ("running", 5, Poll.Lane.ACTIVE),
        ("queued", 5, Poll.Lane.ACTIVE),
        ("paused", 5, Poll.Lane.ACTIVE),
        ("completed", 3, Poll.Lane.SETTLING),
        ("cancelled", 3, Poll.Lane.SETTLING),
    ],
)
def test_the_next_poll_is_by_the_status_that_was_answered(
    status: str, wait: float, lane: int
) -> None:
    run = due_run("queued")
    Api(now_details(run.run_id, status=status)).poll()
    assert (wait_of(run), poll_of(run).lane) == (wait, lane)


@pytest.mark.django_db
def test_a_run_that_waits_for_its_start_for_long_is_polled_rarely() -> None:
    run = due_run("queued")
    Api(details(id=run.run_id, status="queued")).poll()  # since 2025
    assert wait_of(run) == 60


@pytest.mark.django_db
def test_a_watched_run_is_polled_every_second() -> None:
    run = due_run()
    notices.watch(run.pk)
    Api(now_details(run.run_id)).poll()
    assert wait_of(run) == 1


@pytest.mark.django_db
def test_an_ended_run_settles_and_is_never_polled_again() -> None:
    run = due_run()
    costs = iter(range(100, 200))
    api = Api(
        lambda run_id: now_details(
            run_id,
            status="completed",
            completedAt=timezone.now().isoformat(),
            usage={"summary": {"costMicros": next(costs)}},
        )
    )
    waits = []
    for _ in range(6):
        make_due(run)
        assert api.poll() == 1
        waits.append(wait_of(run) if poll_of(run).due_at else None)
    assert waits == [3, 15, 60, 300, 900, None]
    assert api.poll() == 0
    run.refresh_from_db()
    assert run.cost_micros == 105


@pytest.mark.django_db
def test_an_unchanged_body_settles_too_and_writes_no_run() -> None:
    run = due_run()
    body = now_details(run.run_id, status="completed", completedAt=timezone.now().isoformat())
    api = Api(body)
    for _ in range(6):
        make_due(run)
        api.poll()
    assert poll_of(run).due_at is None
    run.refresh_from_db()
    assert run.version == 1


@pytest.mark.django_db
def test_a_run_that_ended_long_ago_is_read_once() -> None:
    run = due_run("completed")
    Api(details(id=run.run_id, status="completed", completedAt="2025-01-15T10:35:22Z")).poll()
    assert poll_of(run).due_at is None


@pytest.mark.django_db
def test_an_unchanged_body_touches_nothing_but_the_schedule() -> None:
    run = due_run()
    api = Api(now_details(run.run_id, steps=[step(n % 60, id=f"s{n}") for n in range(200)]))
    api.poll()
    make_due(run)
    with RecordedStatements() as statements:
        api.poll()
    writes = [sql for sql in statements if not sql.startswith("SELECT")]
    assert [sql for sql in writes if "runs_poll" not in sql and "SAVEPOINT" not in sql] == []
    assert not [sql for sql in statements if "runs_step" in sql or "runs_payload" in sql]
    assert wait_of(run) == 5


class RecordedStatements:
    """The SQL of this thread's connection, while the block lasts."""

    def __enter__(self) -> list[str]:
        self._statements: list[str] = []

        def record(execute: Any, sql: str, *rest: Any) -> Any:
            self._statements.append(sql)
            return execute(sql, *rest)

        self._wrapper = connection.execute_wrapper(record)
        self._wrapper.__enter__()
        return self._statements

    def __exit__(self, *_: object) -> None:
        self._wrapper.__exit__(None, None, None)


@pytest.fixture
def heard() -> Iterator[Callable[[], list[notices.Notice]]]:
    """What was published since the last time, as a real subscriber hears it."""
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub() as channel:
        channel.subscribe(notices.CHANNEL)
        channel.get_message(timeout=2)

        def hear() -> list[notices.Notice]:
            notices.connection().publish(notices.CHANNEL, b"end")
            found = []
            while (message := channel.get_message(timeout=2)) and message["data"] != b"end":
                found.append(msgspec.json.decode(message["data"], type=notices.Notice))
            return found

        yield hear


@pytest.mark.django_db
def test_a_change_is_told_once_with_its_version(heard: Any) -> None:
    run = due_run()
    api = Api(now_details(run.run_id))
    api.poll()
    assert heard() == [notices.Notice(run.pk, 1)]
    make_due(run)
    api.poll()
    assert heard() == []
    make_due(run)
    api.for_all = api.for_all + b" "  # other bytes that say the same
    api.poll()
    assert heard() == []
    make_due(run)
    api.for_all = now_details(run.run_id, guidance="changed")
    api.poll()
    assert heard() == [notices.Notice(run.pk, 2)]


# Failures -----------------------------------------------------------------------------------------


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
    poller.lift_quarantine(run)
    poller.lift_quarantine(other)
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
    poller.retry_quarantined()
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
    report = poller.poll(old, client_of(lambda request: reply({}, 500)))
    assert report.outcome is Outcome.OVERTAKEN
    release(old)
    assert Poll.objects.values().get(pk=run.pk) == before
    assert not Payload.objects.filter(kind=Payload.Kind.REFUSED).exists()
    run.refresh_from_db()
    assert run.version == 1
    assert poller.store(new, answer(now_details(run.run_id, guidance="x"))) is Outcome.CHANGED


@pytest.mark.django_db
def test_a_claim_whose_turn_comes_too_late_is_given_back_unasked() -> None:
    run = due_run()
    due_at = poll_of(run).due_at
    held = claim_of(run)
    late = msgspec.structs.replace(held, ask_until=time.monotonic() - 1)
    api = Api(now_details(run.run_id))
    assert poller.poll(late, api.client).outcome is Outcome.LATE
    assert api.asked == []
    poll = poll_of(run)
    assert (poll.leased_until, poll.due_at, poll.failures) == (None, due_at, 0)


def test_a_request_that_may_begin_is_over_before_its_lease() -> None:
    assert ASK_WITHIN > 0
    assert LEASE.total_seconds() >= ASK_WITHIN + DEADLINE


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
    assert api.poll() == 10


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
        list(Payload.objects.values_list("size", "step_digests")),
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
    assert len(api.asked) > len(runs)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            assert cursor.fetchone() == ("ok",)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_between_two_rounds_is_made_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = [due_run() for _ in range(4)]
    api = Api(now_details)
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


# Attention ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_attention_brings_the_next_poll_forward_once() -> None:
    soon = timezone.now() + dt.timedelta(seconds=4)
    run = make_run("running", poll_due_at=soon)
    poller.attend(run)
    due_at = poll_of(run).due_at
    assert due_at
    assert due_at <= timezone.now()
    Poll.objects.filter(pk=run.pk).update(due_at=soon)
    poller.attend(run)
    assert poll_of(run).due_at == soon


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("running", {"poll_failures": 2}),
        ("completed", {}),
        ("running", {"poll_due_at": timezone.now() - MINUTE}),
    ],
)
def test_attention_cuts_no_backoff_short_and_wakes_no_ended_run(status: str, fields: Any) -> None:
    run = make_run(status, **({"poll_due_at": timezone.now() + MINUTE} | fields))
    before = poll_of(run).due_at
    poller.attend(run)
    assert poll_of(run).due_at == before


@pytest.mark.django_db
def test_attention_leaves_a_lease_alone() -> None:
    run = due_run()
    held = claim_of(run)
    lease = poll_of(run).leased_until
    poller.attend(run)
    assert poll_of(run).leased_until == lease
    assert poller.store(held, answer(now_details(run.run_id))) is Outcome.CHANGED


@pytest.mark.django_db
def test_a_run_of_unknown_status_gets_attention_too() -> None:
    run = make_run("paused", poll_due_at=timezone.now() + MINUTE)
    poller.attend(run)
    due_at = poll_of(run).due_at
    assert due_at
    assert due_at <= timezone.now()


# By hand ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_run_can_be_polled_at_once_and_one_sentence_tells_what_came_of_it() -> None:
    run = make_run("running", version=0, poll_due_at=timezone.now() + 60 * MINUTE)
    api = Api(now_details(run.run_id))
    name = run.run_id
    assert poller.poll_now(run, api.client) == f"{name} was polled and had changed."
    assert poller.poll_now(run, api.client) == f"{name} was polled; nothing new."
    api.for_all = reply({"message": "No"}, 500)
    assert poller.poll_now(run, api.client) == (
        f"{name} could not be polled: Case.dev answered 500: No"
    )
    held = claim_of(run)
    assert poller.poll_now(run, api.client) == f"{name} is being polled right now."
    release(held)


@pytest.mark.django_db
def test_a_settled_run_polled_by_hand_stays_settled() -> None:
    run = make_run("completed", version=0, poll_due_at=None, poll_settle_polls=6)
    body = details(id=run.run_id, status="completed", completedAt="2025-01-15T10:35:22Z")
    poller.poll_now(run, Api(body).client)
    assert poll_of(run).due_at is None


# Against the simulator ----------------------------------------------------------------------------


def fresh_clock() -> ManualClock:
    return ManualClock(timezone.now().replace(microsecond=0))


@pytest.mark.django_db(transaction=True)
@pytest.mark.simulator(clock=fresh_clock())
def test_simulated_runs_are_followed_to_their_end(simulator: SimulatorServer) -> None:
    originals = [simulator.start(name) for name in ("nda_review", "deposition_contradictions")]
    runs = [due_run(run_id=one.id) for one in originals]
    for _ in range(40):
        make_due(*runs)
        assert poller.poll_due() == 2
        simulator.advance(30)
        if all(one.ended(simulator.world.now_ms()) for one in originals):
            break
    make_due(*runs)
    poller.poll_due()
    for run in runs:
        run.refresh_from_db()
        truth = simulator.world.ledger(run.run_id)
        assert run.status == truth["status"]
        assert run.step_count == truth["totals"]["steps"]
        assert run.tool_call_count == truth["totals"]["toolCalls"]
        assert run.entry_count == truth["totals"]["entries"]
        assert run.cost_micros == run.entries_cost_micros == truth["totals"]["costMicros"]
        assert [one.step_id for one in run.steps.order_by("position")] == [
            one["id"] for one in truth["steps"]
        ]
        assert not run.steps.exclude(vanished_at=None).exists()
        assert run.contradictions == []
    assert simulator.world.requests.answer()["mostInFlightOfARun"] == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.simulator(clock=fresh_clock())
def test_many_pollers_at_once_have_one_request_in_flight_a_run(
    simulator: SimulatorServer,
) -> None:
    originals = [simulator.start("nda_review") for _ in range(12)]
    runs = [due_run(run_id=one.id) for one in originals]
    simulator.fault("slow", delay=0.05)
    ends_at = time.monotonic() + 2

    def work() -> None:
        while time.monotonic() < ends_at:
            make_due(*runs)
            poller.poll_due()

    in_threads(4, work)
    meter = simulator.world.requests.answer()
    assert meter["mostInFlightOfARun"] == 1
    assert meter["total"] >= len(runs)
    assert not Poll.objects.filter(failures__gt=0).exists()


def test_a_poll_of_many_leaves_no_thread_that_keeps_the_process_alive() -> None:
    poller._threads().submit(lambda: None).result()
    poller.rest()
    assert not [one for one in threading.enumerate() if one.name.startswith("poll")]


@pytest.mark.django_db
def test_no_log_line_of_a_failure_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    due_run()
    client = Client("http://127.0.0.1:1", "sk_case_secret")
    poller.poll_due(case_dev=client)
    assert "cannot be reached" in caplog.text
    assert "sk_case" not in caplog.text
