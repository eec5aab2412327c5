"""What tests of the poller share: Case.dev as a test wants it, due runs, their places."""

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from django.db import connection
from django.utils import timezone

from runs import poller
from runs.casedev.client import Answer
from runs.claims import Claim, claim
from runs.models import Poll, Run
from tests.factories import make_run
from tests.runs.answers import client_of, details, reply

NOW = timezone.now()
MINUTE = dt.timedelta(minutes=1)


class Api:
    """Case.dev, as a test wants it: `says` by run id, or for all; counts what it is asked."""

    def __init__(self, says: Any = None) -> None:
        self.for_all = says
        self.says: dict[str, Any] = {}
        self.asked: list[str] = []
        self.listed: Any = {"runs": [], "hasMore": False}
        self.client = client_of(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        *_, run_id, what = request.url.path.split("/")
        if what != "details":
            self.asked.append("list")
            return self.listed if isinstance(self.listed, httpx.Response) else reply(self.listed)
        self.asked.append(run_id)
        said = self.says.get(run_id, self.for_all)
        said = said(run_id) if callable(said) else said
        return said if isinstance(said, httpx.Response) else reply(said)

    def poll(self, most: int = poller.BATCH) -> int:
        return poller.poll_due(most, self.client)


def now_details(run_id: str, **fields: Any) -> bytes:
    return details(id=run_id, createdAt=timezone.now().isoformat(), **fields)


def due_run(status: str = "running", **fields: Any) -> Run:
    """A run that has been due for a second, never polled."""
    fields = {"poll_due_at": timezone.now() - dt.timedelta(seconds=1), "poll_last_ok_at": None} | (
        fields
    )
    return make_run(status, version=0, step_count=0, **fields)


def make_due(*runs: Run, **fields: Any) -> None:
    moment = timezone.now() - dt.timedelta(seconds=1)
    Poll.objects.filter(pk__in=[run.pk for run in runs]).update(due_at=moment, **fields)


def poll_of(run: Run) -> Poll:
    return Poll.objects.get(pk=run.pk)


def wait_of(run: Run) -> float:
    """Seconds from the last word until the next poll."""
    poll = poll_of(run)
    said = max(filter(None, (poll.last_ok_at, poll.last_error_at)))
    assert poll.due_at
    return (poll.due_at - said).total_seconds()


def claim_of(run: Run) -> Claim:
    return claim(timezone.now(), 1, only=run.pk)[0]


def answer(body: bytes) -> Answer:
    return Answer(body, timezone.now())


def in_threads(count: int, act: Callable[[], Any]) -> list[Any]:
    """`act` at the same moment in many threads, each with its own connection."""
    barrier = threading.Barrier(count)

    def go() -> Any:
        barrier.wait()
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return [one.result() for one in [threads.submit(go) for _ in range(count)]]


class RecordedStatements:
    """The SQL of this thread's connection, while the block lasts."""

    def __enter__(self) -> list[str]:
        self._statements: list[str] = []

        def record(execute: Any, sql: str, *rest: Any) -> Any:
            self._statements.append(sql)
            return execute(sql, *rest)

        self._wrapper = connection.execute_wrapper(record)
        self._wrapper.__enter__()
        return self._statements

    def __exit__(self, *_: object) -> None:
        self._wrapper.__exit__(None, None, None)
