"""`manage.py simulate`: serve the simulator of the Case.dev agent API."""

import signal
import socket
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError

from runs.simulator.app import create_app
from runs.simulator.testing import serve_quietly
from runs.simulator.variants import NAMES, VariantError, variant
from runs.simulator.world import SimulatorConfig

BACKLOG = 1024  # a poller may open many connections at once
STATES_ITSELF = "Case.dev simulator on {where}, speed {speed:g}, seed {seed}{demo}"


class Command(BaseCommand):
    help = "Serve a simulator of the Case.dev agent API with scripted runs. Needs no database."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=2728, help="the SDK's own local port")
        parser.add_argument("--uds", help="listen on this Unix socket instead")
        parser.add_argument("--speed", type=float, default=1.0, help="10: runs take a tenth")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--demo", action="store_true", help="history, and new runs for ever")
        parser.add_argument("--state", type=Path, help="remember the runs in this file")
        parser.add_argument("--key", help="accept only this key (default: any sk_case_...)")
        parser.add_argument(
            "--variant",
            action="append",
            default=[],
            metavar="NAME",
            help="one of: " + ", ".join(sorted(NAMES)),
        )
        parser.add_argument("--error-shape", choices=["a", "b", "c"], default="a")
        parser.add_argument("--enforce-rate-limit", type=int, metavar="PER_MINUTE")
        parser.add_argument(
            "--private-callbacks",
            action="store_true",
            help="allow plain http and private hosts as callback URLs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = self._config(options)
        listener = None if options["uds"] else self._listener(options["host"], options["port"])
        where = options["uds"]
        if listener is not None:
            where = f"http://{options['host']}:{listener.getsockname()[1]}"
        demo = ", demo" if config.demo else ""
        line = STATES_ITSELF.format(where=where, speed=config.speed, seed=config.seed, demo=demo)
        self.stdout.write(line)
        self.stdout.flush()
        server = serve_quietly(
            uvicorn.Config(
                create_app(config),
                uds=options["uds"],
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=2,
            )
        )
        # uvicorn raises the signal again once it has shut down; by then it is dealt with.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener] if listener else None)

    def _listener(self, host: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from error

    def _config(self, options: dict[str, Any]) -> SimulatorConfig:
        if options["speed"] <= 0:
            raise CommandError("--speed must be above 0")
        try:
            chosen = variant(options["variant"])
        except VariantError as error:
            raise CommandError(str(error)) from error
        per_minute = options["enforce_rate_limit"]
        return SimulatorConfig(
            seed=options["seed"],
            speed=options["speed"],
            key=options["key"],
            variant=chosen,
            error_shape=options["error_shape"],
            allow_private_callbacks=options["private_callbacks"],
            demo=options["demo"],
            state=options["state"],
            requests_per_minute=per_minute or SimulatorConfig.requests_per_minute,
            enforce_rate_limit=per_minute is not None,
        )
