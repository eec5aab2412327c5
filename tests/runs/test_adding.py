"""Adding a run by hand."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.utils import timezone

from runs import breaker, discovery, notices
from runs.casedev.errors import CaseDevError, NotFound, Unavailable, Unreadable
from runs.models import Poll, Run
from runs.simulator.testing import SimulatorServer
from tests.factories import make_run
from tests.runs.answers import client_of, details, reply
from tests.runs.organisation import Org
from tests.runs.polling import in_threads

pytestmark = pytest.mark.django_db


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


def test_simulated_runs_can_be_added(simulator: SimulatorServer) -> None:
    original = simulator.start("nda_review")
    run = discovery.add(f"{simulator.url}/agent/v1/run/{original.id}/details")
    assert run.version == 1
    with pytest.raises(NotFound):
        discovery.add("run_unknown")
