"""Counts what clients ask for: by route, by run, bytes out, and how many at once for one run."""

from collections import Counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runs.simulator.routes import CONTROL, route_of

OF_NO_READING = {"watch"}  # may be asked for while the run is being read


class RequestMeter:
    def __init__(self) -> None:
        self._in_flight: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Start counting anew; requests still in flight stay counted as such."""
        self.total = 0
        self.bytes_out = 0
        self.by_route: Counter[str] = Counter()
        self.by_status: Counter[int] = Counter()
        self.by_run: dict[str, Counter[str]] = {}
        self.most_in_flight: dict[str, int] = {}
        self.bytes_by_route: Counter[str] = Counter()

    def begin(self, route: str, run_id: str | None) -> None:
        self.total += 1
        self.by_route[route] += 1
        if run_id is None:
            return
        self.by_run.setdefault(run_id, Counter())[route] += 1
        if route in OF_NO_READING:
            return
        self._in_flight[run_id] += 1
        most = self.most_in_flight.get(run_id, 0)
        self.most_in_flight[run_id] = max(most, self._in_flight[run_id])

    def end(self, route: str, run_id: str | None) -> None:
        if run_id is not None and route not in OF_NO_READING:
            self._in_flight[run_id] -= 1

    def sent(self, route: str, size: int) -> None:
        self.bytes_out += size
        self.bytes_by_route[route] += size

    def answer(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "bytesOut": self.bytes_out,
            "byRoute": dict(self.by_route),
            "bytesByRoute": dict(self.bytes_by_route),
            "byStatus": {str(status): count for status, count in self.by_status.items()},
            "byRun": {
                run_id: {
                    "total": counts.total(),
                    "byRoute": dict(counts),
                    "mostInFlight": self.most_in_flight.get(run_id, 0),
                }
                for run_id, counts in self.by_run.items()
            },
            "mostInFlightOfARun": max(self.most_in_flight.values(), default=0),
        }


class MeterMiddleware:
    def __init__(self, app: ASGIApp, meter: RequestMeter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        route, run_id = route_of(scope["method"], scope["path"])
        meter = self._meter

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                meter.by_status[message["status"]] += 1
            meter.sent(route, len(message.get("body", b"")))
            await send(message)

        meter.begin(route, run_id)
        try:
            await self._app(scope, receive, counted)
        finally:
            meter.end(route, run_id)
