"""Completion callbacks: a POST to each watcher when its run has ended (API facts, callbacks)."""

import asyncio
import ipaddress
from urllib.parse import urlsplit

import httpx

from runs.simulator.clock import iso_or_none
from runs.simulator.errors import ApiError
from runs.simulator.run import SimulatedRun
from runs.simulator.world import World

ATTEMPTS = 4
FIRST_RETRY_S = 0.2  # real seconds, doubled each time: tests wait for these
TIMEOUT_S = 5.0


def check_callback_url(url: object, allow_private: bool) -> str:
    """https and a public host, unless `allow_private`; raises `ApiError` 400."""
    if not isinstance(url, str) or not (parts := urlsplit(url)).hostname:
        raise ApiError(400, "callbackUrl must be a URL")
    if allow_private and parts.scheme in ("http", "https"):
        return url
    if parts.scheme != "https":
        raise ApiError(400, "callbackUrl must use https")
    if _is_private(parts.hostname or ""):
        raise ApiError(400, "callbackUrl must not point to a private network")
    return url


def _is_private(host: str) -> bool:
    """By the look of the name only: nothing is resolved here."""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


class Callbacks:
    """Waits for runs to end on behalf of their watchers. Lives as long as the app serves."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._client: httpx.AsyncClient | None = None  # made when first needed: it is slow to make

    def add(self, run: SimulatedRun, url: str) -> None:
        """May be called from any thread."""
        self._loop.call_soon_threadsafe(self._begin, run, url)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _begin(self, run: SimulatedRun, url: str) -> None:
        task = self._loop.create_task(self._call_when_ended(run, url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call_when_ended(self, run: SimulatedRun, url: str) -> None:
        world = self._world
        while not run.ended(world.now_ms()):
            await world.clock.pause(run.end_ms)
        body = {
            "runId": run.id,
            "agentId": run.facts.agent_id,
            "status": run.status(world.now_ms()),
            "completedAt": iso_or_none(run.end_ms),
        }
        for attempt in range(ATTEMPTS):
            if await self._delivered(url, body):
                return
            await asyncio.sleep(FIRST_RETRY_S * 2**attempt)

    async def _delivered(self, url: str, body: dict[str, str | None]) -> bool:
        """False asks for another try: no answer, 408, 429 or 5xx. Other answers are final."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        try:
            response = await self._client.post(url, json=body)
        except httpx.HTTPError:
            return False
        return response.status_code < 500 and response.status_code not in (408, 429)
