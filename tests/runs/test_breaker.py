"""One breaker for the whole key: what stops all polling, and how it comes back."""

import datetime as dt
import logging
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from runs import breaker, poller
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
    Unreachable,
    Unreadable,
)
from runs.models import Poll, Upstream
from runs.simulator.testing import SimulatorServer
from tests.runs.answers import reply
from tests.runs.polling import Api, RecordedStatements, due_run, make_due, now_details, poll_of

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 2, 15, 0, tzinfo=dt.UTC)
State = Upstream.State
DOWN = Unavailable("Case.dev answered 503.")


def later(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def note(*errors: CaseDevError | None, seconds: float = 0, api: Api | None = None) -> Upstream:
    breaker.note(errors, (api or Api()).client, later(seconds))
    return breaker.upstream()


def allowed(seconds: float, most: int = 48) -> int:
    return breaker.allowance(later(seconds), most)


def test_from_the_start_everything_may_go() -> None:
    assert breaker.upstream().state == State.UP
    assert allowed(0) == 48
    assert allowed(0, 1) == 1


def test_five_outages_in_a_row_stop_everything_and_one_success_between_them_does_not() -> None:
    assert note(DOWN, DOWN, DOWN, DOWN).state == State.UP
    assert note(None).failures == 0
    assert note(DOWN, DOWN, DOWN, DOWN).state == State.UP
    state = note(Unreachable("Case.dev cannot be reached."), seconds=9)
    assert (state.state, state.since) == (State.DOWN, later(9))
    assert state.last_error == "Case.dev cannot be reached."
    assert state.probe_at == later(9 + 30)
    assert allowed(10) == 0


def test_an_outage_lets_one_probe_through_in_thirty_seconds() -> None:
    note(*[DOWN] * 5)
    assert [allowed(seconds) for seconds in (1, 29, 30, 31, 59, 60, 61)] == [0, 0, 1, 0, 0, 1, 0]
    state = note(DOWN, seconds=61)
    assert (state.state, state.since) == (State.DOWN, NOW)


def test_what_comes_back_does_so_ever_faster_and_never_at_once() -> None:
    polls = [poll_of(due_run(poll_due_at=NOW)) for _ in range(200)]
    note(*[DOWN] * 5)
    state = note(None, seconds=100)
    assert (state.state, state.since, state.failures) == (State.UP, later(100), 0)
    assert allowed(100, 500) == 500
    moments = Poll.objects.exclude(due_at=None).values_list("due_at", flat=True)
    waits = [(moment - later(100)).total_seconds() for moment in moments if moment]
    assert len(waits) == len(polls)
    assert min(waits) > 0
    assert max(waits) == breaker.SPREAD.total_seconds()
    steady = len(polls) / 5
    for second in range(10):
        coming = sum(second < wait <= second + 1 for wait in waits)
        again = sum(second - 5 < wait <= second - 4 for wait in waits)  # five seconds after
        assert coming + again < 2 * steady


def test_a_few_runs_need_not_wait_for_each_other() -> None:
    for _ in range(breaker.FEW):
        due_run(poll_due_at=NOW)
    note(*[DOWN] * 5)
    note(None, seconds=100)
    assert set(Poll.objects.values_list("due_at", flat=True)) == {NOW}


@pytest.mark.parametrize(
    "error", [NotFound("404"), RateLimited("429"), Rejected("400"), Forbidden("403")]
)
def test_an_error_that_case_dev_itself_spoke_is_a_sign_of_life_but_no_answer(
    error: CaseDevError,
) -> None:
    note(*[DOWN] * 5)
    state = note(error, seconds=50)
    assert state.state == State.UP
    assert state.last_ok_at is None


def test_what_cannot_be_read_tells_nothing_either_way() -> None:
    odd = Unreadable("The answer cannot be read: it is not JSON.")
    assert note(*[odd] * 20).state == State.UP
    assert breaker.upstream().last_ok_at is None
    note(*[DOWN] * 4)
    assert note(odd).failures == 4
    note(DOWN)
    assert note(odd).state == State.DOWN
    assert note(odd, None, seconds=3).state == State.UP


def test_a_round_with_nothing_in_it_changes_nothing() -> None:
    note(*[DOWN] * 3)
    assert note().failures == 3


def test_a_refused_key_stops_everything_until_somebody_tries_again() -> None:
    state = note(None, KeyRefused("Case.dev answered 401: Invalid API key"), None)
    assert (state.state, state.since) == (State.REFUSED, NOW)
    assert state.last_error == "Case.dev answered 401: Invalid API key"
    assert [allowed(seconds) for seconds in (0, 31, 899)] == [0, 0, 0]
    assert note(*[DOWN] * 9).state == State.REFUSED
    breaker.try_again(later(70))
    assert [allowed(70), allowed(71)] == [1, 0]
    assert note(None, seconds=71).state == State.UP


def test_a_refused_key_is_tried_once_in_fifteen_minutes() -> None:
    refusal = KeyRefused("Case.dev answered 401: Invalid API key")
    note(refusal)
    assert [allowed(60 * minute) for minute in range(1, 46)].count(1) == 3
    assert note(refusal, seconds=2700).since == NOW  # still the same refusal
    assert note(None, seconds=2701).state == State.UP


def test_a_new_try_changes_nothing_while_all_is_well() -> None:
    note(None)
    breaker.try_again(later(5))
    assert breaker.upstream().state == State.UP
    assert allowed(5) == 48


@pytest.mark.parametrize(
    ("listed", "state"),
    [
        ({"runs": [], "hasMore": False}, State.UP),
        (reply({}, 403), State.REFUSED),
        (reply({}, 401), State.REFUSED),
        (reply({}, 500), State.UP),
    ],
)
def test_a_forbidden_run_is_the_whole_key_s_matter_only_if_the_list_is_forbidden_too(
    listed: Any, state: State
) -> None:
    api = Api()
    api.listed = listed
    errors = [Forbidden("Case.dev answered 403.") for _ in range(30)]
    assert note(*errors, api=api).state == state
    assert api.asked == ["list"]  # a storm of them asks once


def test_a_rate_limit_met_by_asking_for_the_list_is_one_as_any_other() -> None:
    api = Api()
    api.listed = reply({}, 429, retry_after="40")
    state = note(Forbidden("Case.dev answered 403."), api=api)
    assert (state.state, api.asked) == (State.UP, ["list"])
    assert state.paused_until
    assert later(40) <= state.paused_until < later(45)
    assert [allowed(39), allowed(45)] == [0, 48]


# Rate limits --------------------------------------------------------------------------------------


def test_a_rate_limit_makes_the_whole_organisation_wait() -> None:
    state = note(None, RateLimited("Case.dev answered 429.", retry_after=40), None)
    assert (state.state, state.paused_until) == (State.UP, later(40))
    assert [allowed(seconds) for seconds in (0, 39, 40)] == [0, 0, 48]


def test_a_limit_that_names_no_time_or_a_senseless_one_is_a_pause_within_reason() -> None:
    for asked, wait in ((None, 5), (0.0, 1), (1e9, 900)):
        Upstream.objects.all().delete()
        note(RateLimited("Case.dev answered 429.", retry_after=asked))
        assert breaker.upstream().paused_until == later(wait)


def test_a_pause_is_never_cut_short_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    note(*[RateLimited("Case.dev answered 429.", retry_after=60)] * 9)
    note(RateLimited("Case.dev answered 429.", retry_after=2), None, seconds=0.5)
    assert breaker.upstream().paused_until == later(60)
    assert [record.message for record in caplog.records] == ["Case.dev asks us to wait 60 s"]
    note(RateLimited("Case.dev answered 429.", retry_after=60), seconds=30)
    assert breaker.upstream().paused_until == later(90)


@pytest.mark.django_db(transaction=True)
def test_a_round_that_meets_a_limit_asks_no_further_and_comes_back_spread() -> None:
    runs = [due_run() for _ in range(48)]
    api = Api(lambda run_id: reply({}, 429, retry_after="30"))
    assert api.poll() == 48
    asked = len(api.asked)
    assert asked <= poller.THREADS
    make_due(due_run())
    assert api.poll() == 0
    assert len(api.asked) == asked
    assert not Poll.objects.exclude(leased_until=None).exists()
    assert Poll.objects.filter(failures=0).count() == len(runs) + 1 - asked
    until = breaker.upstream().paused_until
    assert until
    waits = Poll.objects.filter(pk__in=[run.pk for run in runs], failures=0)
    assert all(until <= poll.due_at <= until + breaker.SPREAD for poll in waits if poll.due_at)


def test_every_change_of_state_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for seconds in range(5):
        note(*[DOWN] * 5, seconds=seconds)
    note(None, seconds=9)
    note(None, seconds=30)
    note(KeyRefused("Case.dev answered 401."))
    note(KeyRefused("Case.dev answered 401."))
    assert [record.message for record in caplog.records] == [
        "Case.dev does not answer: Case.dev answered 503.",
        "Case.dev answers again",
        "Case.dev refuses our key: Case.dev answered 401.",
    ]


def test_while_all_is_well_the_row_is_written_once_in_five_seconds() -> None:
    note(None)
    with RecordedStatements() as statements:
        for seconds in range(1, 5):
            note(None, None, seconds=seconds)
    assert not [sql for sql in statements if not sql.startswith("SELECT")]
    assert note(None, seconds=5).last_ok_at == later(5)
    assert connection.connection is not None


# With the poller ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_refused_key_is_found_out_once_and_nothing_is_asked_after() -> None:
    runs = [due_run() for _ in range(6)]
    api = Api(lambda run_id: reply({"message": "Invalid API key"}, 401))
    api.poll()
    assert len(api.asked) == 6
    for _ in range(5):
        make_due(*runs)
        assert api.poll() == 0
    assert len(api.asked) == 6
    assert breaker.upstream().state == State.REFUSED
    breaker.try_again(timezone.now())
    api.for_all = now_details
    assert api.poll() == 1
    assert breaker.upstream().state == State.UP
    assert api.poll() == 5  # a few need not wait
    assert not Poll.objects.filter(quarantined_at__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
def test_one_forbidden_run_backs_off_and_the_others_go_on() -> None:
    bad, good = due_run(), due_run()
    api = Api(now_details)
    api.says[bad.run_id] = lambda run_id: reply({}, 403)
    for _ in range(3):
        make_due(bad, good)
        assert api.poll() == 2
    assert breaker.upstream().state == State.UP
    assert (poll_of(bad).failures, poll_of(good).failures) == (3, 0)
    assert api.asked.count("list") == 3


def test_the_probe_of_an_outage_is_not_spent_while_nothing_is_due() -> None:
    Upstream.objects.create(pk=1, state=State.DOWN, since=NOW, probe_at=NOW)
    api = Api(now_details)
    assert api.poll() == 0
    due_run()
    assert api.poll() == 1
    assert breaker.upstream().state == State.UP


@pytest.mark.django_db(transaction=True)
def test_an_outage_costs_a_request_in_thirty_seconds_and_recovers(
    simulator: SimulatorServer,
) -> None:
    runs = [due_run(run_id=simulator.start("nda_review").id) for _ in range(8)]
    fault = simulator.fault("status", status=503)
    poller.poll_due()
    assert breaker.upstream().state == State.DOWN
    asked = simulator.world.requests.total
    for _ in range(5):
        make_due(*runs)
        poller.poll_due()
    assert simulator.world.requests.total == asked
    simulator.world.faults.remove(fault.id)
    Upstream.objects.update(probe_at=timezone.now())
    make_due(*runs)
    assert poller.poll_due() == 1
    assert breaker.upstream().state == State.UP
    assert poller.poll_due() == 7
    assert not Poll.objects.filter(failures__gt=0).exists()
