"""The tasks, through a real worker on a real broker."""

import datetime as dt
from collections.abc import Iterator

import pytest
from celery.contrib.testing.worker import start_worker
from celery.worker import state
from django.db import connections
from django.utils import timezone

from dashboard import beat
from dashboard.celery import app
from runs import breaker, notices, poller, tasks, watchdog
from runs.models import Discovery, Poll, Run, Upstream
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run, make_runs
from tests.product import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(simulator: SimulatorServer) -> Iterator[None]:
    """A worker in this process, with the threads it has in the product."""
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield
        app.control.purge()
        # What a thread still writes would come into the tables of the test after.
        until(lambda: not state.reserved_requests, 90, "the tasks to end")
    connections.close_all()


@pytest.mark.usefixtures("worker")
def test_a_worker_finds_runs_and_polls_them(simulator: SimulatorServer) -> None:
    ids = {simulator.start("nda_review").id for _ in range(3)}
    tasks.discover.delay()
    until(lambda: Run.objects.count() == 3, 30, "the runs to be found")
    assert set(Run.objects.values_list("run_id", flat=True)) == ids
    tasks.poll_due.delay()
    until(lambda: Run.objects.filter(version__gt=0).count() == 3, 30, "the runs to be polled")
    until(lambda: notices.last_beat() is not None, 10, "the round to end")
    assert not Poll.objects.exclude(leased_until=None).exists()


@pytest.mark.usefixtures("worker")
def test_messages_that_are_lost_or_doubled_do_no_harm(simulator: SimulatorServer) -> None:
    ids = [simulator.start("nda_review").id for _ in range(5)]

    def are_polled() -> bool:
        tasks.discover.delay()
        tasks.poll_due.delay()
        tasks.poll_due.delay()
        return Run.objects.filter(version__gt=0).count() == 5

    until(are_polled, 20, "the runs to be polled")
    assert simulator.world.requests.answer()["mostInFlightOfARun"] == 1
    assert set(Run.objects.values_list("run_id", flat=True)) == set(ids)


@pytest.mark.usefixtures("worker")
def test_a_full_batch_wakes_the_worker_at_once(simulator: SimulatorServer) -> None:
    originals = [simulator.start("nda_review") for _ in range(poller.BATCH + 5)]
    runs = [make_run("running", run_id=one.id, version=0) for one in originals]
    Poll.objects.update(due_at=timezone.now())
    tasks.poll_due.delay()
    until(lambda: Run.objects.filter(version__gt=0).count() == len(runs), 90, "all to be polled")


def test_a_new_worker_tries_again_what_had_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[str] = []  # by a thread that would end the tests' process, where nothing is heard
    monkeypatch.setattr(watchdog, "start", lambda is_suspect, why: watched.append(why))
    hour = timezone.now() + dt.timedelta(hours=1)
    Upstream.objects.create(pk=1, state=Upstream.State.REFUSED, probe_at=hour)
    Discovery.objects.create(pk=1, due_at=hour, failures=7)
    run = make_run("running", poll_quarantined_at=timezone.now(), poll_due_at=hour)
    tasks.start_afresh()
    assert watched
    assert breaker.allowance(timezone.now(), 9) == 1
    assert Discovery.objects.get().due_at is None
    due_at = Poll.objects.get(pk=run.pk).due_at
    assert due_at
    assert due_at <= timezone.now()


def test_the_schedule_names_tasks_that_there_are() -> None:
    app.loader.import_default_modules()  # as a worker does
    named = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert {"runs.poll_due", "runs.discover"} <= named <= set(app.tasks)


def test_many_due_runs_of_the_past_are_no_burden_to_the_first_tick() -> None:
    runs = make_runs(3, status="completed")
    poller.schedule_new(runs, timezone.now())
    assert [poll.lane for poll in Poll.objects.all()] == [Poll.Lane.SETTLING] * 3


def test_ticks_rest_while_no_run_is_active(
    simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    scheduler = beat.Scheduler(app=beat.app)
    monkeypatch.setattr(scheduler, "apply_async", lambda entry, **_: sent.append(entry.task))
    entries = {entry.task: entry for entry in scheduler.schedule.values()}

    def tick() -> list[str]:
        sent.clear()
        scheduler.apply_entry(entries["runs.poll_due"])
        scheduler.apply_entry(entries["runs.discover"])
        return sent

    make_run("completed", poll_lane=Poll.Lane.SETTLING)
    assert tick() == ["runs.poll_due", "runs.discover"], "nobody knows yet"
    assert poller.poll_due() == 0
    assert tick() == ["runs.poll_due", "runs.discover"], "the first at rest"
    assert tick() == []
    found = simulator.start("nda_review").id
    tasks.discover()
    assert tick() == ["runs.poll_due", "runs.discover"], "a run was found"
    assert poller.poll_due() == 1
    Poll.objects.filter(run__run_id=found).update(due_at=timezone.now() + dt.timedelta(minutes=1))
    assert poller.poll_due() == 0
    assert tick() == ["runs.poll_due", "runs.discover"], "it is not due, but active"
