"""The routes of agents: everything under /agent/v1/agents."""

from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runs.simulator.agents import Agent
from runs.simulator.answers import answer
from runs.simulator.errors import ApiError
from runs.simulator.fields import (
    json_object,
    optional_text,
    optional_texts,
    required_text,
    whole_number,
)
from runs.simulator.prices import DEFAULT_MODEL
from runs.simulator.recorder import ID_ALPHABET
from runs.simulator.run_routes import DEFAULT_LIMIT, HIGHEST_LIMIT, world_of
from runs.simulator.world import World

GENERAL_INSTRUCTIONS = "You are a legal assistant. Work carefully and cite your sources."
_LISTS = {
    "vaultIds": "vault_ids",
    "vaultGroups": "vault_groups",
    "enabledTools": "enabled_tools",
    "disabledTools": "disabled_tools",
}


def _check_tools(fields: dict[str, Any]) -> None:
    if fields.get("enabledTools") is not None and fields.get("disabledTools") is not None:
        raise ApiError(400, "enabledTools and disabledTools are mutually exclusive")


def hire(world: World, fields: dict[str, Any], *, ephemeral: bool = False) -> Agent:
    """Make an agent from the fields of create-agent, or of execute if `ephemeral`."""
    _check_tools(fields)
    now_ms = world.now_ms()
    rng = Random(f"agent:{world.config.seed}:{len(world.agents)}:{now_ms}")
    agent = Agent(
        id="agent_" + "".join(rng.choices(ID_ALPHABET, k=9)),
        name="Ephemeral agent" if ephemeral else required_text(fields, "name"),
        instructions=optional_text(fields, "instructions") or GENERAL_INSTRUCTIONS,
        created_ms=now_ms,
        updated_ms=now_ms,
        description=optional_text(fields, "description"),
        model=optional_text(fields, "model") or DEFAULT_MODEL,
        sandbox=fields.get("sandbox"),
    )
    for name, attribute in _LISTS.items():
        setattr(agent, attribute, optional_texts(fields, name))
    world.agents[agent.id] = agent
    return agent


async def create_agent(request: Request) -> Response:
    fields = await json_object(request)
    required_text(fields, "instructions")
    return answer(request, hire(world_of(request), fields).answer(), 201)


async def list_agents(request: Request) -> Response:
    world, query = world_of(request), request.query_params
    limit = whole_number(query.get("limit"), "limit", DEFAULT_LIMIT, 1, HIGHEST_LIMIT)
    listed = [agent for agent in world.agents.values() if agent.is_active and not agent.only_run]
    listed.reverse()
    if cursor := query.get("cursor"):
        places = [place for place, agent in enumerate(listed) if agent.id == cursor]
        if not places:
            raise ApiError(400, "Invalid cursor")
        listed = listed[places[0] + 1 :]
    page, has_more = listed[:limit], len(listed) > limit
    items = {
        "agents": [agent.summary() for agent in page],
        "hasMore": has_more,
        "nextCursor": page[-1].id if has_more else None,
    }
    return answer(request, items)


def _named_agent(request: Request) -> Agent:
    return world_of(request).agent(request.path_params["agent_id"])


async def retrieve_agent(request: Request) -> Response:
    return answer(request, _named_agent(request).answer())


async def update_agent(request: Request) -> Response:
    """Only the given fields change; null clears those that may be null."""
    agent, fields = _named_agent(request), await json_object(request)
    _check_tools(fields)
    for name in ("name", "instructions", "model"):
        if name in fields:
            setattr(agent, name, required_text(fields, name))
    if "description" in fields:
        agent.description = optional_text(fields, "description")
    for name, attribute in _LISTS.items():
        if name in fields:
            setattr(agent, attribute, optional_texts(fields, name))
    if "sandbox" in fields:
        agent.sandbox = fields["sandbox"]
    agent.updated_ms = world_of(request).now_ms()
    return answer(request, agent.answer())


async def delete_agent(request: Request) -> Response:
    _named_agent(request).is_active = False
    return answer(request, {"ok": True})


def agent_routes() -> list[Route]:
    one = "/agent/v1/agents/{agent_id}"
    return [
        Route("/agent/v1/agents", create_agent, methods=["POST"]),
        Route("/agent/v1/agents", list_agents, methods=["GET"]),
        Route(one, retrieve_agent, methods=["GET"]),
        Route(one, update_agent, methods=["PATCH"]),
        Route(one, delete_agent, methods=["DELETE"]),
    ]
