"""Rate limits: the headers on every response, and enforcement if it is switched on."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runs.simulator.clock import Clock
from runs.simulator.routes import CONTROL

WINDOW_MS = 60_000  # API facts, limits: requests a minute
TIER = "tier_2"


class LimitMiddleware:
    """Counts requests a minute. `refuse` answers those beyond the limit."""

    def __init__(
        self,
        app: ASGIApp,
        clock: Clock,
        per_minute: int,
        enforce: bool,
        refuse: Callable[[], ASGIApp],
    ) -> None:
        self._app = app
        self._clock = clock
        self._per_minute = per_minute
        self._enforce = enforce
        self._refuse = refuse
        self._window = -1
        self._used = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        window, passed_ms = divmod(self._clock.now_ms(), WINDOW_MS)
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        remaining = max(0, self._per_minute - self._used)
        reset_s = max(1, (WINDOW_MS - passed_ms) // 1000)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-ratelimit-limit-requests", str(self._per_minute))
                headers.setdefault("x-ratelimit-remaining-requests", str(remaining))
                headers.setdefault("x-ratelimit-reset-requests", f"{reset_s}s")
                headers.setdefault("x-ratelimit-tier", TIER)
            await send(message)

        over = self._enforce and self._used > self._per_minute
        await (self._refuse() if over else self._app)(scope, receive, with_headers)
