"""Lists of runs that make no sense."""

from typing import Any

import httpx
import pytest
from django.utils import timezone

from runs.models import Discovery, Run
from tests.runs.answers import reply
from tests.runs.organisation import Org, listed, stored, walk

pytestmark = pytest.mark.django_db


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
