"""Streams that are cut, a web process that is killed, a thousand who come back at once (I12)."""

import asyncio
import datetime as dt
import json
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
from django.utils import timezone

from dashboard.processes import tie_to_parent
from runs import notices, outlines
from runs.models import Poll, Run, Step
from tests.chaos.rows import Cases
from tests.conftest import signed_in
from tests.eventstream import EventStream
from tests.factories import make_run, make_steps
from tests.markup import words
from tests.product import ROOT, free_port, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]
# Cases between two comparisons with a page that is loaded then: of what follows at once, and of
# what follows every two seconds.
COMPARED_EVERY = {"timeline": 5, "result": 25}
HOUR = dt.timedelta(hours=1)
ENDS_EVERY = 50  # cases in which a run comes to its end

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


# The parts of a page that a stream brings, by the id of their root; the lines of steps beside them.
PARTS = ("run-head", "run-facts", "run-tabs", "run-result")


class Reader:
    """What a page of `tab` would show: the latest piece for each of its parts, by id, and the
    version that it goes on from."""

    def __init__(self, web: Web, run: Run, client: Client, tab: str) -> None:
        self.web, self.run, self.client, self.tab = web, run, client, tab
        self.load()

    def load(self) -> None:
        """A page that is loaded now."""
        page = fresh_page(self.client, self.run, self.tab)
        self.version, self.parts, self.is_again = self.run.version, page, False

    def listen(self, until_version: int | None, chance: Random, *, is_hasty: bool = False) -> None:
        """Until that version is here with what follows slowly, which who is hasty does not wait
        for; None: until the connection is cut at some moment."""
        with EventStream(self._address(), self.client) as stream:
            self.is_again = True
            if until_version is None:
                time.sleep(chance.random() * chance.choice((0.02, 0.05, 0.2)))
            else:
                stream.until(lambda it: self._has_all(it, until_version, is_hasty), 120)
        self._take(stream)

    def _address(self) -> str:
        again = "&again=1" if self.is_again else ""
        asked = f"since={self.version}&tab={self.tab}{again}"
        return f"{self.web.url}/runs/{self.run.run_id}/live/?{asked}"

    def _has_all(self, stream: EventStream, version: int, is_hasty: bool) -> bool:
        """The result follows slowly, with the strip, which comes whenever a page was away."""
        has_slow = is_hasty or self.tab != "result" or "run-strip" in stream.html
        return has_slow and max(self.version, _last_version(stream)) >= version

    def _take(self, stream: EventStream) -> None:
        for event in stream.named("change"):
            self.parts |= parts_of(event.text)
            if event.id:
                assert int(event.id) >= self.version, "a version went back"
                self.version = int(event.id)


def _last_version(stream: EventStream) -> int:
    return max([int(event.id) for event in stream.named("change") if event.id], default=0)


def parts_of(markup: str) -> dict[str, str]:
    """Words of each part and of each step's line in `markup`, and what says how it stands: its
    version and its classes. Clocks are left out, which a page counts on by itself."""
    markup = re.sub(r"(<[^>]*data-since=[^>]*>)[^<]*", r"\1", markup)
    lines = re.findall(r'<li id="(s\d+)"([^>]*)>(.*?)</li>', markup, re.DOTALL)
    found = {name: f"{_marks(attributes)} {words(inner)}" for name, attributes, inner in lines}
    for name in PARTS:
        if part := _alone(markup, name):
            found[name] = words(part)
    return found


def _marks(attributes: str) -> str:
    told = re.findall(r'(?:class|data-version)="([^"]*)"', attributes)
    return " ".join(told)


def _alone(markup: str, name: str) -> str:
    """The last element `name`, from its beginning to its end; "" if there is none."""
    begins = [*re.finditer(rf'<(\w+) id="{name}"', markup)]
    if not begins:
        return ""
    rest, depth = markup[begins[-1].start() :], 0
    for edge in re.finditer(rf"<(/?){begins[-1][1]}\b", rest):
        depth += -1 if edge[1] else 1
        if depth == 0:
            return rest[: edge.start()]
    raise AssertionError(f"{name} does not end")


