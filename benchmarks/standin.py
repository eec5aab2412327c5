"""Case.dev for benchmarks: answers as fast as it can, so that what is measured is the asking.

`python -m benchmarks.standin` prints its port. A run named `run_<number>_<steps>` has so many
small steps, `run_<number>_<steps>_<bytes>` steps of that size; with each tenth request of Runsheet
another one comes. `/arrivals` tells when Runsheet asked about each run.
"""

import http.client
import os
import socket
import subprocess
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn

from benchmarks import bodies
from dashboard.processes import tie_to_parent

STEP_BYTES = 300
EVERY = 10  # requests from one change of a run to the next
ROOT = Path(__file__).resolve().parent.parent


class Api:
    """The ASGI application."""

    def __init__(self) -> None:
        # By the clock, in seconds, each run's.
        self.arrivals: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        is_ours = (b"user-agent", b"runsheet") in scope["headers"]
        told = self._answer(scope["path"], is_ours)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(told))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})

    def _answer(self, path: str, is_ours: bool) -> bytes:
        if path == "/arrivals":
            return msgspec.json.encode({run: list(at) for run, at in self.arrivals.items()})
        words = path.split("/")
        if words[-1] != "details":
            return b'{"runs":[],"agents":[],"hasMore":false}'
        run_id = words[-2]
        _, number, steps, *size = run_id.split("_")
        arrivals = self.arrivals[run_id]
        if is_ours:
            arrivals.append(time.time())
        # The runs do not change all at once, and none begins with more steps than it is named for.
        changes = (len(arrivals) + int(number) % EVERY) // EVERY
        return body(run_id, int(steps) + changes, int(size[0]) if size else STEP_BYTES)


@lru_cache(maxsize=20_000)
def body(run_id: str, steps: int, size: int = STEP_BYTES) -> bytes:
    return bodies.details(run_id, _steps(steps, size))


@lru_cache(maxsize=1_000)
def _steps(count: int, size: int) -> list[str]:
    return bodies.json_steps(count, size)


def arrivals(url: str) -> dict[str, list[float]]:
    """When each run was asked about by Runsheet, in seconds since 1970."""
    told = b"".join(_pieces(url, "/arrivals"))
    return msgspec.json.decode(told, type=dict[str, list[float]])


def prepare(url: str, run_id: str) -> int:
    """Have the answer about a run made before it is asked for; its bytes, none of which stay."""
    return sum(map(len, _pieces(url, f"/agent/v1/run/{run_id}/details")))


def _pieces(url: str, path: str) -> Iterator[bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        while piece := answer.read(65_536):
            yield piece
    finally:
        connection.close()


@contextmanager
def serving(core: int | None = None) -> Iterator[str]:
    """The base URL of a stand-in in a process of its own, on `core` alone if there is one."""
    words = [sys.executable, "-m", "benchmarks.standin"]
    child = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=tie_to_parent(os.getpid())
    )
    try:
        if core is not None:
            os.sched_setaffinity(child.pid, {core})
        assert child.stdout is not None
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.kill()
        child.wait()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(Api(), log_config=None, access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
