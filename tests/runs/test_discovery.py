"""Finding runs: the walk through the list, wherever it is interrupted, and adding one by hand."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from runs import breaker, discovery, notices
from runs.casedev.errors import CaseDevError, NotFound, Unavailable, Unreadable
from runs.models import Agent, Discovery, Poll, Run, Upstream
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run
from tests.runs.answers import client_of, details, reply
from tests.runs.polling import in_threads

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


class Org:
    """Case.dev's list of `count` runs, newest first; a cursor is the last run of a page."""

    def __init__(self, count: int = 0, page: int = 1000) -> None:
        self.count, self.page = count, page
        self.requests: list[str] = []
        self.agents_asked: list[str] = []
        self.spoil: Callable[[str], httpx.Response | None] = lambda cursor: None
        self.client = client_of(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if "/agents" in request.url.path:
            self.agents_asked.append(request.url.path)
            return reply({"agents": [], "hasMore": False})
        if request.url.path.endswith("/details"):
            return reply({"message": "No such run"}, 404)
        cursor = request.url.params.get("cursor", "")
        self.requests.append(cursor)
        if spoiled := self.spoil(cursor):
            return spoiled
        before = int(cursor.removeprefix("run_")) if cursor else self.count
        size = min(self.page, int(request.url.params["limit"]))
        numbers = range(before - 1, max(before - 1 - size, -1), -1)
        more = bool(numbers) and numbers[-1] > 0
        return reply(
            {
                "runs": [listed(number) for number in numbers],
                "hasMore": more,
                "nextCursor": f"run_{numbers[-1]}" if more else None,
            }
        )

    def discover(self) -> bool:
        """One turn, at once."""
        Discovery.objects.update(due_at=None)
        return discovery.discover_due(self.client)

    def discover_all(self, turns: int = 50) -> None:
        for _ in range(turns):
            if not self.discover():
                return
        raise AssertionError("the walk does not end")


def listed(number: int, **fields: Any) -> dict[str, Any]:
    created = (START + dt.timedelta(minutes=number)).isoformat()
    return {
        "id": f"run_{number}",
        "agentId": "agent_x",
        "status": "running",
        "prompt": "Review",
        "model": None,
        "createdAt": created,
        "startedAt": created,
        "completedAt": None,
    } | fields


def walk() -> Discovery:
    return Discovery.objects.get()


def stored() -> set[int]:
    return {
        int(run_id.removeprefix("run_")) for run_id in Run.objects.values_list("run_id", flat=True)
    }


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


# Lists that make no sense -------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_cursors_that_lead_in_a_circle_end_the_walk(length: int) -> None:
    org = Org()

    def circle(cursor: str) -> httpx.Response:
        place = int(cursor.removeprefix("run_")) if cursor else 100
        following = 100 + (place - 101) % length
        return reply(
            {"runs": [listed(following)], "hasMore": True, "nextCursor": f"run_{following}"}
        )

    org.spoil = circle
    org.discover_all(turns=10)
    assert stored() == set(range(100, 100 + length))
    assert walk().walked_at is not None


def test_a_list_that_ignores_its_cursor_ends_the_walk() -> None:
    org = Org()
    numbers = iter(range(1000))
    org.spoil = lambda cursor: reply(
        {"runs": [listed(2), listed(1)], "hasMore": True, "nextCursor": f"c{next(numbers)}"}
    )
    Discovery.objects.create(pk=1, walked_at=timezone.now())
    org.discover_all(turns=3)
    assert stored() == {1, 2}


@pytest.mark.parametrize("cursor", [None, "", "x" * 201, "é", "a\x00b", "two words"])
def test_a_cursor_that_cannot_be_used_gives_way_to_the_last_run(cursor: Any) -> None:
    org = Org(3)
    org.spoil = lambda asked: (
        None if asked else reply({"runs": [listed(3)], "hasMore": True, "nextCursor": cursor})
    )
    org.discover_all()
    assert stored() == {0, 1, 2, 3}
    assert org.requests == ["", "run_3"]


def test_a_cursor_that_case_dev_does_not_know_any_more_starts_a_whole_walk() -> None:
    org = Org(10, page=3)
    org.discover_all()
    org.count = 60
    org.page = 5
    org.discover()
    gone = walk().cursor
    assert gone
    org.spoil = lambda cursor: reply({"message": "Invalid cursor"}, 400) if cursor == gone else None
    org.discover()
    assert (walk().cursor, walk().walked_at, walk().failures) == ("", None, 1)
    org.spoil = lambda cursor: None
    org.discover_all()
    assert stored() == set(range(60))


def test_a_list_that_refuses_every_cursor_is_asked_ever_more_rarely() -> None:
    org = Org(10, page=3)
    org.spoil = lambda cursor: reply({}, 400) if cursor else None
    for failures in range(1, 6):
        org.discover()
        assert walk().failures == failures


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"runs": null}',
        b'{"runs": {"a": 1}}',
        b'{"runs": 7}',
    ],
)
def test_a_list_that_is_none_is_a_failure_that_is_told(body: bytes) -> None:
    org = Org()
    org.spoil = lambda cursor: reply(body)
    org.discover()
    assert walk().failures == 1
    assert walk().last_error.startswith("The answer cannot be read")
    assert walk().walked_at is None


