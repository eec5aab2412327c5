"""`/metrics`: what Prometheus reads, who may, and what it never tells."""

import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from runs import gauges, notices
from runs.models import Upstream
from runs.secret import Secret
from tests.factories import make_run
from tests.product import ROOT
from tests.runs.polling import Api, due_run, now_details

TOKEN = "a-token-of-32-characters-for-tests"


def read(client: Client, **headers: str) -> dict[str, Any]:
    """Sample value by name and labels."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


@pytest.mark.django_db(transaction=True)
def test_what_workers_did_is_counted_over_all_processes(client: Client) -> None:
    good, other, bad = due_run(), due_run(), due_run()
    api = Api(now_details)
    api.says[bad.run_id] = b"not json"
    api.poll()
    make_run("queued")
    notices.beat()
    gauges.web_told(3)
    told = read(client)
    assert told["runsheet_polls_total outcome=changed"] == 2
    assert told["runsheet_polls_total outcome=failed"] == 1
    assert told["runsheet_polls_total outcome=late"] == 0
    assert told["runsheet_casedev_request_seconds_count"] == 3
    assert told["runsheet_poll_lag_seconds_bucket le=+Inf"] == 3
    assert told["runsheet_poll_lag_seconds_bucket le=0.25"] == 0
    assert told["runsheet_poll_lag_seconds_sum"] >= 3
    assert told["runsheet_runs_active status=queued"] == 1
    assert told["runsheet_polls_failing"] == 1
    assert told["runsheet_streams_open"] == 3
    assert told["runsheet_workers"] == 1
    assert told["runsheet_casedev_state state=up"] == 1
    assert told["runsheet_casedev_state state=down"] == 0
    assert time.time() - told["runsheet_last_poll_timestamp_seconds"] < 60
    assert told["runsheet_database_up"] == told["runsheet_redis_up"] == 1
    body = client.get("/metrics").content.decode()
    assert not any(run.run_id in body or str(run.prompt) in body for run in (good, other, bad))
    assert len(body.splitlines()) < 150


@pytest.mark.django_db
def test_the_breaker_and_a_silent_worker_are_seen(client: Client) -> None:
    Upstream.objects.create(pk=1, state=Upstream.State.DOWN, since=timezone.now())
    gauges.round_ended([])
    notices.connection().zadd(gauges.WORKERS, {gauges.own_name(): time.time() - 60})
    told = read(client)
    assert told["runsheet_casedev_state state=down"] == 1
    assert told["runsheet_workers"] == 0
    assert "runsheet_poll_overdue_seconds" not in told


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.9", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
        ("", {}, 403),
    ],
)
def test_without_a_token_only_this_machine_may_ask(
    client: Client, address: str, headers: dict[str, str], status: int
) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address, headers=headers).status_code == status


@pytest.mark.django_db
def test_with_a_token_the_token_alone_opens_it(
    client: Client, settings: Any, viewer_client: Client
) -> None:
    settings.METRICS_TOKEN = Secret(TOKEN)
    for given in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ***"):
        assert client.get("/metrics", headers={"Authorization": given}).status_code == 403, given
    assert viewer_client.get("/metrics").status_code == 403
    right = client.get(
        "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, REMOTE_ADDR="10.0.0.9"
    )
    assert right.status_code == 200
    assert "no-store" in right["Cache-Control"]
    assert client.post("/metrics").status_code == 405


@pytest.mark.django_db
def test_without_redis_what_the_database_knows_is_still_told(client: Client, settings: Any) -> None:
    make_run("running")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    notices.connection.cache_clear()
    try:
        told = read(client)
    finally:
        notices.connection.cache_clear()
    assert told["runsheet_redis_up"] == 0
    assert told["runsheet_runs_active status=running"] == 1
    assert "runsheet_polls_total outcome=changed" not in told


@pytest.mark.django_db
def test_asking_leaves_no_trace_in_the_audit_log(client: Client) -> None:
    from dashboard.audit.models import AuditEntry

    read(client)
    assert not AuditEntry.objects.filter(page="metrics").exists()


@pytest.mark.django_db(transaction=True)
def test_the_operations_page_names_every_metric(client: Client) -> None:
    Api(now_details).poll()
    notices.beat()
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    body = client.get("/metrics").content.decode()
    names = {family.name for family in text_string_to_metric_families(body)}
    assert len(names) > 15
    assert {name for name in names if f"`{name}" not in page} == set()
