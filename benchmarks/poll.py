"""How many small runs one worker process polls in a second, beside bare loops of httpx.

All loops run on one core; the stand-in for Case.dev (and PostgreSQL) have the others.
"""

import asyncio
import datetime as dt
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
from django.utils import timezone

from benchmarks.figures import Bench, Figure, in_turns, ratio
from benchmarks.standin import serving
from runs import poller
from runs.casedev.client import Client
from runs.models import Poll, Run

RUNS = 480
STEPS = 20
ROUNDS = 6
AT_ONCE = poller.THREADS


def measure(bench: Bench) -> Iterator[Figure]:
    cores = sorted(os.sched_getaffinity(0))
    with serving(cores[-1] if len(cores) > 1 else None) as url:
        runs = make_runs(20 if bench.quick else RUNS, STEPS)
        paths = [f"/agent/v1/run/{run.run_id}/details" for run in runs]
        os.sched_setaffinity(0, {cores[0]})  # also that of the threads that come
        case_dev = Client(url, "sk_case_bench")
        loops = (
            lambda: _ours(case_dev, len(runs)),
            lambda: _bare(url, paths),
            lambda: _bare_threads(url, paths),
            lambda: asyncio.run(_bare_async(url, paths)),
        )
        ours, *bare = (max(rates) for rates in in_turns(1 if bench.quick else ROUNDS, *loops))
    names = ("httpx, one thread", f"httpx, {AT_ONCE} threads", f"httpx async, {AT_ONCE} at once")
    floor, name = max(zip(bare, names, strict=True))
    others = ", ".join(f"{kind} {rate:.0f}" for rate, kind in zip(bare, names, strict=True))
    yield Figure(
        what=f"polls of runs of {STEPS} steps, one in ten changed, one process on one core",
        ours=ours,
        unit="/s",
        floor=floor,
        floor_is=name,
        targets=(ratio(at_least=0.5),),
        note=others,
    )


def make_runs(count: int, steps: int, first: int = 0, size: int | None = None) -> list[Run]:
    """Runs that the stand-in knows, from number `first` on, with a place in the schedule; `size`
    is that of a step, if not the stand-in's."""
    now = timezone.now()
    of_size = "" if size is None else f"_{size}"
    runs = [
        Run(
            run_id=f"run_{number}_{steps}{of_size}",
            listed_at=now,
            first_seen_at=now,
            changed_at=now,
            status="running",
        )
        for number in range(first, first + count)
    ]
    made = Run.objects.bulk_create(runs, batch_size=1_000)
    poller.schedule_new(made, now)
    return made


def _ours(case_dev: Client, count: int) -> float:
    Poll.objects.update(due_at=timezone.now() - dt.timedelta(seconds=1))
    began, polled = time.perf_counter(), 0
    while polled < count:
        polled += poller.poll_due(case_dev=case_dev)
    return polled / (time.perf_counter() - began)


def _bare(url: str, paths: list[str]) -> float:
    with httpx.Client(base_url=url, trust_env=False) as client:
        began = time.perf_counter()
        for path in paths:
            client.get(path)
        return len(paths) / (time.perf_counter() - began)


def _bare_threads(url: str, paths: list[str]) -> float:
    with (
        httpx.Client(base_url=url, trust_env=False) as client,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        began = time.perf_counter()
        list(threads.map(client.get, paths))
        return len(paths) / (time.perf_counter() - began)


async def _bare_async(url: str, paths: list[str]) -> float:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        left = iter(paths)

        async def loop() -> None:
            for path in left:
                await client.get(path)

        began = time.perf_counter()
        await asyncio.gather(*(loop() for _ in range(AT_ONCE)))
        return len(paths) / (time.perf_counter() - began)
