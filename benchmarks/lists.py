"""The overview, the list of runs and the admin's, over very many runs, beside the same page of a
few runs."""

import datetime as dt
import html
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from urllib.parse import urljoin

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone

from benchmarks.figures import Bench, Figure, Growth, Result, quantile, value
from dashboard import watermarks
from dashboard.notes.models import Label, RunLabel
from runs import bulk, searching, spending
from runs.models import Agent, Pace, Poll, Run

REQUESTS, FEW_REQUESTS = 20, 5  # a question
SIZES = {"sqlite": 100_000, "postgresql": 1_000_000}
QUICK_SIZE, FLOOR_SIZE = 10_000, 1_000
SEEN = 200  # runs that somebody has looked at
LIMIT = 100.0
AGENTS, MODELS = 60, 8
PACES = 100  # runs of an agent whose habits are known
WORDS = (
    *("review", "contract", "summary", "deposition", "clause", "privilege", "memo", "chronology"),
    *("custodian", "liability", "exhibit", "discovery", "damages", "vault", "witness", "lease"),
)
LABELS = 10
# What stands in braces is another value with each request (`Values`).
QUERIES = {
    "newest": "",
    "oldest": "sort=oldest",
    "last started": "sort=started",
    "last ended": "sort=ended",
    "longest": "sort=longest",
    "most steps": "sort=steps",
    "highest cost": "sort=cost",
    "failed": "status=failed",
    "failed or cancelled": "status=failed&status=cancelled",
    "unknown status": "status=other",
    "running": "status=running",
    "a status by an order": "status={status}&sort={order}",
    "an agent": "agent={agent}",
    "a rare agent": "agent=agent_rare",
    "a model": "model={model}",
    "a label": "label={label}",
    "an agent's failures by cost": "agent={agent}&status=failed&sort=cost",
    "an agent with words": "agent={agent}&q={word}",
    "a week by cost": "from=7d&sort=cost",
    "a week by end": "from=7d&sort=ended",
    "a day long ago": "from={day}&to={day}",
    "one letter": "q={letter}",
    "two letters": "q={two_letters}",
    "words that many hold": "q={word}",
    "words that one in 20 holds": "q={word}+{second}",
    "words that one in 20 holds, by cost": "q={word}+{second}&sort=cost",
    "words that one in 300 holds": "q={word}+{second}+{third}",
    "words that few hold": "q={word}+zebra",
    "words that none holds": "q=nothinglike{number}",
    "an id": "q=run_list_{number}",
    "words that many hold, by cost": "q={word}&sort=cost",
    "words and a status": "q={word}&status={status}",
    "words and a status by cost": "q={word}&status={status}&sort=cost",
}
OTHERS = {
    "overview": "/",
    "status": "/status/",
    "metrics": "/metrics",  # who asks from loopback may
    "admin: runs": "/admin/runs/run/",
    "admin: a page": "/admin/runs/run/?p={page}",
    "admin: a status": "/admin/runs/run/?status={status}",
    "admin: words": "/admin/runs/run/?q={word}+zebra",
    "admin: words that many hold": "/admin/runs/run/?q={word}",
    "admin: polls": "/admin/runs/poll/",
}
ADDRESSES = {name: f"/runs/?{query}" for name, query in QUERIES.items()} | OTHERS


