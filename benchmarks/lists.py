"""The overview, the list of runs and the admin's, over very many runs, beside the same page of a
few runs."""

import datetime as dt
import html
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from urllib.parse import urljoin

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from benchmarks.figures import Bench, Figure, Growth, Result, bests, quantile, timed, value
from dashboard import watermarks
from runs import bulk, searching, spending
from runs.models import Agent, Poll, Run

ROUNDS = 3
SIZES = {"sqlite": 100_000, "postgresql": 1_000_000}
LIMIT = 100.0
AGENTS, MODELS = 60, 8
WORDS = (
    *("review", "contract", "summary", "deposition", "clause", "privilege", "memo", "chronology"),
    *("custodian", "liability", "exhibit", "discovery", "damages", "vault", "witness", "lease"),
)
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
    "an agent": "agent=agent_7",
    "a rare agent": "agent=agent_rare",
    "a model": "model=model_3",
    "an agent's failures by cost": "agent=agent_7&status=failed&sort=cost",
    "a week by cost": "from=7d&sort=cost",
    "a week by end": "from=7d&sort=ended",
    "a day long ago": "from=2025-03-01&to=2025-03-01",
    "words that many hold": "q=contract",
    "words that few hold": "q=contract+zebra",
    "words that none holds": "q=nothinglikethis",
    "an id": "q=run_list_77777",
    "words that many hold, by cost": "q=contract&sort=cost",
    "words and a status": "q=contract&status=failed",
}
ADMIN = {
    "admin: runs": "/admin/runs/run/",
    "admin: page 40": "/admin/runs/run/?p=40",
    "admin: failed": "/admin/runs/run/?status=failed",
    "admin: words": "/admin/runs/run/?q=contract+zebra",
    "admin: polls": "/admin/runs/poll/",
}


def measure(bench: Bench) -> Iterator[Result]:
    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client(headers={"host": "localhost"})
    user = User.objects.create_superuser("bench")
    client.force_login(user)
    addresses = {name: f"/runs/?{query}" for name, query in QUERIES.items()} | ADMIN
    addresses["overview"] = "/"
    whole = SIZES[bench.database]
    points: list[tuple[int, float]] = []
    few: dict[str, float] = {}
    for size in (100, 1_000, whole // 10, whole):
        fill(size)
        watermarks.looked(user.pk, None)  # each page tells what came since
        taken = {
            name: bests(ROUNDS, partial(timed, partial(client.get, address)))[0]
            for name, address in addresses.items()
        }
        few = taken if size == 1_000 else few
        points.append((size, quantile(list(taken.values()), 0.95)))
    for name, ours in taken.items():
        yield Figure(
            what=f"{name}, {whole:,} runs",
            ours=ours,
            floor=few[name],
            floor_is="1,000 runs",
            targets=(value(LIMIT),),
        )
    yield from _walked(client, few["newest"], whole)
    yield Growth(
        what="lists, p95 over all questions",
        by="runs",
        unit="ms",
        points=tuple(points),
        at_most=0.5,
    )


def _walked(client: Client, floor: float, whole: int) -> Iterator[Result]:
    """A page far down, come to by the links from page to page."""
    address = "/runs/?sort=cost"
    for _ in range(30):
        following = re.search(r'rel="next" href="([^"]+)"', client.get(address).text)
        if not following:
            break
        address = urljoin("/runs/", html.unescape(following[1]))
    ours = bests(ROUNDS, partial(timed, partial(client.get, address)))[0]
    yield Figure(
        what=f"page 31 by cost, {whole:,} runs",
        ours=ours,
        floor=floor,
        floor_is="1,000 runs",
        targets=(value(LIMIT),),
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
