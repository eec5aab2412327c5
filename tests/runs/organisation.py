"""Case.dev's list of runs, as a test wants it."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import httpx

from runs import discovery
from runs.models import Discovery, Run
from tests.runs.answers import client_of, reply

START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


class Org:
    """Case.dev's list of `count` runs, newest first; a cursor is the last run of a page."""

    def __init__(self, count: int = 0, page: int = 1000) -> None:
        self.count, self.page = count, page
        self.requests: list[str] = []
        self.agents_asked: list[str] = []
        self.spoil: Callable[[str], httpx.Response | None] = lambda cursor: None
        self.client = client_of(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if "/agents" in request.url.path:
            self.agents_asked.append(request.url.path)
            return reply({"agents": [], "hasMore": False})
        if request.url.path.endswith("/details"):
            return reply({"message": "No such run"}, 404)
        cursor = request.url.params.get("cursor", "")
        self.requests.append(cursor)
        if spoiled := self.spoil(cursor):
            return spoiled
        before = int(cursor.removeprefix("run_")) if cursor else self.count
        size = min(self.page, int(request.url.params["limit"]))
        numbers = range(before - 1, max(before - 1 - size, -1), -1)
        more = bool(numbers) and numbers[-1] > 0
        return reply(
            {
                "runs": [listed(number) for number in numbers],
                "hasMore": more,
                "nextCursor": f"run_{numbers[-1]}" if more else None,
            }
        )

    def discover(self) -> bool:
        """One turn, at once."""
        Discovery.objects.update(due_at=None)
        return discovery.discover_due(self.client)

    def discover_all(self, turns: int = 50) -> None:
        for _ in range(turns):
            if not self.discover():
                return
        raise AssertionError("the walk does not end")


def listed(number: int, **fields: Any) -> dict[str, Any]:
    created = (START + dt.timedelta(minutes=number)).isoformat()
    return {
        "id": f"run_{number}",
        "agentId": "agent_x",
        "status": "running",
        "prompt": "Review",
        "model": None,
        "createdAt": created,
        "startedAt": created,
        "completedAt": None,
    } | fields


def walk() -> Discovery:
    return Discovery.objects.get()


def stored() -> set[int]:
    return {
        int(run_id.removeprefix("run_")) for run_id in Run.objects.values_list("run_id", flat=True)
    }
