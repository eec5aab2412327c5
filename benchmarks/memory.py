"""What a worker's process holds: until a 100 MB answer was refused, until 40 MB were read over HTTP
and stored, and whether it grows with the number of polls."""

import datetime as dt
import statistics
import time
from collections.abc import Iterator

import httpx
from django.utils import timezone

from benchmarks import sync
from benchmarks.figures import Bench, Figure, value
from benchmarks.poll import make_runs
from benchmarks.processes import forget_peak, memory, peak
from benchmarks.standin import prepare, serving
from dashboard import garbage
from runs import poller
from runs.casedev.client import Client
from runs.models import Poll, Run

SOAK = 60.0  # seconds
WARM_UP = 0.3  # of it
RUNS = 100
POINTS = 200
LARGE = 10_000  # steps of 4 kB
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
    yield from _large()
    yield _soak(3.0 if bench.quick else bench.seconds or SOAK)


def _poll_too_big() -> None:
    run = sync.new_run()
    answer = httpx.MockTransport(lambda request: httpx.Response(200, stream=Filler()))
    poller.poll_now(run, Client("https://api.case.dev", "sk_case_bench", transport=answer))
    if not Poll.objects.get(pk=run.pk).last_error.startswith("The answer is larger"):
        raise RuntimeError("100 MB were not refused")


def _large() -> Iterator[Figure]:
    """Answers of 40 MB from another process, as they come: one, and two that are due at once."""
    for number, words in ((1, "an answer of 40 MB was stored"), (2, "two, due at once, were")):
        Run.objects.all().delete()
        with serving() as url:
            runs = make_runs(number, LARGE, size=sync.STEP_BYTES)
            octets = [prepare(url, run.run_id) for run in runs]
            before = forget_peak()
            polled = poller.poll_due(case_dev=Client(url, "sk_case_bench"))
        stored = Run.objects.filter(step_count__gte=LARGE).count()
        if (polled, stored) != (number, number):
            raise RuntimeError(f"{stored} of {number} runs were stored, {polled} polled")
        yield Figure(
            what=f"most held until {words}",
            ours=peak() / MEGABYTE,
            unit="MB",
            floor=before / MEGABYTE,
            floor_is="before",
            targets=(value(256),),
            note=f"{octets[0] / 1e6:.1f} MB each, over HTTP",
        )


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
