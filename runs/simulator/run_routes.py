"""The routes of runs: everything under /agent/v1/run, and /agent/v1/execute."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from runs.simulator.agents import Agent
from runs.simulator.answers import answer, answer_body
from runs.simulator.callbacks import check_callback_url
from runs.simulator.clock import iso
from runs.simulator.errors import ApiError
from runs.simulator.events import event_stream
from runs.simulator.fields import (
    json_object,
    optional_text,
    optional_texts,
    required_text,
    whole_number,
)
from runs.simulator.run import SimulatedRun
from runs.simulator.variants import VariantError
from runs.simulator.world import World

STATUSES = ("queued", "running", "completed", "failed", "cancelled")
DEFAULT_LIMIT, HIGHEST_LIMIT = 50, 250
LAST_SEQUENCE = 2**53
# Not of the API: how a client of the simulator chooses what its new run will play.
SCRIPT_HEADER, VARIANT_HEADER = "x-simulator-script", "x-simulator-variant"
SEED_HEADER, SPEED_HEADER = "x-simulator-seed", "x-simulator-speed"


def world_of(request: Request) -> World:
    world: World = request.app.state.world
    return world


def _named_run(request: Request) -> SimulatedRun:
    return world_of(request).run(request.path_params["run_id"])


def _wishes(request: Request) -> dict[str, Any]:
    """Script, variant, seed and speed, if the client of the simulator asks for them."""
    headers = request.headers
    wishes: dict[str, Any] = {"script": headers.get(SCRIPT_HEADER)}
    if names := headers.get(VARIANT_HEADER):
        wishes["variant"] = [name.strip() for name in names.split(",")]
    try:
        if SEED_HEADER in headers:
            wishes["seed"] = int(headers[SEED_HEADER])
        if SPEED_HEADER in headers:
            wishes["speed"] = float(headers[SPEED_HEADER])
    except ValueError as error:
        raise ApiError(400, f"x-simulator header: {error}") from error
    return wishes


def _queue(request: Request, fields: dict[str, Any], agent: Agent) -> SimulatedRun:
    try:
        return world_of(request).create(
            agent_id=agent.id,
            prompt=required_text(fields, "prompt"),
            guidance=optional_text(fields, "guidance"),
            model=optional_text(fields, "model"),
            object_ids=optional_texts(fields, "objectIds") or [],
            **_wishes(request),
        )
    except VariantError as error:
        raise ApiError(400, str(error)) from error


async def create_run(request: Request) -> Response:
    world, fields = world_of(request), await json_object(request)
    agent_id = required_text(fields, "agentId")
    required_text(fields, "prompt")
    callback = fields.get("callbackUrl")
    if callback is not None:
        callback = check_callback_url(callback, world.config.allow_private_callbacks)
    run = _queue(request, fields, world.agent(agent_id))
    if callback is not None:
        world.watch(run, callback)
    created = {
        "id": run.id,
        "agentId": run.facts.agent_id,
        "status": "queued",
        "objectIds": fields.get("objectIds"),
        "createdAt": iso(run.facts.created_ms),
    }
    return answer(request, created, 201)


async def list_runs(request: Request) -> Response:
    world, query = world_of(request), request.query_params
    limit = whole_number(query.get("limit"), "limit", DEFAULT_LIMIT, 1, HIGHEST_LIMIT)
    agent_id, status, now_ms = query.get("agentId"), query.get("status"), world.now_ms()
    if status is not None and status not in STATUSES:
        raise ApiError(400, f"status must be one of {', '.join(STATUSES)}")
    page: list[SimulatedRun] = []
    has_more = False
    for run in world.newest_first(query.get("cursor")):
        if agent_id not in (None, run.facts.agent_id) or status not in (None, run.status(now_ms)):
            continue
        if len(page) == limit:
            has_more = True
            break
        page.append(run)
    items = {
        "runs": [run.list_item(now_ms) for run in page],
        "hasMore": has_more,
        "nextCursor": page[-1].id if has_more else None,
    }
    return answer(request, items)


async def exec_run(request: Request) -> Response:
    world, run = world_of(request), _named_run(request)
    if run.status(world.now_ms()) != "queued" or run.facts.started_ms is not None:
        raise ApiError(409, f"Run is {run.status(world.now_ms())}; only a queued run can start")
    world.execute(run)
    started = {
        "id": run.id,
        "status": "running",
        "workflowId": f"wf_{run.id[4:]}",
        "message": "Run started in a durable workflow. Poll /agent/v1/run/:id/status for progress.",
    }
    return answer(request, started)


async def run_status(request: Request) -> Response:
    return answer(request, _named_run(request).status_answer(world_of(request).now_ms()))


async def run_details(request: Request) -> Response:
    return await answer_body(request, _named_run(request).body(world_of(request).now_ms()))


async def run_events(request: Request) -> Response:
    last = request.query_params.get("lastEventId", request.headers.get("last-event-id"))
    after = whole_number(last or None, "lastEventId", 0, 0, LAST_SEQUENCE)
    stream = event_stream(world_of(request), _named_run(request), after)
    headers = {"cache-control": "no-store"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def cancel_run(request: Request) -> Response:
    world, run = world_of(request), _named_run(request)
    did = world.cancel(run)
    status = run.status(world.now_ms())
    cancelled = {"id": run.id, "status": status}
    if not did:
        cancelled["message"] = f"Run was already {status}"
    return answer(request, cancelled)


async def watch_run(request: Request) -> Response:
    world, run, fields = world_of(request), _named_run(request), await json_object(request)
    url = check_callback_url(fields.get("callbackUrl"), world.config.allow_private_callbacks)
    world.watch(run, url)
    return answer(request, {"ok": True, "callbackUrl": url})


async def execute(request: Request) -> Response:
    """Create and start in one call, with an agent that lives as long as its run."""
    world, fields = world_of(request), await json_object(request)
    required_text(fields, "prompt")
    agent = request.app.state.hire(fields, ephemeral=True)
    run = _queue(request, fields, agent)
    agent.only_run = run.id
    world.execute(run)
    running = {
        "runId": run.id,
        "agentId": agent.id,
        "status": "running",
        "message": "Agent is running. Poll /agent/v1/run/:id/status for progress.",
    }
    return answer(request, running)


def run_routes() -> list[Route]:
    one = "/agent/v1/run/{run_id}"
    return [
        Route("/agent/v1/run", create_run, methods=["POST"]),
        Route("/agent/v1/run", list_runs, methods=["GET"]),
        Route(f"{one}/exec", exec_run, methods=["POST"]),
        Route(f"{one}/status", run_status, methods=["GET"]),
        Route(f"{one}/details", run_details, methods=["GET"]),
        Route(f"{one}/events", run_events, methods=["GET"]),
        Route(f"{one}/cancel", cancel_run, methods=["POST"]),
        Route(f"{one}/watch", watch_run, methods=["POST"]),
        Route("/agent/v1/execute", execute, methods=["POST"]),
    ]
