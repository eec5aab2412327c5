"""Thousands of active runs: how late behind the schedule they are polled, and what that asks of
Case.dev. The worker and beat of the product, the simulator as Case.dev, all on this machine."""

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

from benchmarks.figures import Bench, Figure, quantile, value
from benchmarks.poll import make_runs
from benchmarks.processes import cpu_seconds, memory
from benchmarks.standin import serving
from dashboard.processes import tie_to_parent
from runs import notices, schedule
from runs.models import Poll
from tests.product import until

SECONDS = 120.0
FIRST = 300.0  # within which every run is read once: all are new, and due at once
WARM_UP = 30.0  # after that, until what has piled up is asked for
LOOK_EVERY = 0.7  # at the watched ones: less than their interval
LOOKS = 4  # of these to one at all the others, which would take a share of what is measured
FEW, MANY = 500, 5_000
WATCHED = 10
ROOT = Path(__file__).resolve().parent.parent


def measure(bench: Bench) -> Iterator[Figure]:
    count = MANY if connection.vendor == "postgresql" else FEW
    with ExitStack() as held:
        url = held.enter_context(serving())
        make_runs(count, 20)
        workers = max(len(os.sched_getaffinity(0)), 1) if count == MANY else 1
        names = [f"worker{number}" for number in range(workers)]
        started = {name: held.enter_context(_part("worker", url, name)) for name in names}
        started["beat"] = held.enter_context(_part("beat", url, "beat"))
        until(lambda: not Poll.objects.filter(last_ok_at=None).exists(), FIRST, "a first poll each")
        yield from _observe(bench.seconds or SECONDS, count, started)


@contextmanager
def _part(which: str, url: str, name: str) -> Iterator[int]:
    environment = os.environ | {
        "CASEDEV_BASE_URL": url,
        "CASEDEV_API_KEY": "sk_case_bench",
        "RUNSHEET_EMBEDDED": "1",
        "RUNSHEET_DATA_DIR": str(settings.DATA_DIR),
        "MALLOC_ARENA_MAX": "2",
    }
    words = [sys.executable, "-m", "dashboard.parts", which]
    child = subprocess.Popen(
        words, cwd=ROOT, env=environment, preexec_fn=tie_to_parent(os.getpid())
    )
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _observe(seconds: float, count: int, started: dict[str, int]) -> Iterator[Figure]:
    watched = list(Poll.objects.values_list("pk", flat=True)[:WATCHED])
    ends_at = time.monotonic() + WARM_UP + seconds
    lags = Lags()
    counted_from = 0.0
    asked = dict.fromkeys((True, False), 0)
    before: dict[int, int] = {}
    spent: dict[str, float] = {}
    looks = 0
    while (now := time.monotonic()) < ends_at:
        notices.keep_watching(watched)
        if now > ends_at - seconds:
            if not before:
                before, counted_from = _fences(), now
                spent = {name: cpu_seconds(pid) for name, pid in started.items()}
            lags.look(watched if looks % LOOKS else None)
            looks += 1
        time.sleep(LOOK_EVERY)
    passed = time.monotonic() - counted_from
    for pk, fence in _fences().items():
        asked[pk in watched] += fence - before[pk]
    yield _lag_figure(lags.found, count, seconds, started, spent, passed)
    for is_watched, number in ((True, WATCHED), (False, count - WATCHED)):
        interval = schedule.WATCHED if is_watched else schedule.RUNNING
        whose = "that is watched" if is_watched else "that nobody watches"
        yield Figure(
            what=f"requests a minute for a run {whose}",
            ours=asked[is_watched] / number / passed * 60,
            unit="/min",
            floor=60 / interval,
            floor_is="the interval's promise",
        )


def _lag_figure(
    lags: list[float],
    count: int,
    seconds: float,
    started: dict[str, int],
    spent: dict[str, float],
    passed: float,
) -> Figure:
    busy = ", ".join(
        f"{name} {(cpu_seconds(pid) - spent[name]) / passed:.0%} of a core, "
        f"{memory(pid)[0] / 2**20:.0f} MB"
        for name, pid in started.items()
    )
    return Figure(
        what=f"lag behind the schedule of {count:,} active runs, p99 of {seconds:.0f} s",
        ours=quantile(lags, 0.99),
        unit="s",
        targets=(value(2),),
        note=f"median {quantile(lags, 0.5):.2f} s, most {max(lags):.1f} s; {busy}",
    )


def _fences() -> dict[int, int]:
    return dict(Poll.objects.values_list("pk", "fence"))


class Lags:
    """How late each poll began, in seconds, of the polls between two looks."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, dt.datetime | None]] = {}
        self.found: list[float] = []

    def look(self, only: list[int] | None) -> None:
        """At the runs `only`, or at all."""
        rows = Poll.objects.values_list("pk", "fence", "due_at", "last_tried_at")
        rows = rows if only is None else rows.filter(pk__in=only)
        for pk, fence, due_at, tried_at in rows.iterator():
            known = self.seen.get(pk)
            # Two polls since the last look tell nothing of when each was due.
            if known and known[1] and tried_at and fence == known[0] + 1:
                self.found.append(max((tried_at - known[1]).total_seconds(), 0.0))
            self.seen[pk] = (fence, due_at)
