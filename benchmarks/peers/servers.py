"""A server in processes of its own, which are gone when it is told to end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import httpx

from benchmarks.processes import memory
from dashboard.processes import tie_to_parent
from tests import environment
from tests.product import descendants, is_alive

TO_END = 15.0  # seconds to end by itself
TO_BE_GONE = 30.0  # seconds after a kill
SHOWN = 15  # last lines of a server that did not start
PR_SET_CHILD_SUBREAPER = 36
# Nothing listens there: whoever wants another host is told so at once.
NOWHERE = "http://127.0.0.1:9"


def adopt_orphans() -> None:
    """From now on what a server leaves behind is a child of this process, and so is ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(pids: Iterable[int]) -> None:
    """Kill what is alive of `pids`, and wait for those that are ours."""
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


@cache
def cores() -> tuple[set[int], set[int]]:
    """The servers' and the browser's, as it is when first asked. The same, if there is one."""
    there = sorted(os.sched_getaffinity(0))
    return {there[0]}, {there[-1]}


def surroundings() -> dict[str, str]:
    """The environment of a server: none of our settings, and no way out of this machine."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    around = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return environment.bare() | proxies | around | {"DO_NOT_TRACK": "true"}


class Server:
    """Starts at once. `settings` come on top of `surroundings`; output goes to `folder`/log."""

    def __init__(
        self, words: Sequence[str], folder: Path, settings: dict[str, str], cwd: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        tie, (core, _) = tie_to_parent(os.getpid()), cores()

        def prepare() -> None:
            tie()
            os.sched_setaffinity(0, core)

        with self.log.open("wb") as lines:
            self.process = subprocess.Popen(
                words,
                cwd=cwd or folder,
                env=surroundings() | settings,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
                preexec_fn=prepare,
            )

    def wait(self, url: str, seconds: float) -> None:
        """Until `url` is answered with 200; RuntimeError if it is not."""
        until(lambda: self._answers(url), seconds, f"{url} to answer")

    def _answers(self, url: str) -> bool:
        if self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-SHOWN:]
            raise RuntimeError("\n".join(["a server ended by itself:", *lines]))
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def pids(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    @property
    def memory(self) -> float:
        """Megabytes of all its processes, where what is shared counts by its share (PSS)."""
        return sum(memory(pid)[1] for pid in self.pids) / 2**20

    def end(self) -> None:
        pids = self.pids
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TO_END)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(is_alive, pids)), TO_BE_GONE, f"the end of {pids}")


def until(ask: Callable[[], bool], seconds: float, what: str, every: float = 0.05) -> None:
    """TimeoutError if `ask` does not say yes within `seconds`."""
    give_up_at = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)
