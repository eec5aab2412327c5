"""`/healthz` and `/readyz`: open to machines without an account, and true."""

import datetime as dt
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from runs import notices
from runs.models import Poll, Upstream
from tests.factories import make_run


def ready(client: Client, expected_status: int) -> dict[str, Any]:
    answer = client.get("/readyz")
    assert answer.status_code == expected_status
    assert "no-store" in answer["Cache-Control"]
    told: dict[str, Any] = answer.json()
    assert told["ready"] is (expected_status == 200)
    return told


def overdue(seconds: int, **fields: Any) -> Poll:
    poll = Poll.objects.get_or_create(run=make_run("running"))[0]
    due_at = timezone.now() - dt.timedelta(seconds=seconds)
    Poll.objects.filter(pk=poll.pk).update(**{"due_at": due_at, "leased_until": None} | fields)
    return poll


def test_healthz_asks_neither_the_database_nor_for_a_login(client: Client) -> None:
    answer = client.get("/healthz")  # without the mark, a query would fail this test
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405


def test_healthz_needs_no_https(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 301


@pytest.mark.django_db
def test_ready_while_a_worker_finishes_rounds(client: Client) -> None:
    notices.beat()
    told = ready(client, 200)
    assert told["worker"]["ok"] is True
    assert told["worker"]["last_round_seconds_ago"] < 5
    assert told["polls"] == {"ok": True, "late_by_seconds": 0}


@pytest.mark.django_db
def test_not_ready_before_any_worker_finished_a_round(client: Client) -> None:
    assert ready(client, 503)["worker"] == {"ok": False, "last_round_seconds_ago": None}


@pytest.mark.django_db
def test_not_ready_with_a_deaf_worker(client: Client) -> None:
    with redis.Redis.from_url(django_settings.REDIS_URL) as broker:
        broker.set(notices.WORKER_KEY, int(timezone.now().timestamp()) - 45)
    told = ready(client, 503)
    assert told["worker"]["ok"] is False
    assert told["worker"]["last_round_seconds_ago"] >= 45


@pytest.mark.django_db
def test_not_ready_while_polls_are_long_overdue(client: Client) -> None:
    notices.beat()
    overdue(20)
    assert 20 <= ready(client, 200)["polls"]["late_by_seconds"] < 30
    overdue(90)
    told = ready(client, 503)
    assert told["polls"]["ok"] is False
    assert 90 <= told["polls"]["late_by_seconds"] < 100


@pytest.mark.django_db
def test_a_poll_in_progress_or_never_due_is_not_late(client: Client) -> None:
    notices.beat()
    overdue(90, leased_until=timezone.now() + dt.timedelta(seconds=30))
    overdue(90, due_at=None)
    assert ready(client, 200)["polls"]["late_by_seconds"] == 0


@pytest.mark.django_db
def test_an_outage_of_the_api_does_not_take_the_site_out_of_service(client: Client) -> None:
    notices.beat()
    overdue(900)
    Upstream.objects.update_or_create(pk=1, defaults={"state": Upstream.State.DOWN})
    assert ready(client, 200)["polls"] == {"ok": True, "late_by_seconds": None}


@pytest.mark.django_db
def test_not_ready_without_a_broker(client: Client, settings: Any) -> None:
    notices.beat()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    notices.connection.cache_clear()
    try:
        told = ready(client, 503)
    finally:
        notices.connection.cache_clear()
    assert told["broker"] == {"ok": False}
    assert told["database"] == {"ok": True}


@pytest.mark.django_db(transaction=True)
def test_not_ready_without_a_database(client: Client) -> None:
    notices.beat()
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "/missing/database"
    try:
        told = ready(client, 503)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
    assert told["database"] == {"ok": False}
    assert "missing" not in str(told)
