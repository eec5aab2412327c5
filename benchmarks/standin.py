"""Case.dev for benchmarks: answers as fast as it can, so that what is measured is the asking.

`python -m benchmarks.standin` prints its port. A run named `run_<number>_<steps>` has so many
small steps; with each tenth request of Runsheet another one comes.
"""

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks import bodies
from dashboard.processes import tie_to_parent

STEP_BYTES = 300
EVERY = 10  # requests from one change of a run to the next
ROOT = Path(__file__).resolve().parent.parent


class Api:
    """The ASGI application."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        is_ours = (b"user-agent", b"runsheet") in scope["headers"]
        body = self._answer(scope["path"], is_ours)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str, is_ours: bool) -> bytes:
        words = path.split("/")
        if words[-1] != "details":
            return b'{"runs":[],"agents":[],"hasMore":false}'
        run_id = words[-2]
        _, number, steps = run_id.split("_")
        self.asked[run_id] += is_ours
        # The runs do not change all at once, and none begins with more steps than it is named for.
        changes = (self.asked[run_id] + int(number) % EVERY) // EVERY
        return _body(run_id, int(steps) + changes)


@lru_cache(maxsize=20_000)
def _body(run_id: str, steps: int) -> bytes:
    return bodies.details(run_id, _steps(steps))


@lru_cache(maxsize=1_000)
def _steps(count: int) -> list[str]:
    return bodies.json_steps(count, STEP_BYTES)


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
