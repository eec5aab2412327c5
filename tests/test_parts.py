"""The processes of `make run` by themselves: what each does beyond what it runs."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from django.db import connections

from dashboard.beat import Scheduler, app
from dashboard.celery import keep_connections
from tests import environment
from tests.product import ROOT, free_port


@pytest.mark.product
def test_the_site_answers_nobody_until_what_it_serves_is_ready(tmp_path: Path) -> None:
    port = free_port()
    gate, held_shut = os.pipe()
    with socket.create_server(("127.0.0.1", port)) as listener:
        fds = listener.fileno(), gate
        site = subprocess.Popen(
            [sys.executable, "-m", "dashboard.parts", "web", *map(str, fds)],
            cwd=ROOT,
            env=environment.bare() | {"RUNSHEET_DATA_DIR": str(tmp_path)},
            pass_fds=fds,
        )
        try:
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5, trust_env=False)
            os.close(held_shut)
            answer = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30, trust_env=False)
            assert answer.text == "ok\n"
        finally:
            site.terminate()
            site.wait(20)
            os.close(gate)


def test_beat_sleeps_until_its_time_and_not_a_little_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What wakes too early looks at the clock until it is time: Celery's own did, thirty times."""
    sent: list[str] = []
    scheduler = Scheduler(app=app)
    monkeypatch.setattr(scheduler, "apply_entry", lambda entry, producer: sent.append(entry.task))
    ticks, begun = 0, time.monotonic()
    while time.monotonic() - begun < 2.5:
        time.sleep(max(scheduler.tick(), 0))
        ticks += 1
    assert sent.count("runs.poll_due") >= 2
    assert ticks <= 3 * len(sent) + 3


def test_a_worker_keeps_its_connection_from_tick_to_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    keep_connections()
    assert connections["default"].settings_dict["CONN_MAX_AGE"] > 1
