"""How a request goes from the event loop to a thread and back."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.test import Client

from dashboard import handler
from runs.models import Step
from tests.factories import make_run, make_steps
from tests.product import until


@pytest.fixture
def threads_of() -> Iterator[dict[str, list[str]]]:
    """The threads in which requests began and ended, in their order."""
    seen: dict[str, list[str]] = {"started": [], "finished": []}

    def started(**_: object) -> None:
        seen["started"].append(threading.current_thread().name)

    def finished(**_: object) -> None:
        seen["finished"].append(threading.current_thread().name)

    request_started.connect(started)
    request_finished.connect(finished)
    yield seen
    request_started.disconnect(started)
    request_finished.disconnect(finished)


def test_a_request_begins_and_ends_in_one_thread_of_a_few(
    site: str, threads_of: dict[str, list[str]], viewer_client: Client
) -> None:
    cookies = {key: morsel.value for key, morsel in viewer_client.cookies.items()}
    with httpx.Client(base_url=site, cookies=cookies, trust_env=False) as browser:
        for path in ("/", "/runs/", "/accounts/login/", "/nowhere/") * 10:
            browser.get(path)
    assert len(threads_of["started"]) == 40
    assert threads_of["started"] == threads_of["finished"]
    assert len(set(threads_of["started"])) <= handler.THREADS
    assert all(name.startswith("request") for name in threads_of["started"])


def test_who_asks_whether_the_site_lives_waits_for_nobody(site: str) -> None:
    """Though as many requests as there are threads wait for a database that does not answer."""
    waiting, may_go = threading.Semaphore(0), threading.Event()

    def hold(scope: Any, **_: object) -> None:
        if scope["path"] == "/accounts/login/":
            waiting.release()
            may_go.wait(60)

    request_started.connect(hold)
    try:
        with ThreadPoolExecutor(handler.THREADS + 4) as pool:
            try:
                page = f"{site}/accounts/login/"
                asked = [
                    pool.submit(httpx.get, page, timeout=60, trust_env=False)
                    for _ in range(handler.THREADS + 4)
                ]
                for _ in range(handler.THREADS):
                    assert waiting.acquire(timeout=20)
                assert httpx.get(f"{site}/healthz", timeout=10, trust_env=False).text == "ok\n"
            finally:
                may_go.set()
            assert {one.result().status_code for one in asked} == {200}
    finally:
        request_started.disconnect(hold)


def test_what_one_request_sets_is_unknown_to_the_next_in_its_thread(
    site: str, viewer_client: Client
) -> None:
    """Who is acting, for the audit log, is kept for a request and not for a thread."""
    cookies = {key: morsel.value for key, morsel in viewer_client.cookies.items()}
    with (
        httpx.Client(base_url=site, cookies=cookies, trust_env=False) as known,
        httpx.Client(base_url=site, trust_env=False) as stranger,
    ):
        for _ in range(handler.THREADS + 4):
            assert known.get("/").status_code == 200
            assert stranger.get("/").status_code == 302


def test_whoever_leaves_in_the_middle_of_a_file_ends_its_making(
    site: str, viewer_client: Client, threads_of: dict[str, list[str]]
) -> None:
    run = make_run(run_id="run_a")
    make_steps(run, 300, type="tool_call")
    Step.objects.filter(run=run).update(tool_output=json.dumps("x" * 200_000))
    cookie = viewer_client.cookies[django_settings.SESSION_COOKIE_NAME].value
    place = urlsplit(site)
    token = "0123456789abcdef"
    with socket.create_connection((place.hostname, place.port)) as reader:
        reader.sendall(
            f"GET /runs/run_a/export/record.json?progress={token} HTTP/1.1\r\n"
            f"Host: {place.netloc}\r\n"
            f"Cookie: {django_settings.SESSION_COOKIE_NAME}={cookie}\r\n\r\n".encode()
        )
        assert reader.recv(12) == b"HTTP/1.1 200"
    until(lambda: len(threads_of["finished"]) == 1, 20, "the end of the request")
    told = viewer_client.get(f"/exports/{token}/").content.decode()
    assert "record.json" in told
    assert "✓" not in told
