"""Keeps a set of processes running, and ends all of them.

Each part runs in a session of its own, so that Ctrl-C in a terminal reaches only the supervisor,
which then ends the parts in order. A part that dies by itself is started again, later each time.
On Linux the kernel kills every part when the supervisor is gone, however it went.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from runs.watchdog import LOOK_EVERY as WATCH_EVERY
from runs.watchdog import Watch

LONGEST_LINE = 65_536  # bytes; a longer one is printed in pieces
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a dead part is started again
STEADY_AFTER = 30.0  # seconds of life after which a death counts as the first one
HOPELESS_AFTER = 3  # deaths of a part before it was ever ready
LOOK_EVERY = 0.03  # seconds between two looks whether a part is ready
PATIENCE = 7.0  # seconds that parts get to end by themselves

PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class Hopeless(Exception):
    """A part died again and again before it was ready."""


def tie_to_parent(parent: int, end: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """What a new child runs before its program, to be sent `end` when `parent` dies.

    Start such children from the parent's main thread: the kernel looks at the thread.
    """

    def tie() -> None:
        if _prctl is not None:
            _prctl(PR_SET_PDEATHSIG, int(end))
            if os.getppid() != parent:  # it died meanwhile
                os.kill(os.getpid(), end)

    return tie


@dataclass(eq=False)
class Part:
    """One process of the set. `is_ready` is asked until it says yes."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]] | None = None
    is_suspect: Callable[[], Awaitable[bool]] | None = None  # alive, but is it of use?
    pass_fds: tuple[int, ...] = ()
    stops_last: bool = False  # for what others need while they end
    hushed: str = ""  # lines that hold this are not passed on
    deaths: int = field(default=0, init=False)
    running: asyncio.subprocess.Process | None = field(default=None, init=False)

    def send(self, which: signal.Signals) -> None:
        if self.running is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.running.pid, which)


class Supervisor:
    """`say` gets the name of a part and one line of its output, or of ours about it."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self.say = say
        self.parts: dict[Part, asyncio.Task[None]] = {}
        self.stopping = asyncio.Event()
        self.at_once = asyncio.Event()

    def heed_signals(self) -> None:
        """The first signal stops the set in order, a second one at once."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.ask_to_stop)
        loop.add_signal_handler(signal.SIGTERM, self.ask_to_stop)
        # Under nohup it is ignored, and shall stay so.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self.ask_to_stop)

    def ask_to_stop(self) -> None:
        if self.stopping.is_set():
            self.at_once.set()
        self.stopping.set()

    def start(self, part: Part) -> None:
        self.parts[part] = asyncio.create_task(self._keep(part))

    async def ready(self, part: Part) -> bool:
        """Wait until `part` is ready; False if the set is asked to stop meanwhile.

        Raises Hopeless if it dies HOPELESS_AFTER times first.
        """
        while not self.stopping.is_set():
            if part.deaths >= HOPELESS_AFTER:
                raise Hopeless(part.name)
            if part.running and (part.is_ready is None or await part.is_ready()):
                return True
            await self._pause(LOOK_EVERY)
        return False

    async def stop(self) -> None:
        """End every part: those that others need last, and all within some seconds."""
        self.stopping.set()
        until = time.monotonic() + PATIENCE
        for last in (False, True):
            stage = {part: task for part, task in self.parts.items() if part.stops_last is last}
            for part in stage:
                part.send(signal.SIGTERM)
            await self._ended(list(stage.values()), until)
            for part in stage:
                part.send(signal.SIGKILL)
            await asyncio.gather(*stage.values(), return_exceptions=True)

    async def _ended(self, tasks: list[asyncio.Task[None]], until: float) -> None:
        """Return when all `tasks` are done, at `until`, or when somebody has no patience."""
        hurry = asyncio.create_task(self.at_once.wait())
        waiting = set(tasks)
        while waiting and not hurry.done() and (left := until - time.monotonic()) > 0:
            done, _ = await asyncio.wait(
                {*waiting, hurry}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            waiting -= done
        hurry.cancel()

    async def _keep(self, part: Part) -> None:
        while not self.stopping.is_set():
            born = time.monotonic()
            ending = await self._run(part)
            if self.stopping.is_set():
                return
            part.deaths = 1 if time.monotonic() - born > STEADY_AFTER else part.deaths + 1
            pause = min(FIRST_PAUSE * 2 ** (part.deaths - 1), LONGEST_PAUSE)
            self.say("runsheet", f"{part.name} {ending}; it is started again in {pause:g} s")
            await self._pause(pause)

    async def _run(self, part: Part) -> str:
        """Start `part` once, pass its output on, and say how it ended."""
        try:
            running = await asyncio.create_subprocess_exec(
                *part.command,
                env=part.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=part.pass_fds,
                start_new_session=True,
                preexec_fn=tie_to_parent(os.getpid()),
            )
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        part.running = running
        if self.stopping.is_set():  # asked while the process was being made
            part.send(signal.SIGTERM)
        assert running.stdout is not None
        talk = asyncio.create_task(self._pass_on(part, running.stdout))
        watch = asyncio.create_task(self._watch(part))
        try:
            code = await running.wait()
            part.send(signal.SIGKILL)  # to anything that it left in its session
            await talk
        finally:
            watch.cancel()
            part.running = None
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    async def _watch(self, part: Part) -> None:
        """Kill `part` once it has been of no use for long; what hangs does not heed a request."""
        watch = Watch()
        while part.is_suspect is not None:
            await asyncio.sleep(WATCH_EVERY)
            suspect = await part.is_suspect() and not self.stopping.is_set()
            if watch.has_seen_enough(time.monotonic(), is_suspect=suspect):
                self.say("runsheet", f"{part.name} is alive and does nothing; it is ended")
                part.send(signal.SIGKILL)
                return

    async def _pass_on(self, part: Part, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._say_for(part, line)
        if rest:
            self._say_for(part, rest)

    def _say_for(self, part: Part, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if self.stopping.is_set() or (part.hushed and part.hushed in text):
            return  # each part's own farewell is of no interest
        self.say(part.name, text)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
