"""The processes of `make run` by themselves: what each does beyond what it runs."""

import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from dashboard import beat
from dashboard.beat import AT_REST, Scheduler, app
from runs import notices
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


def test_while_no_run_is_active_beat_wakes_nobody_as_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []
    now = [100.0]
    monkeypatch.setattr(beat, "time", SimpleNamespace(monotonic=lambda: now[0]))
    scheduler = Scheduler(app=app)
    monkeypatch.setattr(scheduler, "apply_async", lambda entry, **_: sent.append(entry.task))
    entries = list(scheduler.schedule.values())
    tasks = {entry.task for entry in entries}
    assert {"runs.poll_due", "runs.discover", "dashboard.notice_changes"} <= tasks

    def send_all(seconds: float) -> set[str]:
        now[0] += seconds
        sent.clear()
        for entry in entries:
            scheduler.apply_entry(entry)
        return set(sent)

    assert [send_all(0), send_all(1)] == [tasks, tasks]
    notices.rest()
    assert send_all(1) == tasks  # the first at rest is sent
    others = tasks - set(AT_REST)
    assert [send_all(1) for _ in range(5)] == [
        *(others, others, others | {"runs.poll_due"}, others, others)
    ]
    assert [send_all(1) for _ in range(5)] == [
        *(others | {"runs.poll_due"}, others, others, others | {"runs.poll_due"}),
        others | {"runs.discover", "dashboard.notice_changes"},
    ]
    notices.stir()
    assert [send_all(0), send_all(1)] == [tasks, tasks]
    notices.rest()
    assert send_all(0) == tasks


# As a worker does before and after each task; it prints how many connections five tasks took, and
# how many five more when each leaves an old one.
TASKS = """
from unittest.mock import Mock
from celery import signals
from dashboard.celery import app
app.set_default()
app.finalize()
signals.worker_init.send(sender=None)
from django.db import connection
from django.db.backends.signals import connection_created
made = []
connection_created.connect(lambda **_: made.append(1), weak=False)
sender = Mock()
sender.request.is_eager = False
for is_old in (False, True):
    made.clear()
    for _ in range(5):
        signals.task_prerun.send(sender=sender)
        connection.ensure_connection()
        if is_old:
            connection.close_at = 0
        signals.task_postrun.send(sender=sender)
    print(len(made))
"""


def test_a_worker_keeps_its_connection_from_task_to_task_until_it_is_old(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", TASKS],
        cwd=ROOT,
        env=environment.bare() | {"RUNSHEET_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.split() == ["1", "4"]


HEAPS = """
import ctypes, sys, threading
from dashboard import garbage

if sys.argv[1:] == ["worker"]:
    from celery.signals import worker_init
    import dashboard.celery
    worker_init.send(None)
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = ctypes.c_char_p, ctypes.c_char_p
libc.malloc_info.argtypes = ctypes.c_int, ctypes.c_void_p
libc.fflush.argtypes = (ctypes.c_void_p,)
all_here = threading.Barrier(5)

def act():
    libc.malloc(10_000)
    all_here.wait()

threads = [threading.Thread(target=act) for _ in range(4)]
for thread in threads:
    thread.start()
all_here.wait()
libc.malloc_info(0, out := libc.fopen(b"/dev/stdout", b"w"))
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
@pytest.mark.parametrize("part", ["worker", "another"])
def test_the_threads_of_a_worker_share_one_heap(part: str) -> None:
    """A heap for each would keep what a poll left free from all others."""
    told = subprocess.run(
        [sys.executable, "-c", HEAPS, part],
        cwd=ROOT,
        env=environment.bare() | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    found = told.count("<heap nr=")
    assert found == 1 if part == "worker" else found > 1