def fresh_page(client: Client, run: Run, tab: str) -> dict[str, str]:
    """The parts of a page of `tab` that is loaded now."""
    address = f"/runs/{run.run_id}/" + ("" if tab == "timeline" else f"{tab}/")
    return parts_of(client.get(address).content.decode())


def change(run: Run, steps: int, **fields: object) -> None:
    """What a poll does: its run is not late."""
    now = timezone.now()
    due_at = None if "completed_at" in fields else now + HOUR
    run.version += 1
    if steps:
        make_steps(run, steps)
    Poll.objects.filter(run=run).update(last_ok_at=now, last_tried_at=now, due_at=due_at)
    Run.objects.filter(pk=run.pk).update(version=run.version, **fields)
    notices.publish([notices.Notice(run.pk, run.version)])


def change_anything(run: Run, chance: Random) -> None:
    """Steps come, one that is there is answered anew, and the run's cost and result grow."""
    fields: dict[str, object] = {}
    known = run.steps.count()
    if known and chance.random() < 0.6:
        position = chance.randrange(1, known + 1)
        output = json.dumps(f"Found {chance.randrange(10**6)} pages.")
        run.steps.filter(position=position).update(
            tool_output=output,
            content=f"Told anew, {chance.randrange(10**6)}.",
            changed_version=run.version + 1,
        )
        outlines.rebuild(run, judge=True)
    if chance.random() < 0.5:
        fields["cost_micros"] = (run.cost_micros or 0) + chance.randrange(1, 10**5)
        run.cost_micros = fields["cost_micros"]  # type: ignore[assignment]
    if chance.random() < 0.3:
        fields["output"] = f"So far {chance.randrange(10**6)} clauses."
    change(run, chance.randrange(3), **fields)


def end(run: Run) -> None:
    change(run, 1, status="completed", completed_at=timezone.now(), output="All clauses.")


@pytest.mark.row("cuts")
def test_whoever_is_cut_off_at_any_moment_sees_what_a_fresh_page_shows(
    web: Web, cases: Cases, viewer: User
) -> None:
    client = signed_in(viewer)
    readers: list[Reader] = []
    for case in cases:
        if case.number % 100 == 99:
            web.kill()
            web.start()
        if not readers:  # a page of a long run shows a window, so a new one begins
            run = make_run("running", run_id=f"run_live_{case.number}", step_count=0)
            readers = [Reader(web, run, client, tab) for tab in COMPARED_EVERY]
        change_anything(run, case.chance)
        for reader in readers:
            reader.listen(None, case.chance)
        is_end = case.number % ENDS_EVERY == ENDS_EVERY - 1
        if is_end:
            end(run)
        for reader in readers:
            if case.number % COMPARED_EVERY[reader.tab] == COMPARED_EVERY[reader.tab] - 1:
                reader.listen(run.version, case.chance, is_hasty=True)
                reader.listen(run.version, case.chance)
                _compare_with_fresh_page(reader)
        if is_end:
            readers = []


def _compare_with_fresh_page(reader: Reader) -> None:
    page = fresh_page(reader.client, reader.run, reader.tab)
    wanted = PARTS if reader.tab == "result" else PARTS[:3]
    assert page.keys() >= {*wanted}
    if reader.tab == "timeline":
        steps = {f"s{step.position}" for step in Step.objects.filter(run=reader.run)}
        assert steps <= page.keys(), "a fresh page shows a window"
    differing = {
        name: (reader.parts.get(name), page.get(name))
        for name in page | reader.parts
        if reader.parts.get(name) != page.get(name)
    }
    assert not differing, f"I12, on {reader.tab}: {differing}"


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
