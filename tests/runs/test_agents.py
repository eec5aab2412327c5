"""Names of agents: asked for seldom, and for each unknown one once."""

from typing import Any

import httpx
import pytest
from django.utils import timezone

from runs import agents
from runs.models import Agent
from tests.factories import make_agent, make_run
from tests.runs.answers import client_of, reply

pytestmark = pytest.mark.django_db


class Staff:
    """The agents of an organisation: those in the list, and those asked for one by one."""

    def __init__(self, listed: list[Any], single: dict[str, Any] | None = None) -> None:
        self.listed, self.single = listed, single or {}
        self.asked: list[str] = []
        self.client = client_of(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.removeprefix("/agent/v1/agents").strip("/")
        self.asked.append(name or "list")
        said = self.single.get(name, reply({}, 404)) if name else self.listed.pop(0)
        return said if isinstance(said, httpx.Response) else reply(said)

    def refresh(self) -> list[str]:
        """What one turn asks for."""
        self.asked.clear()
        agents.refresh(self.client)
        return list(self.asked)


def known() -> dict[str, str | None]:
    return dict(Agent.objects.values_list("agent_id", "name"))


def test_names_are_those_that_are_known() -> None:
    make_agent("agent_a", "Reviewer")
    make_agent("agent_b", None)
    assert agents.names(["agent_a", "agent_b", "agent_c", None, ""]) == {"agent_a": "Reviewer"}
    assert agents.names([]) == {}


def test_the_list_is_walked_and_not_asked_for_again_for_a_while() -> None:
    first = {"agents": [{"id": "a1", "name": "One"}], "hasMore": True, "nextCursor": "a1"}
    staff = Staff([first, {"agents": [{"id": "a2", "name": "Two", "model": "m"}]}])
    assert staff.refresh() == ["list", "list"]
    assert known() == {"a1": "One", "a2": "Two"}
    assert staff.refresh() == []


@pytest.mark.parametrize("cursor", ["a1", "", None, 7])
def test_a_list_that_leads_in_a_circle_ends(cursor: Any) -> None:
    page = {"agents": [{"id": "a1", "name": "One"}], "hasMore": True, "nextCursor": cursor}
    staff = Staff([page] * 50)
    assert len(staff.refresh()) <= 2
    assert known() == {"a1": "One"}


def test_a_renamed_agent_gets_its_new_name() -> None:
    make_agent("a1", "Old")
    Staff([{"agents": [{"id": "a1", "name": "New"}]}]).refresh()
    assert known() == {"a1": "New"}


def test_an_agent_that_no_list_holds_is_asked_for_once() -> None:
    make_run(agent_id="hired")
    make_run(agent_id="hired")
    make_run(agent_id="gone")
    make_run(agent_id=None)
    staff = Staff([{"agents": []}], {"hired": {"id": "hired", "name": "For once"}})
    assert staff.refresh() == ["list", "gone", "hired"]
    assert known() == {"hired": "For once", "gone": None}
    assert staff.refresh() == []


@pytest.mark.parametrize("status", [403, 404, 400])
def test_an_agent_that_is_not_told_of_blocks_no_other(status: int) -> None:
    for name in ("a", "b", "c"):
        make_run(agent_id=name)
    staff = Staff([{}], {"b": reply({}, status), "a": reply(b"<html>"), "c": {"name": "Sea"}})
    assert staff.refresh() == ["list", "a", "b", "c"]
    assert known() == {"a": None, "b": None, "c": "Sea"}


@pytest.mark.parametrize("status", [500, 429, 401])
def test_trouble_waits_for_a_later_turn(status: int) -> None:
    make_run(agent_id="a")
    make_run(agent_id="b")
    staff = Staff([reply({}, 500)], {"a": reply({}, status)})
    assert staff.refresh() == ["list", "a"]
    assert known() == {}
    staff.single = {"a": {"name": "A"}, "b": {"name": "B"}}
    assert staff.refresh() == ["a", "b"]


def test_ids_that_cannot_be_asked_for_are_left_alone_and_block_no_other() -> None:
    for number in range(30):
        make_run(agent_id=f"../{number:02}")
    make_run(agent_id="zed")
    staff = Staff([{}], {"zed": {"name": "Zed"}})
    assert staff.refresh() == ["list", "zed"]


def test_no_more_than_twenty_are_asked_for_in_a_turn() -> None:
    for number in range(25):
        make_run(agent_id=f"agent_{number:02}")
    staff = Staff([{}])
    assert len(staff.refresh()) == 1 + 20
    assert len(staff.refresh()) == 5


def test_of_a_strange_list_what_makes_sense_is_taken() -> None:
    strange: list[Any] = [
        *(None, 7, "x", [], {}, {"id": None, "name": "x"}, {"id": "../x", "name": "x"}),
        {"id": "odd", "name": {"a": 1}, "description": "a\x00b", "model": "m" * 500},
        {"id": "long", "name": "n" * 900},
    ]
    Staff([{"agents": strange, "hasMore": False}]).refresh()
    assert set(known()) == {"odd", "long"}
    odd = Agent.objects.get(agent_id="odd")
    assert (odd.name, odd.description) == ('{"a": 1}', "a␀b")
    assert odd.fetched_at <= timezone.now()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"agents": 7}', b'{"agents": null}'])
def test_a_list_that_is_none_hurts_nobody(body: bytes) -> None:
    make_run(agent_id="a")
    staff = Staff([reply(body)], {"a": {"name": "A"}})
    assert staff.refresh() == ["list", "a"]
    assert known() == {"a": "A"}
