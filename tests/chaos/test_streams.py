"""Streams that are cut, a web process that is killed, a thousand who come back at once (I12)."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from dashboard.processes import tie_to_parent
from runs import notices
from runs.models import Run, Step
from tests.chaos.rows import Cases
from tests.conftest import signed_in
from tests.eventstream import EventStream
from tests.factories import make_run, make_steps
from tests.product import ROOT, free_port, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]
FRESH_EVERY = 25  # cases between two comparisons with a whole page

SERVE = """
import sys, uvicorn
from dashboard import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
settings.STATIC_ROOT = sys.argv[3]
uvicorn.run("dashboard.asgi:application", port=int(sys.argv[2]), log_level="warning", backlog=2048)
"""


class Web:
    """A web process on this test's database, always at the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        name = str(connection.settings_dict["NAME"])
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"}
        static = str(settings.STATIC_ROOT)
        command = [sys.executable, "-c", SERVE, name, str(self.port), static]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, preexec_fn=tie_to_parent(os.getpid())
        )
        until(self.answers, 180, "the web process")

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    try:
        web.start()
        yield web
    finally:
        web.kill()


class Reader:
    """What a page would show: the lines that came, and the version that it goes on from."""

    def __init__(self, web: Web, run: Run, client: Client) -> None:
        self.web, self.run, self.client = web, run, client
        self.version = run.version
        self.lines: list[str] = []

    def listen(self, until_version: int | None, chance: Random) -> None:
        """Until that version is here; None: until the connection is cut at some moment."""
        if until_version is not None and self.version >= until_version:
            return
        with EventStream(self._address(), self.client) as stream:
            if until_version is None:
                time.sleep(chance.random() * 0.05)
            else:
                stream.until(lambda it: _last_version(it) >= until_version, 120)
        self._take(stream)

    def _address(self) -> str:
        return f"{self.web.url}/runs/{self.run.run_id}/live/?since={self.version}&tab=timeline"

    def _take(self, stream: EventStream) -> None:
        for event in stream.named("change"):
            for line in re.findall(r'<li id="(s\d+)"', event.text):
                if line not in self.lines:
                    self.lines.append(line)
            if event.id:
                assert int(event.id) >= self.version, "a version went back"
                self.version = int(event.id)


def _last_version(stream: EventStream) -> int:
    return max([int(event.id) for event in stream.named("change") if event.id], default=0)


def change(run: Run, steps: int) -> None:
    """What a sync does."""
    run.version += 1
    make_steps(run, steps)
    Run.objects.filter(pk=run.pk).update(version=run.version)
    notices.publish([notices.Notice(run.pk, run.version)])


@pytest.mark.row("cuts")
def test_whoever_is_cut_off_at_any_moment_sees_what_a_fresh_page_shows(
    web: Web, cases: Cases, viewer: User
) -> None:
    client = signed_in(viewer)
    run = make_run("running", run_id="run_live", step_count=0)
    reader = Reader(web, run, client)
    for case in cases:
        if case.number % 100 == 99:
            web.kill()
            web.start()
        change(run, case.chance.randrange(1, 3))
        reader.listen(None, case.chance)
        if case.number % 5 == 4:
            reader.listen(run.version, case.chance)
            known = [f"s{step.position}" for step in Step.objects.filter(run=run)]
            assert sorted(reader.lines) == sorted(known), "I12"
        if case.number % FRESH_EVERY == FRESH_EVERY - 1:
            _compare_with_fresh_page(reader)
        if run.step_count > 150:  # a page of a long run shows a window
            Step.objects.filter(run=run).delete()
            reader.lines.clear()


def _compare_with_fresh_page(reader: Reader) -> None:
    page = reader.client.get(f"/runs/{reader.run.run_id}/").content.decode()
    shown = re.findall(r'<li id="(s\d+)"', page)
    assert set(shown) <= set(reader.lines), "I12: a fresh page shows what the reader lacks"


@pytest.mark.row("reconnects")
def test_a_thousand_are_back_within_thirty_seconds_of_a_killed_web_process(
    web: Web, cases: Cases, viewer: User
) -> None:
    run = make_run("running", run_id="run_live", step_count=0)
    cookie = signed_in(viewer).cookies[settings.SESSION_COOKIE_NAME].value
    for case in cases:
        crowd = Crowd(web, run, cookie, case.chance)
        took = asyncio.run(crowd.lose_and_come_back(1_000))
        cases.within(30, took, "all were back")


class Crowd:
    """Pages as static/js/live.js keeps them: each retries with its own chance."""

    def __init__(self, web: Web, run: Run, cookie: str, chance: Random) -> None:
        self.web, self.run, self.cookie, self.chance = web, run, cookie, chance
        self.connected = 0
        self.back = 0

    async def lose_and_come_back(self, count: int) -> float:
        """Seconds from the kill until all have a stream again that brings what they missed."""
        pages = [asyncio.create_task(self._page(number)) for number in range(count)]
        await self._until(lambda: self.connected == count, 180)
        self.web.kill()
        begun = time.monotonic()
        await asyncio.to_thread(self._change_and_start)
        await self._until(lambda: self.back == count, 180)
        took = time.monotonic() - begun
        await asyncio.gather(*pages)
        return took

    def _change_and_start(self) -> None:
        try:
            change(self.run, 1)
            self.web.start()
        finally:
            connection.close()

    async def _until(self, is_met: "object", seconds: float) -> None:
        assert callable(is_met)
        ends_at = time.monotonic() + seconds
        while not is_met():
            words = f"{self.connected} connected, {self.back} came back"
            assert time.monotonic() < ends_at, words
            await asyncio.sleep(0.05)

    async def _page(self, number: int) -> None:
        version = self.run.version
        await asyncio.sleep(self.chance.random() * 5)
        await self._read(version, first=True)
        failures = 0
        while True:
            failures += 1
            await asyncio.sleep(0.5 * 2 ** min(failures, 3) * (0.5 + self.chance.random()))
            if await self._read(version, first=False):
                self.back += 1
                return

    async def _read(self, version: int, *, first: bool) -> bool:
        """First: until the stream ends. Later: whether the missed version came."""
        place = urlsplit(self.web.url)
        try:
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
        except OSError:
            return False
        try:
            path = f"/runs/{self.run.run_id}/live/?since={version}&tab=timeline"
            head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n"
            head += f"Cookie: {settings.SESSION_COOKIE_NAME}={self.cookie}\r\n\r\n"
            writer.write(head.encode())
            return await self._read_body(reader, version, first)
        except OSError:
            return False
        finally:
            writer.close()

    async def _read_body(self, reader: asyncio.StreamReader, version: int, first: bool) -> bool:
        is_counted = False
        while line := await reader.readline():
            if first and not is_counted and line.startswith(b"event:"):
                is_counted = True
                self.connected += 1
            if not first and line.startswith(b"id:") and int(line[3:]) > version:
                return True
        return False