class Values(dict[str, object]):
    """A value by chance for what an address leaves open, among `size` runs."""

    def __init__(self, chance: random.Random, size: int) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz"
        day = timezone.localdate() - dt.timedelta(days=chance.randrange(20, 700))
        super().__init__(
            agent=f"agent_{chance.randrange(AGENTS)}",
            model=f"model_{chance.randrange(MODELS)}",
            label=f"label_{chance.randrange(LABELS)}",
            status=chance.choice(("completed", "failed", "cancelled", "running")),
            order=chance.choice(("oldest", "started", "ended", "longest", "steps", "cost")),
            word=chance.choice(WORDS),
            second=chance.choice(WORDS),
            third=chance.choice(WORDS),
            letter=chance.choice(letters),
            two_letters="".join(chance.choices(letters, k=2)),
            number=chance.randrange(size),
            page=chance.randrange(min(40, max(size // 50, 1))) + 1,  # of 50; the 40th is the last
            day=day.isoformat(),
        )


def measure(bench: Bench) -> Iterator[Result]:
    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client(headers={"host": "localhost"})
    user = User.objects.create_superuser("bench")
    client.force_login(user)
    whole = QUICK_SIZE if bench.quick else SIZES[bench.database]
    points: list[tuple[int, float]] = []
    floors: dict[str, float] = {}
    fill(100)
    for address in ADDRESSES.values():  # what is made once a process is made
        _answered(client, address.format_map(Values(random.Random(1), 100)))
    for size in sorted({100, FLOOR_SIZE, whole // 10, whole}):
        fill(size)
        looked_a_month_ago(user)  # each page tells what came since
        have_told_steps()
        is_told = size in (FLOOR_SIZE, whole) and not bench.quick
        asked = REQUESTS if is_told else FEW_REQUESTS
        taken = {name: _taken(client, address, size, asked) for name, address in ADDRESSES.items()}
        if size == FLOOR_SIZE:
            floors = {name: quantile(times, 0.95) for name, times in taken.items()}
        points.append((size, quantile(list(chain.from_iterable(taken.values())), 0.95)))
    for name, times in taken.items():
        yield _figure(name, times, floors[name], whole)
    yield _figure("page 31 by cost", _walked(client), floors["highest cost"], whole)
    yield Figure(
        what=f"all questions together, p95, {whole:,} runs",
        ours=points[-1][1],
        floor=points[1][1],
        floor_is=f"{FLOOR_SIZE:,} runs",
        targets=(value(LIMIT),),
    )
    yield Growth(
        what="lists, p95 over all questions",
        by="runs",
        unit="ms",
        points=tuple(points),
        at_most=0.5,
    )


def _figure(name: str, times: list[float], floor: float, whole: int) -> Figure:
    return Figure(
        what=f"{name}, p95 of {len(times)}, {whole:,} runs",
        ours=quantile(times, 0.95),
        floor=floor,
        floor_is=f"{FLOOR_SIZE:,} runs",
        targets=(value(LIMIT),),
        note=f"median {quantile(times, 0.5):.0f}, most {max(times):.0f}",
    )


def _taken(client: Client, address: str, size: int, number: int) -> list[float]:
    """Milliseconds of `number` requests, none of which was made before: each second one for the
    page that follows, if there is one, and each for that where the address leaves nothing open."""
    chance = random.Random(f"{address} {size}")
    is_open = "{" in address
    taken: list[float] = []
    following = ""
    for turn in range(number):
        asked = following if turn % 2 or not is_open else ""
        asked = asked or address.format_map(Values(chance, size))
        began = time.perf_counter()
        told = _answered(client, asked)
        taken.append((time.perf_counter() - began) * 1000)
        following = _next(told, asked)
    return taken


def _answered(client: Client, address: str) -> str:
    answer = client.get(address)
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}")
    return answer.text


def _next(page: str, address: str) -> str:
    """Where the link to the next page leads; "" if there is none."""
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return urljoin(address, html.unescape(found[1])) if found else ""


def _walked(client: Client) -> list[float]:
    """A page far down, come to by the links from page to page, and those that follow it."""
    address = "/runs/?sort=cost"
    taken: list[float] = []
    for turn in range(30 + REQUESTS):
        began = time.perf_counter()
        page = _answered(client, address)
        taken += [(time.perf_counter() - began) * 1000] if turn >= 30 else []
        address = _next(page, address) or address
    return taken


def looked_a_month_ago(user: User) -> None:
    """`user` has looked at the lists then, and at some runs, of which a few have moved since."""
    count = Run.objects.count()
    newest = Run.objects.order_by("pk").values_list("pk", flat=True)[count * 4 // 5]
    known = Run.objects.filter(pk__lte=newest).order_by("-pk").values_list("pk", flat=True)[:SEEN]
    at = timezone.now() - dt.timedelta(days=30)
    watermarks.Watermark.objects.filter(user=user).delete()
    watermarks.Watermark.objects.bulk_create(
        watermarks.Watermark(
            user=user, run_id=pk, version=place % 2, steps=0, status="running", at=at
        )
        for place, pk in enumerate(known)
    )
    watermarks.ListWatermark.objects.update_or_create(
        user=user,
        defaults={"newest_run": newest, "cost_micros": spending.total() * 4 // 5, "at": at},
    )


def have_told_steps() -> None:
    """Of those that run one in twenty told its last step long ago, the others now. All were polled
    just now, and of each agent it is known how long its runs are silent."""
    now = timezone.now()
    running = Run.objects.filter(status="running")
    running.update(last_step_at=now)
    running.alias(part=F("pk") % 20).filter(part=0).update(last_step_at=F("started_at"))
    soon = now + dt.timedelta(minutes=10)  # as if they were polled while this goes on
    Poll.objects.filter(run__status="running").update(last_ok_at=soon, due_at=soon)
    ended = Run.objects.filter(status="completed").order_by("-pk").values_list("pk", "agent_id")
    Pace.objects.bulk_create(
        [
            Pace(run_id=pk, agent_id=agent or "", wait_ms=4_000, silence_ms=60_000 + pk % 90_000)
            for pk, agent in ended[: AGENTS * PACES]
        ],
        ignore_conflicts=True,
    )


def fill(size: int) -> None:
    """Bring the table to `size` runs: spread over two years, most of them ended."""
    chance = random.Random(size)
    have = Run.objects.count()
    if not have:
        Agent.objects.bulk_create(
            Agent(agent_id=f"agent_{n}", name=f"Agent {n}", fetched_at=timezone.now())
            for n in range(AGENTS)
        )
        Label.objects.bulk_create(Label(name=f"label_{n}") for n in range(LABELS))
    with _without_indexes():
        for start in range(have, size, 5_000):
            _add(chance, range(start, min(start + 5_000, size)))
    spending.rebuild()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _add(chance: random.Random, numbers: range) -> None:
    with transaction.atomic():
        bulk.insert(Run, [_run(chance, number) for number in numbers])
        names = [f"run_list_{number}" for number in numbers]
        runs = list(
            Run.objects.filter(run_id__in=names).only("run_id", "prompt", "summary", "listed_at")
        )
        searching.keep(runs)
        Poll.objects.bulk_create(Poll(run=run, last_ok_at=run.listed_at) for run in runs)
        _put_labels(runs)


def _put_labels(runs: list[Run]) -> None:
    """On one of ten: the first label on most of these, the last on few."""
    labels = list(Label.objects.order_by("pk"))
    by, now = User.objects.earliest("pk"), timezone.now()
    RunLabel.objects.bulk_create(
        RunLabel(run=run, label=labels[place.bit_length() - 1], by=by, at=now)
        for run in runs
        if (place := int(run.run_id.rpartition("_")[2]) // 10 % 1_000 + 1) < 2**LABELS
        and run.run_id.endswith("3")
    )


@contextmanager
def _without_indexes() -> Iterator[None]:
    """On PostgreSQL, indexes that hold nothing together are made after the rows: in minutes
    instead of an hour."""
    with connection.cursor() as cursor:
        made: list[tuple[str, str]] = []
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN"
                " ('runs_run', 'runs_runtext', 'runs_poll') AND indexdef NOT LIKE '%UNIQUE%'"
            )
            made = cursor.fetchall()
            cursor.execute("SET maintenance_work_mem = '512MB'")
        for name, _ in made:
            cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")
        yield
        for _, definition in made:
            cursor.execute(definition)


def _run(chance: random.Random, number: int) -> dict[str, object]:
    now = timezone.now()
    at = now - dt.timedelta(seconds=chance.random() ** 2 * 63_000_000)
    is_new = (now - at).total_seconds() < 3_600
    kinds = ("completed",) * 90 + ("failed",) * 7 + ("cancelled",) * 3
    status = "running" if is_new else chance.choice(kinds)
    lasted = dt.timedelta(seconds=chance.expovariate(1 / 400))
    has_ended = status != "running"
    rare = " zebra" if number % 10_007 == 0 else ""
    return _defaults() | {
        "run_id": f"run_list_{number}",
        "agent_id": "agent_rare" if number % 50_021 == 0 else f"agent_{number % AGENTS}",
        "status": "suspended" if number % 200_003 == 7 else status,
        "prompt": " ".join(chance.choices(WORDS, k=14)) + rare,
        "usage_model": f"model_{chance.randrange(MODELS)}",
        "cost_micros": None if number % 50 == 0 else chance.randrange(10**7),
        "step_count": chance.randrange(2_000),
        "created_at": at,
        "listed_at": at,
        "started_at": at,
        "completed_at": at + lasted if has_ended else None,
        "lasted_micros": lasted // dt.timedelta(microseconds=1) if has_ended else None,
        "going_since": None if has_ended else at,
        "odd_at": at if number % 200_003 == 7 else None,
        "first_seen_at": at,
        "changed_at": at,
        "version": 1,
    }


@cache
def _defaults() -> dict[str, object]:
    """A value for each column of a run but its key, as the database takes it."""
    row = {field.attname: field.get_default() for field in Run._meta.concrete_fields}
    del row["id"]
    return row | {"unreported": "[]", "contradictions": "[]"}
