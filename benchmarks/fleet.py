"""Thousands of active runs: how late behind the schedule they are asked about, and what that asks
of Case.dev. Worker, beat and web process of the product, a stand-in for Case.dev, all on this
machine.

A request is late by the time from when it was due, as the schedule had it, to when the stand-in
received it, so with the wait for a tick, for a claim and for a thread. Ten minutes of it, which
take eighteen: `make bench ARGS="--only fleet --databases postgresql --seconds 600"`.
"""

import bisect
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from django.db import connection

from benchmarks import standin
from benchmarks.figures import Bench, Figure, quantile, value
from benchmarks.machine import ROOT
from benchmarks.poll import make_runs
from benchmarks.processes import cpu_seconds, memory
from benchmarks.standin import serving
from dashboard import embedded
from dashboard.processes import tie_to_parent
from runs import claims, notices, schedule
from runs.models import Poll
from tests.product import until

SECONDS = 120.0
FIRST = 300.0  # within which every run is read once: all are new, and due at once
WARM_UP = 30.0  # after that, until what has piled up is asked for
LOOK_EVERY = 0.7  # at the watched ones: less than their interval
LOOKS = 4  # of these to one at all the others, which would take a share of what is measured
FEW, MANY = 500, 5_000
WATCHED = 10
STEPS = 20
# Of a request before its time: a claim's, and the little by which clocks of threads differ.
MOST_EARLY = claims.EARLY.total_seconds() + 0.1


def measure(bench: Bench) -> Iterator[Figure]:
    count = MANY if connection.vendor == "postgresql" and not bench.quick else FEW
    with ExitStack() as held:
        url = held.enter_context(serving())
        make_runs(count, STEPS)
        workers = max(len(os.sched_getaffinity(0)), 1) if count == MANY else 1
        names = [f"worker{number}" for number in range(workers)]
        started = {name: held.enter_context(_part(url, name, "worker")) for name in names}
        started["beat"] = held.enter_context(_part(url, "beat", "beat"))
        started["web"] = held.enter_context(_web(url))
        until(lambda: not Poll.objects.filter(last_ok_at=None).exists(), FIRST, "a first poll each")
        yield from _observe(bench.seconds or SECONDS, count, started, url)


@contextmanager
def _part(url: str, name: str, *words: str, pass_fds: tuple[int, ...] = ()) -> Iterator[int]:
    """The process id of a part of the product, as `make run` starts it."""
    environment = embedded.children_environment() | {
        "CASEDEV_BASE_URL": url,
        "CASEDEV_API_KEY": "sk_case_bench",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "dashboard.parts", *words],
        cwd=ROOT,
        env=environment,
        pass_fds=pass_fds,
        preexec_fn=tie_to_parent(os.getpid()),
    )
    try:
        yield child.pid
        if (code := child.poll()) is not None:
            raise RuntimeError(f"{name} ended by itself with {code}")
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _web(url: str) -> Iterator[int]:
    """The site, which nobody visits."""
    reading, writing = os.pipe()
    os.close(writing)  # all that it would wait for is there
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fds = listener.fileno(), reading
        with _part(url, "web", "web", *map(str, fds), pass_fds=fds) as pid:
            yield pid
    os.close(reading)


def _observe(seconds: float, count: int, started: dict[str, int], url: str) -> Iterator[Figure]:
    watched = list(Poll.objects.values_list("pk", flat=True)[:WATCHED])
    names = dict(Poll.objects.values_list("pk", "run__run_id"))
    ends_at = time.monotonic() + WARM_UP + seconds
    promised: set[Promise] = set()
    counted_from = 0.0
    spent: dict[str, float] = {}
    looks = 0
    while (now := time.monotonic()) < ends_at:
        notices.keep_watching(watched)
        if now > ends_at - seconds:
            if not spent:
                counted_from = time.time()
                spent = {name: cpu_seconds(pid) for name, pid in started.items()}
            promised |= _promises(watched if looks % LOOKS else None)
            looks += 1
        time.sleep(LOOK_EVERY)
    busy = _busy(started, spent, time.time() - counted_from)
    promised |= _promises(None)
    arrived = standin.arrivals(url)
    ended = time.time()
    lags, overdue = lags_behind(promised, {pk: arrived[names[pk]] for pk in names}, ended)
    yield Figure(
        what=f"lag behind the schedule of {count:,} active runs with answers of"
        f" {len(standin.body('run_1_20', STEPS)) / 1000:.1f} kB, p99 of {seconds:.0f} s",
        ours=quantile(lags, 0.99),
        unit="s",
        targets=(value(2),),
        note=f"median {quantile(lags, 0.5):.2f} s, most {max(lags):.1f} s of {len(lags):,}"
        f" requests, {overdue} of them due and not made by the end; {busy}",
    )
    for is_watched, number in ((True, WATCHED), (False, count - WATCHED)):
        interval = schedule.WATCHED if is_watched else schedule.RUNNING
        whose = "that is watched" if is_watched else "that nobody watches"
        asked = sum(
            counted_from <= at < ended
            for pk, name in names.items()
            if (pk in watched) == is_watched
            for at in arrived[name]
        )
        yield Figure(
            what=f"requests a minute for a run {whose}, as Case.dev counts them",
            ours=asked / number / (ended - counted_from) * 60,
            unit="/min",
            floor=60 / interval,
            floor_is="the interval's promise",
        )


def _busy(started: dict[str, int], spent: dict[str, float], passed: float) -> str:
    return ", ".join(
        f"{name} {(cpu_seconds(pid) - spent[name]) / passed:.0%} of a core, "
        f"{memory(pid)[0] / 2**20:.0f} MB"
        for name, pid in started.items()
    )


class Promise(NamedTuple):
    """The schedule said that `run` is to be asked about at `due`, in seconds since 1970."""

    run: int
    due: float


def _promises(only: list[int] | None) -> set[Promise]:
    """What the schedule says now of the runs `only`, or of all."""
    rows = Poll.objects.values_list("pk", "due_at")
    rows = rows if only is None else rows.filter(pk__in=only)
    return {Promise(pk, due_at.timestamp()) for pk, due_at in rows.iterator() if due_at}


def lags_behind(
    promised: Iterable[Promise], arrived: Mapping[int, Sequence[float]], ended: float
) -> tuple[list[float], int]:
    """Seconds from each promise to the request that kept it, and how many nobody had kept when it
    `ended`: these are late by all that has passed. What was not due by then is left out.

    A request that came before its promise by no more than a claim may be early kept it: the one
    before that is an interval away.
    """
    lags: list[float] = []
    overdue = 0
    for run, due in promised:
        if due > ended:
            continue
        times = arrived[run]
        place = bisect.bisect_left(times, due - MOST_EARLY)
        overdue += place == len(times)
        at = times[place] if place < len(times) else ended
        lags.append(max(at - due, 0.0))
    return lags, overdue
