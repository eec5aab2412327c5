"""Real workers and beats around the test's own database: started, stopped and killed by pid.

The simulator in this process is the ground truth; a Valkey of the rig's own can be killed and
replaced; both are reached through proxies that can be told to fail.
"""

import datetime as dt
import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from dashboard import embedded, valkey
from dashboard.processes import tie_to_parent
from runs import notices
from runs.models import Poll, Run
from runs.simulator.testing import SimulatorServer
from tests import environment
from tests.chaos.proxy import Proxy
from tests.product import ROOT, free_port, is_alive, until

STEP = 0.05


class Worker:
    """One process of the product; `kind` is worker or beat."""

    def __init__(self, kind: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.kind, self.process, self.log = kind, process, log

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, which)

    def end(self, which: signal.Signals = signal.SIGKILL, seconds: float = 90) -> float:
        """Seconds that it took to end."""
        begun = time.monotonic()
        self.send(signal.SIGCONT)
        self.send(which)
        self.process.wait(seconds)
        return time.monotonic() - begun


class Rig:
    """`start(2, 1)`: two workers and a beat. Everything of it is gone when the block ends.
    `shorter`: constants of the product in its workers, in seconds (tests/chaos/tuning.py)."""

    def __init__(
        self, folder: Path, seed: int, shorter: dict[str, float] | None = None, **simulated: Any
    ) -> None:
        self.folder = folder
        self.shorter = shorter or {}
        self.settings: dict[str, str] = {}  # more of them, of what is started from then on
        self.simulator = SimulatorServer(**({"speed": 60.0, "seed": seed} | simulated))
        self.processes: list[Worker] = []
        self._gone: list[Worker] = []
        self.valkey: subprocess.Popen[bytes] | None = None
        self.valkey_port = free_port()
        self.seed = seed
        self._held = ExitStack()
        self._named = 0

    def __enter__(self) -> Self:
        self._held.enter_context(self.simulator)
        target = urlsplit(self.simulator.url)
        api = Proxy((str(target.hostname), int(target.port or 0)), self.seed)
        self.api = self._held.enter_context(api)
        self.start_valkey()
        self.broker = self.new_line()
        self._held.enter_context(_pointed_at(self.redis_url))
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.processes:
            with suppress(subprocess.TimeoutExpired):
                one.end()
        if self.valkey is not None:
            self.valkey.kill()
            self.valkey.wait(10)
        self._held.close()

    # Valkey

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.valkey_port}/0"

    def new_line(self) -> Proxy:
        """A line to Valkey that fails apart from all others."""
        return self._held.enter_context(Proxy(("127.0.0.1", self.valkey_port), self.seed))

    def start_valkey(self, *options: str) -> None:
        """A new and empty server at the same address."""
        command = [*valkey.command(self.folder / f"valkey{self._named}.sock"), *options]
        self._named += 1
        command[command.index("--port") + 1] = str(self.valkey_port)
        self.valkey = subprocess.Popen(
            [*command, "--bind", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=tie_to_parent(os.getpid()),
        )
        until(lambda: valkey.answers(self.redis_url), 60, "Valkey to answer")

    def kill_valkey(self) -> None:
        assert self.valkey is not None
        self.valkey.kill()
        self.valkey.wait(10)
        self.valkey = None

    def ask(self, *words: str) -> Any:
        with redis.Redis(port=self.valkey_port, socket_timeout=5) as client:
            return client.execute_command(*words)

    # Processes

    def start(self, workers: int = 1, beats: int = 1) -> None:
        for _ in range(workers):
            self.launch("worker")
        for _ in range(beats):
            self.launch("beat")

    def launch(self, kind: str, broker: Proxy | None = None) -> Worker:
        """`broker`: its line to Valkey, if not the one that all share."""
        make = {"worker": embedded.worker_part, "beat": embedded.beat_part}[kind]
        part = make(self.environment(broker or self.broker))
        self._named += 1
        log = self.folder / f"{kind}{self._named}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                part.command,
                cwd=ROOT,
                env=part.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=tie_to_parent(os.getpid()),
            )
        self.processes.append(Worker(kind, process, log))
        return self.processes[-1]

    def environment(self, broker: Proxy) -> dict[str, str]:
        known = connection.settings_dict
        own = {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.product_settings",
            "RUNSHEET_CHAOS_NAME": str(known["NAME"]),
            "RUNSHEET_DATA_DIR": str(self.folder),
            "RUNSHEET_EMBEDDED": "1",
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            "CASEDEV_API_KEY": self.simulator.key,
            "CASEDEV_BASE_URL": f"http://127.0.0.1:{self.api.port}",
            "PYTHONPATH": str(ROOT),
            "RUNSHEET_CHAOS_SHORTER": json.dumps(self.shorter),
        }
        if url := os.environ.get("DATABASE_URL"):
            own["DATABASE_URL"] = url
        return environment.bare() | own | self.settings

    def alive(self, kind: str) -> list[Worker]:
        return [one for one in self.processes if one.kind == kind and is_alive(one.pid)]

    def ended(self, kind: str) -> list[Worker]:
        """Those that ended since this was asked last."""
        gone = [one for one in self.processes if one.kind == kind and not is_alive(one.pid)]
        self.processes = [one for one in self.processes if one not in gone]
        self._gone += gone
        return gone

    def log(self) -> str:
        everyone = [*self._gone, *self.processes]
        return "\n".join(one.log.read_text(errors="replace") for one in everyone)

    # Signs

    def polls(self) -> int:
        """How many claims there were."""
        return sum(Poll.objects.values_list("fence", flat=True))

    def wait_for_polls(self, seconds: float, more: int = 1, why: str = "polls to go on") -> float:
        """Seconds until `more` claims ended well."""
        begun, known = time.monotonic(), self.good_polls()

        def have_come() -> bool:
            now = self.good_polls()
            return len([pk for pk in now if now[pk] != known.get(pk)]) >= more

        until(have_come, seconds, why)
        return time.monotonic() - begun

    def good_polls(self) -> dict[int, Any]:
        return dict(Poll.objects.exclude(last_ok_at=None).values_list("pk", "last_ok_at"))

    def in_flight(self) -> bool:
        return bool(self.being_answered())

    def being_answered(self) -> list[str]:
        """Run ids of requests that have come to the simulator and are not answered yet."""
        counts = dict(self.simulator.world.requests._in_flight)
        return [run_id for run_id, count in counts.items() if count > 0]

    def calm(self, seconds: float = 300) -> None:
        """Wait until all that there is to know is known: every run has ended, was read after its
        end, and its late costs have come. Leases of the dead are not waited for."""
        world = self.simulator.world
        until(lambda: all(run.ended(world.now_ms()) for run in world.runs()), seconds, "the end")
        time.sleep(0.5)
        now = timezone.now()
        Poll.objects.exclude(due_at=None).update(due_at=now, leased_until=None)
        until(lambda: Run.objects.count() == len(world.runs()), seconds, "all runs to be found")
        begun = timezone.now()
        Poll.objects.update(leased_until=None)
        until(lambda: _all_were_read(begun), seconds, "each run to be read after its end")


def _all_were_read(since: dt.datetime) -> bool:
    """Whether every run was read after `since` and none is held; what was not is made due.

    Not once for all: a poll under way sets its run's next time at its end, over ours.
    """
    unread = Poll.objects.exclude(last_ok_at__gt=since)
    unread.filter(leased_until=None).update(due_at=since)
    return not unread.exists() and not Poll.objects.exclude(leased_until=None).exists()


class _pointed_at:  # noqa: N801
    """This process's own settings lead to the rig's Valkey while the block lasts."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        self.before = settings.REDIS_URL
        settings.REDIS_URL = self.url
        notices.connection.cache_clear()

    def __exit__(self, *_: object) -> None:
        settings.REDIS_URL = self.before
        notices.connection.cache_clear()
        connections.close_all()
