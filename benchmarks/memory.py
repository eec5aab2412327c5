"""What a worker's process holds: after a 100 MB answer was refused, after 40 MB were stored, and
whether it grows with the number of polls."""

import datetime as dt
import statistics
import time
from collections.abc import Iterator

import httpx
from django.utils import timezone

from benchmarks import bodies, sync
from benchmarks.figures import Bench, Figure, value
from benchmarks.poll import make_runs
from benchmarks.processes import memory, peak
from benchmarks.standin import serving
from dashboard import garbage
from runs import poller
from runs.casedev.client import Client
from runs.models import Poll, Run

SOAK = 60.0  # seconds
WARM_UP = 0.3  # of it
RUNS = 100
POINTS = 200
LIVES = 100  # polls of a run until another one takes its place
MEGABYTE = 2**20


class Filler(httpx.SyncByteStream):
    """A hundred megabytes of blanks that nobody holds."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"id":"'
        for _ in range(100):
            yield b" " * MEGABYTE
        yield b'"}'


def measure(bench: Bench) -> Iterator[Figure]:
    garbage.keep_in_one_heap()  # as a worker does
    began = memory()[0] / MEGABYTE
    yield Figure(what="a worker's code and models", ours=began, unit="MB")
    _poll_too_big()
    limit = (value(256),)
    yield Figure(
        what="most held until a 100 MB answer was refused",
        ours=peak() / MEGABYTE,
        unit="MB",
        targets=limit,
    )
    run = sync.new_run()
    sync.store(run, sync.Sent(run, bodies.json_steps(10_000, sync.STEP_BYTES)).answer())
    yield Figure(
        what="most held until 40 MB were stored",
        ours=peak() / MEGABYTE,
        unit="MB",
        floor=began,
        floor_is="before",
        targets=limit,
        note="with what made the answer, about 85 MB",
    )
    yield _soak(bench.seconds or SOAK)


def _poll_too_big() -> None:
    run = sync.new_run()
    answer = httpx.MockTransport(lambda request: httpx.Response(200, stream=Filler()))
    poller.poll_now(run, Client("https://api.case.dev", "sk_case_bench", transport=answer))
    if not Poll.objects.get(pk=run.pk).last_error.startswith("The answer is larger"):
        raise RuntimeError("100 MB were not refused")


def _soak(seconds: float) -> Figure:
    """Megabytes an hour by which the process grows while it polls as fast as it can runs that come,
    grow and go."""
    Run.objects.all().delete()
    points: list[tuple[float, float]] = []
    polled = made = 0
    with serving() as url:
        case_dev = Client(url, "sk_case_bench")
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if polled >= made * LIVES:
                Run.objects.all().delete()
                made += len(make_runs(RUNS, 20, made))
            Poll.objects.update(due_at=timezone.now() - dt.timedelta(seconds=1))
            polled += poller.poll_due(case_dev=case_dev)
            # Few points, or they would be what grows.
            if passed > seconds * (WARM_UP + (1 - WARM_UP) * len(points) / POINTS):
                points.append((passed / 3600, memory()[0] / MEGABYTE))
    slope = statistics.linear_regression(*zip(*points, strict=True)).slope
    return Figure(
        what="growth of a polling process",
        ours=slope,
        unit="MB/h",
        targets=(value(1),),
        note=f"{polled:,} polls of {made:,} runs in {seconds:.0f} s,"
        f" {points[0][1]:.1f} to {points[-1][1]:.1f} MB",
    )
