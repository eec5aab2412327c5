"""The page of a run in a Chromium that has nothing cached, as `make run` serves it; servers and
browser have a core each. Beside it a bare static page with one row."""

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.figures import Bench, Figure, Growth, Result, in_turns, value
from benchmarks.peers import browser, environments, floors, servers
from benchmarks.peers.browser import Visit
from benchmarks.peers.products import Runsheet
from benchmarks.peers.upstream import STEP_BYTES, Upstream
from runs.simulator.testing import SimulatorServer

SIZES = (10, 100, 1_000, 20_000, 100_000)
MOST_BYTES = 30_000_000  # of the texts of a run: an answer above 64 MB is refused
ROUNDS = 5


def measure(bench: Bench) -> Iterator[Result]:
    _, core = servers.cores()
    os.sched_setaffinity(0, core)
    points = []
    with tempfile.TemporaryDirectory() as room, SimulatorServer() as case_dev:
        folder = Path(room)
        product = Runsheet(environments.of_this(), case_dev.url)
        bare = floors.BarePage(folder / "bare")
        try:
            product.start(folder / "ours")
            product.sign_in()
            upstream = Upstream(case_dev, folder)
            for steps in SIZES[1:2] if bench.quick else SIZES:
                sent = upstream.make(steps, min(STEP_BYTES, MOST_BYTES // steps))
                product.take(sent)
                seen, floor, last = _visited(product.page(sent), product, bare.url, bench)
                points.append((steps, seen))
                yield from _told(f"{steps:,} steps", seen, floor, last)
        finally:
            product.end()
            bare.end()
    if len(points) > 1:
        yield Growth(
            what="first row in a cold browser by length of the run", by="steps", unit="ms",
            points=tuple(points), at_most=0.15,
        )  # fmt: skip


def _visited(page: str, product: Runsheet, bare: str, bench: Bench) -> tuple[float, float, Visit]:
    """Milliseconds until the first row of `page` and of `bare` (medians), and the last visit."""
    visits: list[Visit] = []
    with sync_playwright() as playwright:
        chromium = browser.launch(playwright)

        def ours() -> float:
            visits.append(browser.visit(chromium, page, product.step, product.cookies))
            return visits[-1].seen

        def floor() -> float:
            return browser.visit(chromium, bare, floors.STEP, []).seen

        taken = in_turns(1 if bench.quick else ROUNDS, ours, floor)
        chromium.close()
    return statistics.median(taken[0]), statistics.median(taken[1]), visits[-1]


def _told(what: str, seen: float, floor: float, visit: Visit) -> Iterator[Figure]:
    yield Figure(
        what=f"first row, cold, {what}",
        ours=seen,
        floor=floor,
        floor_is="bare page",
        targets=(value(500),),
        note=f"{visit.requests} requests, reloaded {visit.seen_again:.0f} ms",
    )
    for name, ours, unit, limit in (
        ("over the wire", visit.kilobytes, "kB", 150),
        ("elements", visit.elements, "", 2_000),
    ):
        yield Figure(what=f"{name}, {what}", ours=ours, unit=unit, targets=(value(limit),))
