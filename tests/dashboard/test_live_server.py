"""What open streams ask of the server: one rendering for all, few connections, a quick end."""

import gc
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from dashboard import handler
from dashboard.live.hub import census
from runs.models import Run, Step
from tests.dashboard.streams import change, live
from tests.eventstream import EventStream
from tests.factories import make_steps
from tests.product import ROOT, free_port, until

# One rendering for all -------------------------------------------------------------------------


def test_a_change_is_rendered_once_however_many_look(
    site: str, run: Run, viewer_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.live.streams.TURNS", 25)  # a second for all of them
    streams = [EventStream(live(site, run), viewer_client) for _ in range(25)]
    try:
        for stream in streams:
            stream.__enter__()
            stream.until(lambda it: "run-fresh" in it.html and "site-fresh" in it.html)
        before = census()
        assert before.streams == 25
        change(run, steps=1)
        for stream in streams:
            stream.until(lambda it: 'id="s1"' in it.html)
        # The change itself; at most two more pieces may fall due by the clock meanwhile.
        assert 1 <= census().rendered - before.rendered <= 3
        # What can wait comes to each in its turn, by now from two different states: it is
        # rendered once too, and told apart twice.
        change(run, steps=1)
        for stream in streams:
            stream.until(lambda it: 'id="s2"' in it.html and "run-strip" in it.html)
        assert census().rendered - before.rendered <= 9
    finally:
        for stream in streams:
            stream.close()
    until(lambda: census().streams == 0, 5, "all streams to be freed")
    assert census().runs == 0


def test_a_browser_that_does_not_read_is_sent_the_newest_when_it_does(
    site: str, run: Run, viewer_client: Client
) -> None:
    cookie = viewer_client.cookies[django_settings.SESSION_COOKIE_NAME]
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(3)
        slow.connect(("127.0.0.1", int(site.rpartition(":")[2])))
        slow.sendall(
            f"GET /runs/{run.run_id}/live/?since=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Accept: text/event-stream\r\nCookie: {cookie.key}={cookie.value}\r\n\r\n".encode()
        )
        until(lambda: census().streams == 1, 5, "the stream")
        make_steps(run, 30, type=Step.Type.OUTPUT, content="x" * 4_000)
        for _ in range(120):
            run.steps.update(changed_version=run.version + 1)
            change(run)
            time.sleep(0.02)
        came = b""
        while f"id: {run.version}\n".encode() not in came:
            came += slow.recv(2**20)
        assert came.count(b"\nid: ") < 110


def test_while_a_stream_is_open_it_is_the_hub_that_looks_for_old_garbage(
    site: str, run: Run, viewer_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: census().streams == 0, 5, "the streams of other tests to be gone")
    monkeypatch.setattr("dashboard.live.hub.COLLECT_EVERY", 0.2)
    usual = gc.get_threshold()
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        assert gc.get_threshold()[2] > usual[2]
        ring: list[object] = [Step()]
        ring.append(ring)
        gone = weakref.ref(ring[0])
        gc.collect()  # so it is old
        del ring
        until(lambda: gone() is None, 5, "the hub to look")
    until(lambda: gc.get_threshold() == usual, 5, "Python to look by itself again")


# The server stops ------------------------------------------------------------------------------

SERVE = """
import sys, uvicorn
from dashboard import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
uvicorn.run("dashboard.asgi:application", port=int(sys.argv[2]), log_level="warning")
"""


@pytest.fixture
def process(run: Run) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The site as a process of its own, on this test's database."""
    port = free_port()
    name = str(connection.settings_dict["NAME"])
    served = subprocess.Popen(
        [sys.executable, "-c", SERVE, name, str(port)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"},
    )
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{url}/healthz"), 30, "the server")
    yield url, served
    served.terminate()
    served.wait(10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_server_that_stops_ends_its_streams_at_once(
    process: tuple[str, "subprocess.Popen[bytes]"], run: Run, viewer_client: Client
) -> None:
    url, served = process
    with EventStream(live(url, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        served.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        served.wait(10)
        stream.until(lambda it: it.has_ended)
        assert time.monotonic() - asked_at < 2
        assert not stream.named("gone")


def test_an_open_stream_keeps_no_database_connection_and_no_thread_of_its_own(
    process: tuple[str, "subprocess.Popen[bytes]"], run: Run, viewer_client: Client
) -> None:
    url, served = process
    streams = [EventStream(live(url, run), viewer_client) for _ in range(60)]
    threads = handler.THREADS + handler.VITAL_THREADS + 2  # the last are the hub's
    try:
        for stream in streams:
            stream.__enter__()
            stream.until(lambda it: "run-fresh" in it.html)
        held = Path(f"/proc/{served.pid}")
        assert len(list((held / "task").iterdir())) < threads + 8
        opened = [os.readlink(one) for one in (held / "fd").iterdir() if one.is_symlink()]
        sockets = [one for one in opened if one.startswith("socket:")]
        # Each connection to SQLite holds two files, and all together a third.
        assert len([one for one in opened if "sqlite3" in one]) <= 2 * threads + 1
        # The streams, the listener, Valkey for each thread and the hub's own.
        assert len(sockets) <= 60 + threads + 10
    finally:
        for stream in streams:
            stream.close()
