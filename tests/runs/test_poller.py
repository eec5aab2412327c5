"""Asking and storing: what each answer does to a run and to its place in the schedule."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis
from django.conf import settings
from django.utils import timezone

from runs import notices
from runs.models import Poll
from tests.runs.answers import details, step
from tests.runs.polling import (
    Api,
    RecordedStatements,
    due_run,
    make_due,
    now_details,
    poll_of,
    wait_of,
)


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
    writes = [sql for sql in statements if not sql.startswith(("SELECT", "SET LOCAL"))]
    assert [sql for sql in writes if "runs_poll" not in sql and "SAVEPOINT" not in sql] == []
    assert not [sql for sql in statements if "runs_step" in sql or "runs_payload" in sql]
    assert wait_of(run) == 5


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
