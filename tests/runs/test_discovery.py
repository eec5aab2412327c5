"""Finding runs: the walk through the list, wherever it is interrupted."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from runs import breaker, discovery
from runs.models import Agent, Discovery, Poll, Run, Upstream
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run
from tests.runs.answers import reply
from tests.runs.organisation import START, Org, listed, stored, walk
from tests.runs.polling import in_threads

pytestmark = pytest.mark.django_db


# The walk -----------------------------------------------------------------------------------------


def test_a_listed_run_gets_what_the_list_tells_and_a_place_in_the_schedule() -> None:
    org = Org()
    org.spoil = lambda cursor: reply(
        {"runs": [listed(1, prompt="x" * 200), listed(2, status="completed", createdAt=None)]}
    )
    before = timezone.now()
    assert org.discover() is False
    first, second = Run.objects.order_by("run_id")
    assert (first.status, first.agent_id, first.version) == ("running", "agent_x", 0)
    assert (first.prompt, first.prompt_is_cut) == ("x" * 200, True)
    assert first.listed_at == first.created_at == START + dt.timedelta(minutes=1)
    assert (second.prompt, second.prompt_is_cut) == ("Review", False)
    assert second.created_at is None
    assert second.listed_at >= before
    assert [poll.lane for poll in Poll.objects.order_by("pk")] == [0, 1]
    assert all(poll.due_at and poll.due_at <= timezone.now() for poll in Poll.objects.all())


def test_the_first_walk_goes_through_all_pages_and_the_next_reads_one() -> None:
    org = Org(30, page=4)
    org.discover_all()
    assert stored() == set(range(30))
    assert len(org.requests) == 8
    assert walk().walked_at is not None
    assert (walk().cursor, walk().found, walk().leased_until) == ("", 30, None)
    assert Poll.objects.count() == 30
    org.discover_all()
    assert len(org.requests) == 9


def test_it_is_not_time_again_until_ten_seconds_have_passed() -> None:
    org = Org(1)
    assert discovery.discover_due(org.client) is False
    assert discovery.discover_due(org.client) is False
    assert len(org.requests) == 1
    assert walk().due_at
    Discovery.objects.update(due_at=timezone.now())
    discovery.discover_due(org.client)
    assert len(org.requests) == 2


def test_a_turn_has_an_end_and_asks_to_go_on_at_once() -> None:
    org = Org(100, page=4)
    assert org.discover() is True
    assert len(org.requests) == discovery.PAGES_A_TURN
    assert discovery.discover_due(org.client) is True  # there is nothing to wait for
    assert len(org.requests) == 2 * discovery.PAGES_A_TURN + 1  # with a look at the top
    org.discover_all()
    assert stored() == set(range(100))


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("survives", range(1, 42, 4))
@pytest.mark.parametrize("is_first", [True, False])
def test_a_walk_that_is_killed_anywhere_is_gone_on_with_and_leaves_no_gap(
    survives: int, is_first: bool
) -> None:
    """Killed after each number of statements, in the first walk or in one that closes a gap."""
    org = Org(20, page=4)
    if not is_first:
        org.count = 3
        org.discover_all()
        org.count = 20
    left = survives

    def kill(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return execute(sql, *rest)

    try:
        with connection.execute_wrapper(kill):
            org.discover()
    except Killed:
        pass
    Discovery.objects.update(leased_until=None)  # it runs out
    org.count = 23
    org.discover_all()
    org.discover_all()
    assert stored() == set(range(23))
    assert Poll.objects.count() == 23


@pytest.mark.parametrize("which", range(5))
def test_a_page_that_fails_is_asked_for_again_and_leaves_no_gap(which: int) -> None:
    org = Org(20, page=4)
    fails = iter([*[None] * which, reply({}, 503)])
    org.spoil = lambda cursor: next(fails, None)
    org.discover()
    state = walk()
    assert (state.failures, state.last_error) == (1, "Case.dev answered 503.")
    assert state.leased_until is None
    assert state.due_at
    assert state.due_at > timezone.now() - dt.timedelta(seconds=1)
    assert discovery.discover_due(org.client) is False  # not yet
    org.discover_all()
    assert stored() == set(range(20))
    assert (walk().failures, walk().last_error) == (0, "")
    assert len(org.requests) == 6 + (which > 0)  # with a look at the top


def test_after_an_outage_all_that_came_meanwhile_is_found() -> None:
    org = Org(10, page=5)
    org.discover_all()
    org.count = 63
    org.discover_all()
    assert stored() == set(range(63))


def test_runs_on_top_are_found_while_the_first_walk_goes_on() -> None:
    org = Org(2_000, page=50)
    assert org.discover() is True
    for came in (1, 60, 399):  # fewer than a page, more, as many as a turn reads
        org.count += came
        assert org.discover() is True
        assert Run.objects.filter(run_id=f"run_{org.count - 1}").exists()
    org.discover_all()
    assert Run.objects.count() == org.count


@pytest.mark.parametrize("count", [2_000, 600])  # within the first walk, and after it
def test_more_runs_on_top_than_a_turn_can_read_leave_no_gap(count: int) -> None:
    org = Org(count, page=50)
    if count == 600:
        org.discover_all()
        org.count += 450
    assert org.discover() is True
    org.count += 500
    org.discover_all()
    assert Run.objects.count() == org.count


def test_a_look_at_the_top_that_is_broken_off_leaves_no_gap() -> None:
    org = Org(2_000, page=50)
    org.discover()
    org.count += 120
    org.spoil = lambda cursor: reply({}, 500) if cursor == f"run_{org.count - 50}" else None
    assert org.discover() is False
    assert Run.objects.count() == 400
    org.spoil = lambda cursor: None
    org.discover_all()
    assert Run.objects.count() == org.count


def test_runs_on_top_are_found_while_the_list_below_is_known() -> None:
    org = Org(10)
    org.discover_all()
    for count in (11, 13):
        org.count = count
        org.discover_all()
        assert stored() == set(range(count))
    assert len(org.requests) == 3


def test_whoever_lost_the_claim_stores_nothing_and_moves_nothing() -> None:
    org = Org(20, page=4)

    def overtake(cursor: str) -> None:
        if cursor == "run_16":
            Discovery.objects.update(fence=99)

    org.spoil = overtake
    assert org.discover() is False
    assert stored() == {16, 17, 18, 19}
    assert walk().cursor == "run_16"
    assert walk().leased_until is not None
    Discovery.objects.update(leased_until=None)
    org.spoil = lambda cursor: None
    org.discover_all()
    assert stored() == set(range(20))


@pytest.mark.django_db(transaction=True)
def test_many_workers_walk_together_without_harm() -> None:
    org = Org(60, page=4)

    def work() -> None:
        for _ in range(30):
            org.discover()

    in_threads(3, work)
    org.discover_all()
    assert stored() == set(range(60))
    assert Poll.objects.count() == 60


# What the list tells of known runs ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "in_list", "wakes"),
    [
        ("running", "completed", True),
        ("queued", "running", True),
        ("running", "running", False),
        ("completed", "running", False),
        ("running", None, False),
    ],
)
def test_a_status_that_moved_on_wakes_the_poll(
    known: str, in_list: str | None, wakes: bool
) -> None:
    soon = timezone.now() + dt.timedelta(minutes=1)
    run = make_run(known, run_id="run_1", poll_due_at=soon)
    org = Org()
    org.spoil = lambda cursor: reply({"runs": [listed(1, status=in_list)]})
    org.discover_all()
    due_at = Poll.objects.get(pk=run.pk).due_at
    assert due_at
    assert (due_at < soon) is wakes
    run.refresh_from_db()
    assert run.status == known  # only the details change a run


def test_a_failing_run_is_not_woken() -> None:
    soon = timezone.now() + dt.timedelta(minutes=1)
    make_run("running", run_id="run_1", poll_due_at=soon, poll_failures=1)
    org = Org()
    org.spoil = lambda cursor: reply({"runs": [listed(1, status="completed")]})
    org.discover_all()
    assert Poll.objects.get().due_at == soon


# The breaker --------------------------------------------------------------------------------------


def test_while_case_dev_is_down_discovery_takes_its_turn_at_the_probe() -> None:
    now = timezone.now()
    Upstream.objects.create(pk=1, state=Upstream.State.DOWN, since=now, probe_at=now)
    org = Org(3)
    org.discover_all()
    assert len(org.requests) == 1
    assert breaker.upstream().state == Upstream.State.UP


@pytest.mark.parametrize("state", [Upstream.State.DOWN, Upstream.State.REFUSED])
def test_while_nothing_may_go_discovery_claims_nothing(state: str) -> None:
    later = timezone.now() + dt.timedelta(seconds=20)
    Upstream.objects.create(pk=1, state=state, since=timezone.now(), probe_at=later)
    org = Org(3)
    assert org.discover() is False
    assert org.requests == []
    assert walk().leased_until is None


def test_a_refused_key_is_told_to_the_breaker() -> None:
    org = Org()
    org.spoil = lambda cursor: reply({}, 401)
    org.discover()
    assert breaker.upstream().state == Upstream.State.REFUSED


def test_a_new_start_looks_at_once() -> None:
    later = timezone.now() + dt.timedelta(hours=1)
    Discovery.objects.create(pk=1, due_at=later, failures=9)
    discovery.wake()
    assert discovery.discover_due(Org(1).client) is False
    assert stored() == {0}


# Against the simulator ----------------------------------------------------------------------------


def test_all_simulated_runs_and_their_agents_are_found(simulator: SimulatorServer) -> None:
    ids = {simulator.world.create("nda_review").id for _ in range(260)}
    while discovery.discover_due():
        pass
    assert set(Run.objects.values_list("run_id", flat=True)) == ids
    assert simulator.world.requests.by_route["list"] == 2
    agent = Agent.objects.get(agent_id=Run.objects.all()[0].agent_id)
    assert agent.name
    new = simulator.start("nda_review").id
    Discovery.objects.update(due_at=None)
    assert discovery.discover_due() is False
    assert Run.objects.get(run_id=new).status in ("queued", "running")
