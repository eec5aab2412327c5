"""A thousand open streams on one run, of a thousand people, beside a thousand of a bare ASGI
application."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from benchmarks.figures import LINEAR, Bench, Figure, Growth, Result, quantile, ratio, value
from dashboard.processes import tie_to_parent
from runs import notices, outlines
from runs.models import Poll, Run, Step

OURS = "benchmarks.counted:application"
STREAMS, QUICK_STREAMS = 1_000, 200
FEW_STREAMS = (1, 10, 100)
PEOPLE, QUICK_PEOPLE = (
    500,
    20,
)  # each with an account and a session; more streams than these share them evenly
CHANGES, FEW_CHANGES = 10, 3
PAUSE = 2.0  # seconds between two changes


class Server:
    """uvicorn in a process of its own."""

    def __init__(self, application: str, **settings: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", application, "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--log-level", "warning", "--no-access-log"],
            env=os.environ | {"MALLOC_ARENA_MAX": "2"} | settings,  # as `manage.py up` starts it
            preexec_fn=tie_to_parent(os.getpid()),
        )

    def wait(self) -> None:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("the server does not listen")

    @property
    def memory(self) -> int:
        """Bytes resident."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Watcher:
    """Open streams, and when each change came to each: `sign` is in what tells of one, and in
    nothing else that comes."""

    def __init__(self, sign: bytes) -> None:
        self.sign = sign
        self.arrived: list[float] = []
        self.since = float("inf")
        self.tasks: list[asyncio.Task[None]] = []
        self.opened = 0
        # One thread, and so one connection to the database, of which it is known that it is ours.
        self.thread = ThreadPoolExecutor(1)

    async def in_thread[T](self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, act)

    async def open(self, port: int, path: str, cookies: Sequence[str], number: int) -> None:
        for _ in range(number):
            cookie = cookies[len(self.tasks) % len(cookies)]
            self.tasks.append(asyncio.create_task(self._read(port, path, cookie)))
            if len(self.tasks) % 50 == 0:
                await asyncio.sleep(0.2)
        async with asyncio.timeout(300):
            while self.opened < len(self.tasks):  # noqa: ASYNC110 - a benchmark may look
                await asyncio.sleep(0.1)
        await asyncio.sleep(3)

    async def _read(self, port: int, path: str, cookie: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = (f"GET {path} HTTP/1.1", "Host: localhost", "Accept: text/event-stream")
        writer.write("\r\n".join([*lines, f"Cookie: {cookie}", "", ""]).encode())
        status = await reader.readline()
        if b" 200 " not in status:
            raise ConnectionError(status)
        self.opened += 1
        has_told, end = float("-inf"), b""
        while read := await reader.read(65_536):
            has_come = self.sign in end + read
            end = read[1 - len(self.sign) :]
            if has_come and has_told < self.since <= (now := time.monotonic()):
                has_told = now
                self.arrived.append(now - self.since)

    async def spread(self, change: Callable[[], object]) -> list[float]:
        """Milliseconds from a change to its coming, each stream's."""
        self.arrived, self.since = [], time.monotonic()
        await self.in_thread(change)
        async with asyncio.timeout(60):
            while len(self.arrived) < len(self.tasks):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.02)
        await asyncio.sleep(PAUSE)
        self.since = float("inf")
        return [seconds * 1000 for seconds in self.arrived]


def measure(bench: Bench) -> Iterator[Result]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    call_command("collectstatic", interactive=False, verbosity=0)
    run = _ground()
    cookies = sessions(QUICK_PEOPLE if bench.quick else PEOPLE)
    connection.close()
    path = f"/runs/{run.run_id}/live/?since={run.version}"

    def ours_over(processes: int, number: int, changes: int) -> Spread:
        change = lambda _: step(run)  # noqa: E731
        return asyncio.run(_spread(OURS, processes, number, path, cookies, change, changes))

    few = FEW_STREAMS if bench.quick else (*FEW_STREAMS, 2 * STREAMS)
    points = [(number, quantile(ours_over(1, number, FEW_CHANGES).times, 0.99)) for number in few]
    streams = QUICK_STREAMS if bench.quick else STREAMS
    for processes, number in ((1, streams), (2, 2 * streams)):
        floor = asyncio.run(
            _spread("benchmarks.bare:application", processes, number, "/", [""], _tick, CHANGES)
        )
        ours = ours_over(processes, number, CHANGES)
        points += [(number, quantile(ours.times, 0.99))] if processes == 1 else []
        yield from _figures(processes, number, ours, floor)
    yield Growth(
        what="a change to all streams, p99",
        by="streams",
        unit="ms",
        points=tuple(sorted(points)),
        at_most=LINEAR,
    )


