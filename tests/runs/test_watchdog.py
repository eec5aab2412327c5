"""When a worker that lives is taken for deaf. That it is ended and replaced: `tests/chaos`."""

import time
from collections.abc import Iterator

import pytest
from celery.contrib.testing.worker import start_worker
from celery.signals import worker_shutdown
from django.conf import settings

from dashboard import beat
from dashboard.celery import app
from runs import gauges, hearing, notices, tasks, watchdog
from runs.watchdog import Watch, is_beat_suspect, is_worker_suspect
from tests.product import until


@pytest.mark.parametrize(
    ("silent", "waiting", "worker", "beat"),
    [
        (1.0, 0, False, False),  # all is well
        (1.0, 9, False, False),  # busy
        (60.0, 9, True, False),  # it hears nothing
        (None, 9, True, False),  # it never did
        (60.0, 0, False, True),  # nobody says anything
        (None, 0, False, True),
        (60.0, None, False, False),  # the broker is away: nothing can be heard
        (-3600.0, 9, True, False),  # the clock was set back
    ],
)
def test_who_is_to_blame_for_silence(
    silent: float | None, waiting: int | None, worker: bool, beat: bool
) -> None:
    assert is_worker_suspect(silent, waiting) is worker
    assert is_beat_suspect(silent, waiting) is beat


def test_only_what_looks_wrong_at_every_look_for_long_is_ended() -> None:
    watch = Watch()
    looks = [watch.has_seen_enough(now, is_suspect=True) for now in range(0, 46, 5)]
    assert looks == [False] * 9 + [True]
    assert watch.has_seen_enough(50, is_suspect=False) is False
    assert not any(watch.has_seen_enough(now, is_suspect=True) for now in range(55, 91, 5))
    assert watch.has_seen_enough(95, is_suspect=True)


def test_a_deaf_worker_is_found_out_within_a_minute() -> None:
    """Also one beside others, which first asks itself: a look may come just too soon both for that
    and for its end."""
    assert hearing.ASK_AFTER + watchdog.PATIENCE + 2 * watchdog.LOOK_EVERY < 60


@pytest.mark.django_db(transaction=True)
def test_messages_wait_until_a_worker_takes_them_and_ends_its_round() -> None:
    assert notices.waiting() == 0
    assert notices.silence() is None
    for _ in range(3):
        tasks.poll_due.delay()
    assert notices.waiting() == 3
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        until(lambda: notices.waiting() == 0, 20, "the messages to be taken")
        until(lambda: notices.silence() is not None, 20, "a round to end")
    assert (notices.silence() or 0.0) < 20
    assert (notices.own_silence() or 0.0) < 20


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was heard yet, and what waits is told of after a tenth of the time."""
    monkeypatch.setattr(notices, "_heard_at", None)
    monkeypatch.setattr(hearing, "ASK_AFTER", 1.0)
    monkeypatch.setattr(watchdog, "LOOK_EVERY", 0.5)


def looks(seconds: float) -> Iterator[bool]:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        time.sleep(0.2)
        yield hearing.is_suspect(tasks.hear)


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_messages_all_go_to_others_hears_itself() -> None:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        until(lambda: not hearing.is_suspect(tasks.hear), 20, "it to hear itself")
        watch = [*looks(6)]
        assert watch.count(True) < 5  # for as long as a message is on its way
        assert (notices.own_silence() or 60) < 5
        assert [one.name for one in gauges.told().workers] == [gauges.own_name()]
        assert notices.last_beat() is None, "no round has ended"
    worker_shutdown.send(sender=None)
    assert gauges.told().workers == [], "it ended as it was asked to"


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_hears_nothing_is_found_out_while_others_take_all_messages() -> None:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False) as worker:
        until(lambda: not hearing.is_suspect(tasks.hear), 20, "it to hear itself")
        worker.consumer.task_consumer.cancel()
        until(lambda: hearing.is_suspect(tasks.hear), 20, "it to be suspected")
        assert all(looks(3))
        assert notices.waiting() == 0
        assert 0 < notices.connection().ttl(hearing.own_queue()) <= hearing.KEPT
    notices.connection().delete(hearing.own_queue())


def test_a_beat_whose_tick_does_not_end_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = beat.Scheduler(beat.app)
    ticking.tick()
    assert not ticking.is_stuck()
    ticking._ticked_at -= 2 * watchdog.LOOK_EVERY
    assert ticking.is_stuck()
    monkeypatch.setattr(notices, "waiting", lambda: None)
    assert not ticking.is_stuck(), "the broker is away"


def test_without_redis_nobody_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1")
    notices.connection.cache_clear()
    try:
        assert notices.waiting() is None
        assert notices.silence() is None
    finally:
        notices.connection.cache_clear()
