"""The status page: each part, well and not, and what to do."""

import datetime as dt
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import signs, vitals
from dashboard.audit.models import AuditEntry
from runs import gauges, notices
from runs.models import Discovery, Upstream
from tests.factories import make_run

pytestmark = pytest.mark.django_db


def all_well() -> None:
    notices.beat()
    gauges.round_ended([gauges.Polled("changed", 0.2, 0.05)])
    Discovery.objects.create(pk=1, found=4, walked_at=timezone.now(), last_ok_at=timezone.now())


def seen() -> dict[str, signs.Sign]:
    """What is said, on a machine that is not too busy to answer at once."""
    now = vitals.now()
    now = now._replace(database=now.database._replace(took_ms=0.5))
    return {sign.name: sign for sign in signs.of(now)}


def test_all_is_well(viewer_client: Client) -> None:
    all_well()
    make_run("running")
    html = viewer_client.get("/status/").content.decode()
    assert "Something needs somebody" not in html
    assert gauges.own_name() in html
    assert "0.2 s, 0.2 s" in html
    assert {sign.state for sign in seen().values()} == {signs.GOOD}
    assert {sign.advice for sign in seen().values()} == {""}
    assert signs.worst([*seen().values()]) == signs.GOOD


def test_who_is_a_stranger_sees_nothing(client: Client) -> None:
    for address in ("/status/", "/status/live/"):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")


def test_a_worker_that_fell_silent_is_missed_for_five_minutes() -> None:
    all_well()
    for age, state in ((10, signs.GOOD), (45, signs.WARN), (299, signs.WARN), (301, signs.GOOD)):
        notices.connection().zadd(gauges.WORKERS, {"other/7": time.time() - age})
        sign = seen()["Workers"]
        assert sign.state == state, age
        assert ("other/7 not heard of" in sign.told) is (state == signs.WARN)


def test_no_worker_and_no_beat_are_told_apart() -> None:
    all_well()
    notices.connection().set(notices.WORKER_KEY, int(time.time()) - 45)
    notices.connection().zadd(gauges.WORKERS, {gauges.own_name(): time.time() - 45})
    assert seen()["Workers"].state == signs.BAD
    assert seen()["Beat"].state == signs.BAD
    notices.connection().rpush("runsheet", "a message")
    assert seen()["Workers"].state == signs.BAD
    assert seen()["Beat"].state == signs.GOOD
    assert seen()["Beat"].told == "Ticks: 1 message waits that no worker takes."
    notices.connection().rpush("runsheet", "another")
    assert seen()["Beat"].told == "Ticks: 2 messages wait that no worker takes."


def test_what_redis_holds_is_counted_in_whole_words() -> None:
    all_well()
    known = vitals.now()
    for clients, words in ((1, "1 client."), (1_200, "1,200 clients.")):
        redis = known.redis._replace(clients=clients)
        sign = next(one for one in signs.of(known._replace(redis=redis)) if one.name == "Redis")
        assert sign.told.endswith(f" ms, {words}")


@pytest.mark.parametrize(
    ("fields", "state", "words"),
    [
        ({"state": "refused", "last_error": "Case.dev answered 401."}, "bad", "Refuses our key"),
        ({"state": "down", "last_error": "Case.dev answered 503."}, "bad", "is not answering"),
        ({"paused_until": timezone.now() + dt.timedelta(hours=9)}, "warn", "to slow down"),
        ({"last_ok_at": timezone.now()}, "good", "Answers."),
    ],
)
def test_the_breaker_and_its_next_probe_are_told(
    fields: dict[str, Any], state: str, words: str
) -> None:
    probe = timezone.now() + dt.timedelta(minutes=5, seconds=30)
    Upstream.objects.create(pk=1, **({"probe_at": probe} | fields))
    sign = seen()["Case.dev"]
    assert sign.state == state
    assert words in sign.told
    assert bool(sign.advice) is (state != "good")
    assert state != "bad" or "Next try in 5 min" in sign.told


def test_late_polls_and_errors_are_told_with_their_runs(viewer_client: Client) -> None:
    all_well()
    now = timezone.now()
    make_run("running", poll_due_at=now - dt.timedelta(minutes=3))
    bad = make_run(
        "running", poll_failures=3, poll_last_error="<i>Case.dev answered 500.</i>",
        poll_last_error_at=now, poll_quarantined_at=now,
    )  # fmt: skip
    assert seen()["Polls"].state == signs.BAD
    assert "by 18" in seen()["Polls"].told
    html = viewer_client.get("/status/live/").content.decode()
    assert html.lstrip().startswith('<div id="vitals"')
    assert f'href="/runs/{bad.run_id}/"' in html
    assert "&lt;i&gt;Case.dev answered 500." in html
    assert "1 run whose answers cannot be read" in html
    assert "✕ Something needs somebody." in html


def test_without_redis_the_page_says_so_and_what_to_do(
    viewer_client: Client, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    notices.connection.cache_clear()
    try:
        html = viewer_client.get("/status/").content.decode()
    finally:
        notices.connection.cache_clear()
    assert "Start it, or correct REDIS_URL." in html
    assert "Unknown while Redis is away." in html


def test_a_page_that_is_open_for_long_leaves_one_row_in_the_log(viewer_client: Client) -> None:
    for _ in range(3):
        assert viewer_client.get("/status/live/").status_code == 200
    assert AuditEntry.objects.filter(page="status-live").count() == 1
    viewer_client.get("/status/")
    assert AuditEntry.objects.filter(page="status").count() == 1
