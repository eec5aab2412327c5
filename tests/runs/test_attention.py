"""Polls that somebody wishes for, and polls of simulated runs to their end."""

import datetime as dt
import logging
import threading
import time
from typing import Any

import pytest
from django.utils import timezone

from runs import poller
from runs.casedev.client import Client
from runs.claims import claim, release
from runs.models import Poll
from runs.poller import Outcome
from runs.simulator.clock import ManualClock
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run
from tests.runs.answers import details, reply
from tests.runs.polling import (
    MINUTE,
    Api,
    answer,
    claim_of,
    due_run,
    in_threads,
    make_due,
    now_details,
    poll_of,
)

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


@pytest.mark.django_db
def test_what_is_looked_at_goes_before_all_that_is_due_longer() -> None:
    for _ in range(3):
        due_run()
    run = make_run("running", poll_due_at=timezone.now() + MINUTE)
    poller.attend(run)
    assert [held.run for held in claim(timezone.now(), 1)] == [run.pk]


@pytest.mark.django_db
def test_the_turn_of_what_is_looked_at_no_longer_comes_with_the_others() -> None:
    run = make_run("running", poll_due_at=timezone.now() + MINUTE)
    poller.attend(run)
    poller.store(claim_of(run), answer(now_details(run.run_id)))
    assert poll_of(run).lane == Poll.Lane.ACTIVE


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
            for run in runs:  # one by one: threads that lock many rows at once lock each other
                make_due(run)
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
