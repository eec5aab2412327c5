"""`/metrics`: what Prometheus asks for.

Read at the moment of asking from the database and Redis, where all processes together keep it, so
that it does not matter which web process answers. Only names of states and outcomes are labels:
no run, no person, no text of Case.dev.
"""

import hmac
import ipaddress
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from dashboard import vitals
from dashboard.vitals import Outbox, Record, Vitals
from runs import gauges
from runs.models import Upstream
from runs.poller import Outcome
from runs.secret import Secret


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """403 to whoever may not ask; with METRICS_TOKEN set, the token alone opens it."""
    if not may_ask(request):
        return HttpResponse("Forbidden\n", status=403, content_type="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(OfVitals(vitals.now()))
    return HttpResponse(encode(registry), content_type=content_type)


def may_ask(request: HttpRequest) -> bool:
    wanted = Secret(settings.METRICS_TOKEN).reveal()
    if wanted:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), wanted.encode())
        return kind.lower() == "bearer" and is_right
    return _is_of_this_machine(request)


def _is_of_this_machine(request: HttpRequest) -> bool:
    """What came through a proxy is not, wherever the proxy runs."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class OfVitals(Collector):
    """One answer's worth of metrics; what is unknown for the moment is left out."""

    def __init__(self, seen: Vitals) -> None:
        self.seen = seen

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        seen = self.seen
        named = {"version": vitals.versions()["Runsheet"]}
        yield _labelled("build", "The version that answers.", "version", {named["version"]: 1})
        yield _gauge("database_up", "Whether the database answers.", int(seen.database.answers))
        yield _gauge("redis_up", "Whether Redis answers.", int(seen.redis.answers))
        if seen.database.size is not None:
            yield _gauge("database_bytes", "Size of the database.", seen.database.size)
        if seen.redis.waiting is not None:
            told = "Messages that no worker has taken."
            yield _gauge("messages_waiting", told, seen.redis.waiting)
        if seen.round_age is not None:
            told = "Seconds since a worker ended a round of polls."
            yield _gauge("round_age_seconds", told, seen.round_age)
        if seen.told:
            yield from of_processes(seen, seen.told)
        if seen.stopped:
            told = "What browsers report that the policy of our pages stopped."
            family = CounterMetricFamily("runsheet_csp_violations", told, labels=["directive"])
            for directive, count in seen.stopped.ever.items():
                family.add_metric([directive], count)
            yield family
        if seen.record:
            yield from of_record(seen.record)


def of_processes(seen: Vitals, told: gauges.Told) -> Iterator[Metric]:
    yield _gauge("workers", "Workers that ended a round lately.", seen.live_workers)
    yield _gauge("streams_open", "Open live streams, over all web processes.", seen.streams)
    polls = CounterMetricFamily("runsheet_polls", "Polls by what came of them.", labels=["outcome"])
    for outcome in Outcome:
        polls.add_metric([outcome.value], told.polls.get(outcome.value, 0))
    yield polls
    yield _histogram("casedev_request_seconds", "How long Case.dev took to answer.", told.latency)
    yield _histogram("poll_lag_seconds", "From when a poll was due to its claim.", told.lag)
    callbacks = "Callbacks of Case.dev that were taken."
    yield CounterMetricFamily("runsheet_callbacks_received", callbacks, value=told.callbacks)


def of_record(record: Record) -> Iterator[Metric]:
    yield _labelled("runs_active", "Runs that have not ended.", "status", record.active)
    yield _gauge("polls_due", "Runs that are due and not being asked about.", record.due)
    yield _gauge("polls_leased", "Runs that are being asked about.", record.leased)
    yield _gauge("polls_failing", "Runs whose last poll failed.", record.failing)
    yield _gauge("polls_quarantined", "Runs whose answers cannot be read.", record.quarantined)
    if record.lag is not None:
        yield _gauge("poll_overdue_seconds", "Delay of the most overdue poll.", record.lag)
    states = {state.value: int(record.upstream.state == state) for state in Upstream.State}
    yield _labelled("casedev_state", "Circuit breaker of the API key.", "state", states)
    if record.upstream.last_ok_at:
        told = "When Case.dev last answered, to 5 s."
        at = record.upstream.last_ok_at.timestamp()
        yield _gauge("last_poll_timestamp_seconds", told, at)
    if record.discovery and record.discovery.last_ok_at:
        told, at = "When the list was last read.", record.discovery.last_ok_at.timestamp()
        yield _gauge("last_discovery_timestamp_seconds", told, at)
    rows = "Rows of the audit log."
    yield CounterMetricFamily("runsheet_audit_rows", rows, value=record.audit_rows)
    registered = "Active runs whose end Case.dev was asked to call back about."
    yield _gauge("callbacks_registered", registered, record.callbacks)
    yield from _of_outbox(record.outbox)


def _of_outbox(outbox: Outbox) -> Iterator[Metric]:
    yield _gauge("notices_waiting", "Messages to people that are not sent yet.", outbox.waiting)
    yield _gauge("notices_failing", "Of these, those whose last try failed.", outbox.failing)
    yield _gauge("notices_given_up", "Given up in the last day.", outbox.given_up)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"runsheet_{name}", told, value=value)


def _labelled(name: str, told: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"runsheet_{name}", told, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _histogram(name: str, told: str, seen: gauges.Histogram) -> Metric:
    buckets, below = [], 0
    for bound, count in zip([*map(str, seen.bounds), "+Inf"], seen.counts, strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(f"runsheet_{name}", told, buckets=buckets, sum_value=seen.total)
