"""The page of one run at any length, beside a bare Django view that returns the same bytes."""

import datetime as dt
import gzip
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import batched
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

from benchmarks.figures import Bench, Figure, Growth, Result, bests, timed, value
from dashboard import step_search
from dashboard import urls as site
from runs import bulk, outlines
from runs.models import Poll, Run, Step

STEPS = 20_000
ROUNDS = 5
KINDS = ("thinking", "tool_call", "tool_call", "output")
TEXT = "The clause on force majeure stands in section 12 of the agreement. " * 15

_held = b""


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_held)


def measure(bench: Bench) -> Iterator[Result]:
    client = _client()
    run = make_run(STEPS)
    here = f"/runs/{run.run_id}/"
    pages = {
        "run page, 20,000 steps, server": ("", 100.0),
        "jump to step 15,000": ("?at=15000", 300.0),
        "filter: one tool": ("?tool=bash", 300.0),
        "filter: failed": ("?failed=1", 300.0),
    }
    for what, (query, limit) in pages.items():
        ours, floor = _beside_bare(client, here + query)
        yield Figure(
            what=what,
            ours=ours,
            floor=floor,
            floor_is="bare view, same bytes",
            targets=(value(limit),),
        )
    yield from _search(client, run)
    yield from _size(client, here)
    yield _growth(client, bench)


def _search(client: Client, run: Run) -> Iterator[Result]:
    here = f"/runs/{run.run_id}/"
    texts = Step.objects.filter(run=run).values_list("content", "tool_input", "tool_output")
    size = sum(len(text) for texts_of in texts for text in texts_of if text)

    def anew(query: str) -> Callable[[], float]:
        def act() -> float:
            step_search.forget()
            return timed(lambda: client.get(here + query))

        return act

    def read() -> float:
        return timed(lambda: sum(len(some) for some in texts.iterator(chunk_size=500)))

    for what, query in (("a few steps hold it", "?q=needle"), ("no step holds it", "?q=xyzzy")):
        ours, floor = bests(ROUNDS, anew(query), read)
        yield Figure(
            what=f"find in {size / 1e6:.0f} MB of 20,000 steps: {what}",
            ours=ours,
            floor=floor,
            floor_is="read the texts",
            targets=(value(300.0),),
        )
    ours = bests(ROUNDS, lambda: timed(lambda: client.get(f"{here}?q=needle&hit=10000")))[0]
    yield Figure(what="the next find", ours=ours, targets=(value(300.0),))


def _size(client: Client, here: str) -> Iterator[Result]:
    page = client.get(here).content
    sent = [client.get(here, headers={"accept-encoding": "gzip"}).content]
    assets = re.findall(r'(?:src|href)="/static/([^"?]+\.(?:js|css|svg))"', page.decode())
    root = Path(settings.STATIC_ROOT)
    sent += [gzip.compress((root / name).read_bytes(), 6) for name in assets]
    octets = sum(map(len, sent))
    yield Figure(what="page and assets, gzip", ours=octets / 1000, unit="kB", targets=(value(150),))
    nodes = len(re.findall(rb"<[a-z]", page))
    yield Figure(what="elements of the page", ours=nodes, unit="", targets=(value(2_000),))


def _growth(client: Client, bench: Bench) -> Growth:
    lengths = [10, 100, 1_000, 10_000] + ([100_000] if bench.full else [])
    points = []
    for length in lengths:
        ask = partial(client.get, f"/runs/{make_run(length).run_id}/")
        points.append((length, bests(ROUNDS, partial(timed, ask))[0]))
    return Growth(
        what="run page by length of the run", by="steps", unit="ms", points=tuple(points),
        at_most=0.15,
    )  # fmt: skip


def _beside_bare(client: Client, address: str) -> list[float]:
    global _held
    _held = client.get(address).content
    plain = Client()
    return bests(
        ROUNDS,
        lambda: timed(lambda: client.get(address)),
        lambda: timed(lambda: plain.get("/bare-page/")),
    )


def _client() -> Client:
    call_command("collectstatic", interactive=False, verbosity=0)
    settings.ALLOWED_HOSTS = ["testserver"]
    site.urlpatterns.append(path("bare-page/", bare))
    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    return client


def make_run(length: int) -> Run:
    """An ended run of `length` steps of 2 kB."""
    now = timezone.now()
    run = Run.objects.create(
        run_id=f"run_pages_{length}_{Run.objects.count()}",
        status="completed",
        prompt="Review the agreement.",
        listed_at=now,
        created_at=now,
        started_at=now,
        completed_at=now + dt.timedelta(seconds=3 * length),
        first_seen_at=now,
        changed_at=now,
        version=1,
        step_count=length,
    )
    Poll.objects.create(run=run, last_ok_at=now)
    for places in batched(range(1, length + 1), 1_000):
        bulk.insert(Step, [_step(run, place) for place in places])
    outlines.rebuild(run, judge=True)
    return run


def _step(run: Run, place: int) -> dict[str, object]:
    kind = KINDS[place % len(KINDS)]
    is_call = kind == "tool_call"
    words = TEXT + (" needle" if place % 500 == 0 else "")
    output = json.dumps("Error: no such vault" if place % 997 == 0 else TEXT * 2)
    return {
        "run_id": run.pk,
        "position": place,
        "step_id": f"step_{place}",
        "type": kind,
        "content": None if is_call else words,
        "tool_name": ("bash", "read", "grep")[place % 3] if is_call else None,
        "tool_input": json.dumps({"command": "casedev vault search"}) if is_call else None,
        "tool_output": output if is_call else None,
        "duration_ms": 1_200 if is_call else None,
        "timestamp": run.listed_at + dt.timedelta(seconds=3 * place),
        "vanished_at": None,
        "changed_version": 1,
        "unanswered": False,
        "failed": False,
        "partner": None,
    }
