"""What `make run` holds and takes while nothing happens, and how soon its first page is there."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Bench, Figure, Target, timed, value
from benchmarks.processes import cpu_seconds, memory
from benchmarks.standin import serving
from tests.product import Product, descendants, name_of

SETTLED = 15.0  # seconds after the start
WATCHED = 30.0  # seconds in which the time that it takes is looked at


def measure(bench: Bench) -> Iterator[Figure]:
    seconds = bench.seconds or WATCHED
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        bare = timed(lambda: os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", ""]))
        # No active run: there is a key, and a Case.dev that knows of no run.
        idle = {"CASEDEV_BASE_URL": url, "CASEDEV_API_KEY": "sk_case_bench"}
        product = Product(Path(folder) / "var", **idle)
        yield _figure("start to first page, new data folder", _start(product), bare)
        product.end()
        product = Product(Path(folder) / "var", **idle)
        try:
            yield _figure("start to first page, as before", _start(product), bare)
            yield from _held(product)
            yield _taken(product, "all of make run, no active run", seconds, value(2.0))
        finally:
            product.end()
        product = Product(Path(folder) / "played")
        try:
            _start(product)
            time.sleep(SETTLED)
            yield _taken(product, "all of make run, simulated runs playing", seconds)
        finally:
            product.end()


def _start(product: Product) -> float:
    """Milliseconds from the command to the first page that was answered."""
    began = time.perf_counter()
    product.start(120)
    product.get("/accounts/login/").raise_for_status()
    return (time.perf_counter() - began) * 1000


def _figure(what: str, ours: float, bare: float) -> Figure:
    return Figure(what=what, ours=ours, floor=bare, floor_is="bare Python", targets=(value(5_000),))


def _parts(product: Product) -> dict[str, int]:
    assert product.process is not None
    up = product.process.pid
    return {"up": up} | {name_of(pid): pid for pid in descendants(up)}


def _held(product: Product) -> Iterator[Figure]:
    time.sleep(SETTLED)
    held = {name: memory(pid) for name, pid in _parts(product).items()}
    note = ", ".join(f"{name} {rss / 2**20:.0f}" for name, (rss, _) in held.items())
    for kind, place, limit in (("resident", 0, 400), ("proportional (PSS)", 1, None)):
        total = sum(figures[place] for figures in held.values()) / 2**20
        targets = (value(limit),) if limit else ()
        yield Figure(
            what=f"all of make run, {kind}", ours=total, unit="MB", targets=targets, note=note
        )
        note = ""


def _taken(product: Product, what: str, seconds: float, *targets: Target) -> Figure:
    parts = _parts(product)
    before = {name: cpu_seconds(pid) for name, pid in parts.items()}
    time.sleep(seconds)
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in parts.items()}
    return Figure(
        what=what,
        ours=sum(spent.values()) / seconds * 100,
        unit="% of a core",
        targets=targets,
        note=", ".join(f"{name} {taken / seconds * 100:.1f}" for name, taken in spent.items()),
    )
