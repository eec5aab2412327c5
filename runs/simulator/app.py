"""The simulator as an ASGI app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runs.simulator.agent_routes import agent_routes, hire
from runs.simulator.answers import error_answer
from runs.simulator.callbacks import Callbacks
from runs.simulator.clock import Clock
from runs.simulator.control import REFUSALS, control_routes
from runs.simulator.demo import directed
from runs.simulator.errors import ApiError
from runs.simulator.faults import FaultMiddleware
from runs.simulator.limits import LimitMiddleware
from runs.simulator.meter import MeterMiddleware
from runs.simulator.routes import CONTROL
from runs.simulator.run_routes import run_routes
from runs.simulator.world import SimulatorConfig, World

KEY_PREFIX = "sk_case_"


class AuthMiddleware:
    """`Authorization: Bearer sk_case_...`; any such key, or the one that is configured."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL) or self._admits(scope):
            await self._app(scope, receive, send)
            return
        shape = self._world.config.error_shape
        refusal = error_answer(401, "Invalid or missing API key", shape)
        await refusal(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        bearer = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = bearer.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return False
        key = self._world.config.key
        return token.startswith(KEY_PREFIX) if key is None else token == key


def create_app(
    config: SimulatorConfig | None = None,
    clock: Clock | None = None,
    *,
    world: World | None = None,
) -> Starlette:
    """The app for a new world made from `config` and `clock`, or for the `world` given."""
    world = world or World(config, clock)

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error_answer(error.status, error.message, world.config.error_shape)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refusal = error_answer(error.status_code, error.detail, world.config.error_shape)
        refusal.headers.update(error.headers or {})
        return refusal

    def too_many() -> ASGIApp:
        message = "Rate limit exceeded. You have made too many requests to the agent API."
        return error_answer(429, message, world.config.error_shape)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        callbacks = Callbacks(world)
        world.on_watch = callbacks.add
        async with directed(world):
            yield
        world.on_watch = None
        await callbacks.close()

    config = world.config
    app = Starlette(
        routes=[*run_routes(), *agent_routes(), *control_routes()],
        middleware=[
            Middleware(MeterMiddleware, world.requests),
            Middleware(
                LimitMiddleware,
                world.clock,
                config.requests_per_minute,
                config.enforce_rate_limit,
                too_many,
            ),
            Middleware(FaultMiddleware, world.faults, lambda: config.error_shape),
            Middleware(AuthMiddleware, world),
        ],
        exception_handlers={ApiError: api_error, HTTPException: http_error, **REFUSALS},
        lifespan=lifespan,
    )
    app.state.world = world
    app.state.hire = partial(hire, world)
    return app
