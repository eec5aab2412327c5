"""The simulator served to tests on a free loopback port."""

import logging
import socket
import threading
import time
from dataclasses import fields
from typing import Any, Self

import uvicorn

from runs.simulator.app import create_app
from runs.simulator.clock import Clock, ManualClock
from runs.simulator.faults import Fault
from runs.simulator.run import SimulatedRun
from runs.simulator.world import SimulatorConfig, World

START_TIMEOUT_S = 10.0
KEY = "sk_case_test_0000"


class _NotIntended(logging.Filter):
    """Passes what went wrong, and not what a fault or an open stream was meant to do."""

    INTENDED = ("ASGI callable returned without completing response", "Cancel %s running task(s)")

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self.INTENDED)


_not_intended = _NotIntended()


def serve_quietly(uvicorn_config: uvicorn.Config) -> uvicorn.Server:
    """A server that keeps silent about the connections that faults make it drop."""
    logging.getLogger("uvicorn.error").addFilter(_not_intended)
    return uvicorn.Server(uvicorn_config)


class SimulatorServer:
    """Context manager around a served world.

    Keywords are those of `SimulatorConfig`; `manual=True` stops the clock until `advance`.
    Callbacks to loopback are allowed here.

        with SimulatorServer(speed=20) as simulator:
            run = simulator.world.start("nda_review")
            httpx.get(f"{simulator.url}/agent/v1/run/{run.id}/details", headers=simulator.headers)
    """

    def __init__(self, *, manual: bool = False, clock: Clock | None = None, **options: Any) -> None:
        unknown = options.keys() - {field.name for field in fields(SimulatorConfig)}
        if unknown:
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        config = SimulatorConfig(**{"allow_private_callbacks": True} | options)
        clock = clock or (ManualClock() if manual else None)
        self.world = World(config, clock)
        self.key = config.key or KEY
        self.headers = {"authorization": f"Bearer {self.key}"}
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = serve_quietly(
            uvicorn.Config(
                create_app(world=self.world),
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if time.monotonic() > give_up_at or not self._thread.is_alive():
                raise RuntimeError("the simulator did not start")
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(START_TIMEOUT_S)
        self._socket.close()

    # Shortcuts, so that a test reads well

    def start(self, script: str | None = None, **options: Any) -> SimulatedRun:
        return self.world.start(script, **options)

    def fault(self, kind: str = "status", **options: Any) -> Fault:
        return self.world.fault(kind, **options)

    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)