def test_of_a_strange_list_what_makes_sense_is_taken() -> None:
    org = Org()
    strange: list[Any] = [
        *(None, 7, "run_5", [], {}, {"id": None}, {"id": []}, {"id": "../x"}, {"id": "run/1"}),
        *({"id": ""}, {"id": "rün"}, {"id": "r" * 129}, {"id": "run_only"}),
        {"id": "run_odd", "status": 7, "prompt": ["x"], "createdAt": "soon", "agentId": {"a": 1}},
        {"id": "run_odd", "status": "queued"},
        {"id": "run_nul", "prompt": "a\x00b\ud800", "status": "s" * 500, "model": "m" * 500},
    ]
    org.spoil = lambda cursor: reply({"runs": strange, "hasMore": False})
    org.discover_all()
    runs = {run.run_id: run for run in Run.objects.all()}
    assert runs.keys() == {"run_only", "run_odd", "run_nul"}
    assert (runs["run_only"].status, runs["run_only"].prompt) == ("", None)
    assert runs["run_odd"].status == "queued"
    assert runs["run_nul"].prompt == "a␀b\ufffd"
    assert len(runs["run_nul"].status) == 64


def test_an_empty_organisation_has_no_runs() -> None:
    org = Org(0)
    org.discover_all()
    assert walk().walked_at is not None
    assert not Run.objects.exists()


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


# Adding by hand -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pasted", "run_id"),
    [
        ("run_abc123", "run_abc123"),
        ("  run_abc123\n", "run_abc123"),
        ('"run_abc123",', "run_abc123"),
        ("`run_abc123`", "run_abc123"),
        ("cm8x-9_Z", "cm8x-9_Z"),
        ("https://api.case.dev/agent/v1/run/run_abc123/details", "run_abc123"),
        ("https://api.case.dev/agent/v1/run/run_abc123", "run_abc123"),
        ("/agent/v1/run/cm8x9/details?x=1", "cm8x9"),
        ("https://app.case.dev/runs/run_abc123?tab=cost#s3", "run_abc123"),
        ("https://app.case.dev/console/?run=run_abc123&x=1", "run_abc123"),
        ("https://app.case.dev/#/runs/run_abc123", "run_abc123"),
        ("http://localhost:8000/runs/run_abc123/cost/", "run_abc123"),
        ("https%3A%2F%2Fapi.case.dev%2Fagent%2Fv1%2Frun%2Frun_abc123", "run_abc123"),
        ("<https://app.case.dev/runs/run_abc123>", "run_abc123"),
    ],
)
def test_a_run_id_is_found_in_what_is_pasted(pasted: str, run_id: str) -> None:
    assert discovery.run_id_in(pasted) == run_id


