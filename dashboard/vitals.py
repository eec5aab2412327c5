"""How the installation itself is doing, at one moment: for the status page, /readyz and /metrics.

Everything is read anew from the database and from Redis, so that any web process tells the same.
"""

import datetime as dt
import platform
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.utils import timezone

from dashboard import violations
from dashboard.audit.models import AuditHead
from dashboard.notices.models import Message
from runs import breaker, gauges, notices
from runs.models import Callback, Discovery, Poll, Run, Upstream

# A worker finishes a round of polls about once a second, if only to find nothing due.
DEAF_AFTER = 30  # seconds
LATE_AFTER = 60  # seconds
LOST_FOR = 300  # seconds that a worker is missed; what keeps it has started another by then
MOST_ERRORS = 20


class Redis(NamedTuple):
    """None in the others while it does not answer. `took_ms`: one trip there and back."""

    answers: bool
    took_ms: float | None = None
    version: str = ""
    memory: int | None = None
    clients: int | None = None
    waiting: int | None = None  # messages that no worker has taken


class Database(NamedTuple):
    answers: bool
    took_ms: float | None = None
    name: str = ""
    size: int | None = None  # bytes


class Outbox(NamedTuple):
    """Messages to people. `failing`: whose last try failed; `given_up`: in the last day;
    `reason`: of the latest of these."""

    waiting: int
    failing: int
    given_up: int
    reason: str


class Record(NamedTuple):
    """What the tables say, each asked by an index of what is rare, since every run that ever was
    has a poll. `leased`: of those that have a next time. `lag`: whole seconds by which the most
    overdue poll is late; None while Case.dev is left alone on purpose."""

    upstream: Upstream
    discovery: Discovery | None
    active: dict[str, int]
    due: int
    leased: int
    late: int
    failing: int
    quarantined: int
    lag: int | None
    audit_rows: int
    callbacks: int  # registered for runs that are active
    errors: list[Poll]  # with their runs, the latest first
    outbox: Outbox


class Vitals(NamedTuple):
    at: dt.datetime
    redis: Redis
    database: Database
    record: Record | None
    told: gauges.Told | None
    round_age: int | None  # seconds since any worker finished a round
    stopped: violations.Told | None  # by the policy, as browsers report

    @property
    def workers(self) -> list[gauges.Process]:
        return self.told.workers if self.told else []

    @property
    def live_workers(self) -> int:
        return sum(not self.is_silent(one) for one in self.workers)

    @property
    def lost_workers(self) -> list[str]:
        """Those that fell silent lately, without having ended as they were asked to."""
        since = self.at.timestamp() - LOST_FOR
        return [one.name for one in self.workers if self.is_silent(one) and one.seen_at > since]

    @property
    def streams(self) -> int:
        webs = self.told.webs if self.told else []
        return sum(one.streams for one in webs if not self.is_silent(one))

    def is_silent(self, process: gauges.Process) -> bool:
        return self.at.timestamp() - process.seen_at > gauges.SILENT_AFTER


def now() -> Vitals:
    at = timezone.now()
    known = _redis()
    told = _or_none(gauges.told, redis.RedisError) if known.answers else None
    database = _database()
    record = _or_none(lambda: _record(at), DatabaseError) if database.answers else None
    stopped = _or_none(violations.told, redis.RedisError) if known.answers else None
    return Vitals(at, known, database, record, told, round_age(), stopped)


def round_age() -> int | None:
    last_beat = notices.last_beat()
    return None if last_beat is None else max(0, int(time.time()) - last_beat)


def poll_lag(at: dt.datetime) -> int | None:
    """By how many whole seconds the most overdue poll is late; None while Case.dev is down.

    Then nothing is polled on purpose, and taking this machine out of service would help nobody.
    """
    upstream = Upstream.objects.filter(pk=Upstream.SOLE).first()
    if upstream is not None and (upstream.state != Upstream.State.UP or upstream.is_paused(at)):
        return None
    due_at = Poll.objects.due(at).order_by("due_at").values_list("due_at", flat=True).first()
    return 0 if due_at is None else max(0, int((at - due_at).total_seconds()))


def _or_none[T](ask: Callable[[], T], problem: type[Exception]) -> T | None:
    try:
        return ask()
    except problem:
        return None


def _redis() -> Redis:
    start = time.monotonic()
    try:
        info: Any = notices.connection().info()
        took = (time.monotonic() - start) * 1000
        name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
        number = info.get("valkey_version") or info.get("redis_version") or ""
    except redis.RedisError:
        return Redis(answers=False)
    return Redis(
        answers=True,
        took_ms=took,
        version=f"{name} {number}".strip(),
        memory=info.get("used_memory"),
        clients=info.get("connected_clients"),
        waiting=notices.waiting(),
    )


def _database() -> Database:
    start = time.monotonic()
    sizes = {
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        "postgresql": "SELECT pg_database_size(current_database())",
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            took = (time.monotonic() - start) * 1000
            cursor.execute(sizes[connection.vendor])
            (size,) = cursor.fetchone()
        number = ".".join(map(str, connection.get_database_version()))
    except DatabaseError:
        return Database(answers=False)
    return Database(True, took, f"{connection.display_name} {number}", size)


def _record(at: dt.datetime) -> Record:
    active = Run.objects.active().order_by().values_list("status").annotate(Count("pk"))
    failing = Poll.objects.filter(failures__gt=0)
    return Record(
        upstream=breaker.upstream(),
        discovery=Discovery.objects.filter(pk=Discovery.SOLE).first(),
        active={"queued": 0, "running": 0} | {str(status): count for status, count in active},
        due=Poll.objects.due(at).order_by().count(),
        leased=Poll.objects.scheduled().filter(leased_until__gt=at).count(),
        late=Poll.objects.late(at, dt.timedelta(seconds=15)).count(),
        failing=failing.count(),
        quarantined=Poll.objects.filter(quarantined_at__isnull=False).count(),
        lag=poll_lag(at),
        audit_rows=AuditHead.objects.values_list("number", flat=True).first() or 0,
        callbacks=Callback.objects.filter(
            run__status__in=Run.ACTIVE, registered_at__isnull=False
        ).count(),
        errors=list(
            failing.exclude(last_error="")
            .select_related("run")
            .only("run__run_id", "last_error", "last_error_at", "failures", "due_at")
            .order_by("-last_error_at")[:MOST_ERRORS]
        ),
        outbox=_outbox(at),
    )


def _outbox(at: dt.datetime) -> Outbox:
    due = Message.objects.filter(due_at__isnull=False)
    failing = due.exclude(reason="")
    given_up = Message.objects.filter(given_up_at__gt=at - dt.timedelta(days=1))
    latest = (failing | given_up).order_by("-pk").values_list("reason", flat=True)
    return Outbox(due.count(), failing.count(), given_up.count(), latest.first() or "")


@cache
def versions() -> dict[str, str]:
    """Of what this installation is made of; the same as long as the process lives."""
    found = {"Python": platform.python_version()}
    for name in ("Django", "celery", "redis", "httpx", "psycopg", "django-allauth"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {"Runsheet": settings.VERSION} | found