def _figures(processes: int, number: int, ours: "Spread", floor: "Spread") -> Iterator[Figure]:
    servers = f"{processes} process{'es' * (processes > 1)}"
    yield Figure(
        what=f"a change to {number:,} streams over {servers}, p99",
        ours=quantile(ours.times, 0.99),
        floor=quantile(floor.times, 0.99),
        floor_is="bare ASGI",
        targets=(value(150.0), ratio(4.0)),
    )
    yield Figure(
        what=f"memory a stream, {number:,} streams",
        ours=ours.memory,
        unit="kB",
        floor=floor.memory,
        floor_is="bare ASGI",
        targets=(value(48.0),),
    )
    if ours.rendered is not None:
        yield Figure(
            what=f"how often a process rendered a change for {number:,} streams, {servers}",
            ours=ours.rendered,
            unit="",
            targets=(value(1.0),),
        )
    if ours.connections is not None:
        yield Figure(
            what=f"most connections to the database, {number:,} streams, {servers}",
            ours=ours.connections,
            unit="",
            targets=(value(20.0 * processes),),
        )


class Spread(NamedTuple):
    """`times` from a change to a stream, in milliseconds; `memory` in kilobytes a stream;
    `connections` to PostgreSQL at most, but for those of this process; `rendered` by a process a
    change, on average."""

    times: list[float]
    memory: float
    connections: int | None
    rendered: float | None


async def _spread(
    application: str,
    processes: int,
    number: int,
    path: str,
    cookies: Sequence[str],
    change: Callable[[list[int]], object],
    changes: int,
) -> Spread:
    servers = [Server(application) for _ in range(processes)]
    watcher = Watcher(b"\nid: " if application == OURS else b"data: ")
    try:
        for server in servers:
            server.wait()
            await watcher.open(server.port, path, cookies, 1)
        before = sum(server.memory for server in servers)
        for server in servers:
            await watcher.open(server.port, path, cookies, number // processes - 1)
        memory = (sum(server.memory for server in servers) - before) / number / 1000
        ports = [server.port for server in servers]
        await watcher.spread(lambda: change(ports))
        times: list[float] = []
        connections: list[int | None] = []
        rendered = -_rendered(ports) if application == OURS else 0
        for _ in range(changes):
            times += await watcher.spread(lambda: change(ports))
            connections.append(await watcher.in_thread(_connections))
        rendered += _rendered(ports) if application == OURS else 0
        return Spread(
            times,
            memory,
            max(filter(None, connections), default=None),
            rendered / changes / processes if application == OURS else None,
        )
    finally:
        for task in watcher.tasks:
            task.cancel()
        for server in servers:
            server.end()
        await watcher.in_thread(lambda: connection.close())


def _connections() -> int | None:
    """Of others to this database; None on SQLite."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def _rendered(ports: list[int]) -> int:
    """Changes, by all the servers so far."""
    told = (httpx.get(f"http://127.0.0.1:{port}/rendered", trust_env=False) for port in ports)
    return sum(int(answer.raise_for_status().text) for answer in told)


def _tick(ports: list[int]) -> None:
    for port in ports:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(
                b"GET /tick HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            connection.recv(1_000)


def _ground() -> Run:
    now = timezone.now()
    run = Run.objects.create(
        run_id="run_streams",
        status="running",
        prompt="Review the agreement.",
        listed_at=now,
        created_at=now,
        started_at=now,
        first_seen_at=now,
        changed_at=now,
        version=1,
    )
    Poll.objects.create(run=run, last_ok_at=now, due_at=now)
    return run


def sessions(number: int) -> list[str]:
    """Cookies of `number` people who are signed in, each with an account."""
    members = Group.objects.get(name="member")
    cookies = []
    for place in range(number):
        user = User.objects.create_user(f"bench{place}")
        user.groups.add(members)
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        cookies.append(f"{name}={client.cookies[name].value}")
    return cookies


def step(run: Run) -> None:
    """What a sync does: a new step under a new version, and a notice."""
    run.version += 1
    run.step_count += 1
    Step.objects.create(
        run=run,
        position=run.step_count,
        type="output",
        content="The clause stands in section 12. " * 20,
        timestamp=timezone.now(),
        changed_version=run.version,
    )
    outlines.rebuild(run)
    Run.objects.filter(pk=run.pk).update(version=run.version, step_count=run.step_count)
    notices.publish([notices.Notice(run.pk, run.version)])
