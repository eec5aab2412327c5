"""The back door for tests, under /_simulator/: start runs, switch faults on, read the truth.

No authentication: the simulator holds invented data only and listens on loopback.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runs.simulator.answers import answer
from runs.simulator.clock import ManualClock, iso
from runs.simulator.errors import ApiError
from runs.simulator.faults import Fault, FaultError
from runs.simulator.fields import json_object
from runs.simulator.routes import CONTROL
from runs.simulator.run_routes import world_of
from runs.simulator.scripts import SCRIPTS
from runs.simulator.synthetic import NAME as SYNTHETIC
from runs.simulator.variants import NAMES, VariantError

_RUN_OPTIONS = {
    "script": "script",
    "seed": "seed",
    "speed": "speed",
    "variant": "variant",
    "agentId": "agent_id",
    "prompt": "prompt",
    "guidance": "guidance",
    "model": "model",
    "objectIds": "object_ids",
    "steps": "steps",
    "stepBytes": "step_bytes",
    "seconds": "seconds",
    "ends": "ends",
}


async def start_run(request: Request) -> Response:
    """{script, variant?, seed?, speed?, agentId?, prompt?, callbackUrl?, start?: true, count?: 1},
    and for the script "synthetic": steps, stepBytes, seconds, ends."""
    world, fields = world_of(request), await json_object(request)
    start, count = fields.pop("start", True), fields.pop("count", 1)
    callback = fields.pop("callbackUrl", None)
    unknown = fields.keys() - _RUN_OPTIONS.keys()
    if unknown:
        raise ApiError(400, f"unknown fields: {', '.join(sorted(unknown))}")
    options: dict[str, Any] = {_RUN_OPTIONS[name]: value for name, value in fields.items()}
    make = world.start if start else world.create
    runs = []
    for _ in range(count):
        run = make(**options)
        if callback is not None:
            world.watch(run, callback)
        runs.append(run)
    now_ms = world.now_ms()
    answers = [run.list_item(now_ms) | {"script": run.facts.script} for run in runs]
    return answer(request, answers[0] if count == 1 else {"runs": answers}, 201)


async def faults(request: Request) -> Response:
    """GET lists, POST adds one (the fields of `faults.Fault`), DELETE removes ?id= or all."""
    book = world_of(request).faults
    if request.method == "POST":
        return answer(request, book.add(Fault.read(await json_object(request))), 201)
    if request.method == "DELETE":
        return answer(request, {"removed": book.remove(request.query_params.get("id"))})
    return answer(request, {"faults": book.all()})


async def variants(request: Request) -> Response:
    """GET shows; POST {variant?: name, names or object, runId?, errorShape?}.

    Names and objects change only what they name; the variant "default" undoes all changes.
    """
    world = world_of(request)
    if request.method == "POST":
        fields = await json_object(request)
        if (shape := fields.get("errorShape")) is not None:
            if shape not in ("a", "b", "c"):
                raise ApiError(400, "errorShape must be a, b or c")
            world.config.error_shape = shape
        run = world.run(fields["runId"]) if fields.get("runId") else None
        if fields.get("variant") is not None:
            world.vary(fields["variant"], run)
        if run is not None:
            return answer(request, {"runId": run.id, "variant": run.facts.variant})
    known = {"variant": world.config.variant, "errorShape": world.config.error_shape}
    return answer(request, known | {"names": NAMES})


async def ledger(request: Request) -> Response:
    world = world_of(request)
    run_id = request.path_params.get("run_id")
    if run_id is not None:
        return answer(request, world.ledger(run_id))
    runs = [world.ledger(run.id) for run in world.runs()]
    if request.query_params.get("steps") == "0":
        runs = [{key: value for key, value in run.items() if key != "steps"} for run in runs]
    return answer(request, {"now": iso(world.now_ms()), "runs": runs})


async def requests(request: Request) -> Response:
    meter = world_of(request).requests
    if request.method == "DELETE":
        meter.reset()
    return answer(request, meter.answer())


async def clock(request: Request) -> Response:
    """GET tells the time; POST {advance: seconds} moves a manual clock."""
    world = world_of(request)
    if request.method == "POST":
        seconds = (await json_object(request)).get("advance")
        if not isinstance(seconds, int | float) or seconds < 0:
            raise ApiError(400, "advance must be a number of seconds, 0 or more")
        try:
            world.advance(seconds)
        except TypeError as error:
            raise ApiError(409, str(error)) from error
    manual = isinstance(world.clock, ManualClock)
    return answer(request, {"now": iso(world.now_ms()), "manual": manual})


async def scripts(request: Request) -> Response:
    known = [
        {
            "name": script.name,
            "title": script.title,
            "agent": script.agent,
            "seconds": script.seconds,
            "ends": script.ends,
        }
        for script in SCRIPTS.values()
    ]
    return answer(request, {"scripts": known, "sized": SYNTHETIC})


async def refused(request: Request, error: Exception) -> Response:
    """A wrong variant or fault is the tester's mistake: say which, in plain words."""
    return Response(msgspec.json.encode({"error": str(error)}), 400, media_type="application/json")


REFUSALS = {VariantError: refused, FaultError: refused}


def control_routes() -> list[Route]:
    return [
        Route(f"{CONTROL}runs", start_run, methods=["POST"]),
        Route(f"{CONTROL}faults", faults, methods=["GET", "POST", "DELETE"]),
        Route(f"{CONTROL}variants", variants, methods=["GET", "POST"]),
        Route(f"{CONTROL}ledger", ledger, methods=["GET"]),
        Route(f"{CONTROL}ledger/{{run_id}}", ledger, methods=["GET"]),
        Route(f"{CONTROL}requests", requests, methods=["GET", "DELETE"]),
        Route(f"{CONTROL}clock", clock, methods=["GET", "POST"]),
        Route(f"{CONTROL}scripts", scripts, methods=["GET"]),
    ]
