"""The page of one run at any length, beside a bare Django view that returns the same bytes."""

import gzip
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from benchmarks import run_kinds
from benchmarks.figures import Bench, Figure, Growth, Result, bests, timed, value
from dashboard import step_search
from dashboard import urls as site
from runs.models import Run, Step

STEPS = 20_000
ROUNDS = 5
# Of each tab its address, and from what length on no page of it shows more.
TABS = {"timeline": ("", 100), "read": ("read/", 1_000), "cost": ("cost/", 1_000)}
TABS["result"] = ("result/", 100)
LENGTHS = [10, 100, 1_000, 10_000, 100_000]
SHOULD_BE = 100.0  # milliseconds of a tab
WITHIN = 1.5  # a page of the longest run may take so many times that of the shortest

_held = b""


@login_not_required
def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_held)


def measure(bench: Bench) -> Iterator[Result]:
    client = _client()
    run = run_kinds.make_run(STEPS)
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
    yield from _kinds(client, 1_000 if bench.quick else STEPS)
    yield from _growth(client, LENGTHS[:3] if bench.quick else LENGTHS)


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


def _kinds(client: Client, length: int) -> Iterator[Result]:
    """Each tab of each kind of run."""
    for kind, run in _of_each_kind(length):
        for tab, (end, _) in TABS.items():
            ours, floor = _beside_bare(client, f"/runs/{run.run_id}/{end}")
            yield Figure(
                what=f"{tab}, {length:,} steps, {kind}",
                ours=ours,
                floor=floor,
                floor_is="bare view, same bytes",
                targets=(value(SHOULD_BE),),
            )
    yield _costs_anew(client, run, length)


def _of_each_kind(length: int) -> Iterator[tuple[str, Run]]:
    """One after the other, since rows are used again: first without entries, then with them."""
    run = run_kinds.make_run(length, fails=False)
    yield "completed", run
    run_kinds.fail(run)
    yield "failed without a failed step", run
    paired = run_kinds.make_run(length, is_paired=True)
    yield "results apart from calls", paired
    run_kinds.fail(paired)
    yield "failed, results apart from calls", paired
    run_kinds.add_entries(run)
    yield "failed, as many entries", run


def _costs_anew(client: Client, run: Run, length: int) -> Figure:
    """What somebody who looks on pays for a new entry: nobody keeps the sums of the last ones."""

    def after_an_entry() -> float:
        Run.objects.filter(pk=run.pk).update(entries_version=F("entries_version") + 1)
        return timed(lambda: client.get(f"/runs/{run.run_id}/cost/"))

    ours = bests(ROUNDS, after_an_entry)[0]
    return Figure(
        what=f"cost, {length:,} entries, one of them new", ours=ours, targets=(value(500.0),)
    )


def _growth(client: Client, lengths: list[int]) -> Iterator[Growth]:
    """Each tab of each kind, runs of all lengths in turns."""
    for alike in zip(*map(_of_each_kind, lengths), strict=True):
        kind = alike[0][0]
        for tab, (end, beyond) in TABS.items():
            asks = [partial(client.get, f"/runs/{run.run_id}/{end}") for _, run in alike]
            costs = bests(ROUNDS, *(partial(timed, ask) for ask in asks))
            yield Growth(
                what=f"{tab} by length of the run, {kind}",
                by="steps",
                unit="ms",
                points=tuple(zip(lengths, costs, strict=True)),
                within=WITHIN,
                beyond=beyond,
            )


def _beside_bare(client: Client, address: str) -> list[float]:
    global _held
    _held = client.get(address).content
    plain = Client()
    answer = plain.get("/bare-page/")
    if (answer.status_code, len(answer.content)) != (200, len(_held)):
        raise RuntimeError(f"the floor is another page: {answer.status_code}")
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