@pytest.mark.parametrize(
    "pasted",
    [
        *("", "   ", "run abc", "rün_1", "r" * 129, "run_\x00", "../../etc/passwd", "%00", "?"),
        *("https://app.case.dev/", "https://app.case.dev/agents/agent_1", "run_abc.json"),
        *("https://app.case.dev/runs/r%C3%BCn", "javascript:alert(1)", "run_1?x", "run_1\nrun_2"),
    ],
)
def test_nonsense_is_refused_in_words_and_nothing_is_asked(pasted: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked for")

    with pytest.raises(discovery.NotARunId, match=r"run id"):
        discovery.add(pasted, client_of(answer))


def knowing(body: bytes, during: Callable[[], Any] = lambda: None) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        during()
        return reply(body)

    return client_of(answer)


def test_an_added_run_is_there_at_once_with_all_that_is_known() -> None:
    case_dev = knowing(details(id="run_1", createdAt=timezone.now().isoformat()))
    run = discovery.add("https://app.case.dev/runs/run_1", case_dev)
    assert (run.run_id, run.version, run.status, run.step_count) == ("run_1", 1, "running", 1)
    poll = Poll.objects.get()
    assert (poll.run_id, poll.fence, poll.leased_until) == (run.pk, 1, None)
    assert poll.due_at
    assert breaker.upstream().last_ok_at is not None


def test_a_known_run_is_not_asked_about() -> None:
    run = make_run(run_id="run_1")

    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("a request was made")

    assert discovery.add("run_1", client_of(answer)) == run


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (lambda: reply({"message": "Run not found"}, 404), NotFound),
        (lambda: reply({}, 503), Unavailable),
    ],
)
def test_a_run_that_case_dev_does_not_tell_of_is_not_stored(
    response: Callable[[], httpx.Response], error: type[CaseDevError]
) -> None:
    with pytest.raises(error):
        discovery.add("run_1", client_of(lambda request: response()))
    assert not Run.objects.exists()
    assert not Poll.objects.exists()


def test_an_added_run_whose_answer_cannot_be_read_is_there_with_its_error() -> None:
    run = discovery.add("run_1", knowing(b"<html>"))
    assert run.version == 0
    poll = Poll.objects.get(pk=run.pk)
    assert (poll.failures, poll.last_error) == (1, "The answer cannot be read: it is not JSON.")
    assert run.payloads.get().text == b"<html>"


def test_a_run_found_and_polled_while_a_person_adds_it_keeps_the_newer_answer() -> None:
    def meanwhile() -> None:
        make_run("completed", run_id="run_1", version=5, poll_due_at=None)

    run = discovery.add("run_1", knowing(details(id="run_1"), meanwhile))
    assert (run.status, run.version) == ("completed", 5)
    assert Poll.objects.get().leased_until is None


def test_a_run_found_while_a_person_adds_it_is_filled_by_whoever_asked_first() -> None:
    def meanwhile() -> None:
        make_run("running", run_id="run_1", version=0, poll_last_ok_at=None)

    run = discovery.add("run_1", knowing(details(id="run_1"), meanwhile))
    assert run.version == 1
    assert Run.objects.count() == Poll.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_people_who_add_one_run_at_once_make_one_request() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        time.sleep(0.2)  # long enough for all to have come
        return reply(details(id="run_1"))

    case_dev = client_of(answer)
    found = in_threads(5, lambda: discovery.add("run_1", case_dev).pk)
    assert len(set(found)) == 1
    assert len(asked) == 1


def test_without_redis_a_run_can_be_added(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    notices.connection.cache_clear()
    try:
        assert discovery.add("run_1", knowing(details(id="run_1"))).version == 1
    finally:
        notices.connection.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_two_people_may_add_the_same_run_while_discovery_finds_it() -> None:
    org = Org(1)
    body = details(id="run_0")

    def add() -> int:
        return discovery.add("run_0", knowing(body)).pk

    def find() -> int:
        org.discover()
        return Run.objects.get(run_id="run_0").pk

    acts = iter([add, add, find, add])
    found = in_threads(4, lambda: next(acts)())
    assert len(set(found)) == 1
    assert Run.objects.count() == Poll.objects.count() == 1
    assert Run.objects.get().version <= 1


def test_what_is_not_a_list_raises_before_anything_is_stored() -> None:
    with pytest.raises(Unreadable):
        discovery._read_page(b"{}")


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


def test_simulated_runs_can_be_added(simulator: SimulatorServer) -> None:
    original = simulator.start("nda_review")
    run = discovery.add(f"{simulator.url}/agent/v1/run/{original.id}/details")
    assert run.version == 1
    with pytest.raises(NotFound):
        discovery.add("run_unknown")
