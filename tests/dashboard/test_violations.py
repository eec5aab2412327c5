"""What browsers report of the policy: counted by names of ours, and not a word of a page kept."""

import json
import logging
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from dashboard import signs, violations, vitals
from runs import notices

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]

HERE = "/csp-reports/"
OURS = {"sec-fetch-site": "same-origin"}


def told(**said: Any) -> dict[str, Any]:
    """A report as Chromium sends it."""
    usual = {
        "document-uri": "http://testserver/runs/run_secret/?q=privileged",
        "referrer": "http://testserver/runs/?q=privileged",
        "violated-directive": "script-src-elem",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'none'",
        "disposition": "enforce",
        "blocked-uri": "inline",
        "source-file": "http://testserver/runs/run_secret/",
        "script-sample": "privileged words",
    }
    return {"csp-report": usual | {name.replace("_", "-"): text for name, text in said.items()}}


def send(body: Any, client: Client | None = None, **headers: str) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = (client or Client()).post(
        HERE, raw, content_type="application/csp-report", headers=headers or OURS
    )
    assert answer.content == b""
    return answer.status_code


def counted() -> dict[tuple[str, ...], int]:
    return {tuple(found): count for found, count in violations.told().lately}


def test_every_policy_names_where_to_report(viewer_client: Client) -> None:
    for address in ("/runs/", "/accounts/login/", "/nothing/", "/s/wrong/"):
        policy = viewer_client.get(address)["Content-Security-Policy"]
        assert f"report-uri {HERE}" in policy, address


def test_a_report_is_counted_and_logged_by_names_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dashboard.violations"):
        assert send(told()) == 204
    assert counted() == {("script-src-elem", "inline", "run"): 1}
    assert caplog.messages == [
        "a browser stopped something on a page: script-src-elem, inline, on run"
    ]
    redis = notices.connection()
    kept = [redis.hgetall(key) for key in redis.scan_iter("runsheet:violations:2*")]
    assert b"secret" not in repr(kept).encode()
    assert b"privileged" not in repr(kept).encode()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"blocked-uri": "https://elsewhere.example/x?words"}, "elsewhere"),
        ({"blocked-uri": "http://testserver/static/x.js"}, "ours"),
        ({"blocked-uri": "http://[/"}, "elsewhere"),
        ({"source-file": "moz-extension://1/x.js"}, "extension"),
        ({"blocked-uri": "trusted-types-sink"}, "trusted-types-sink"),
    ],
)
def test_what_was_stopped_is_told_by_its_kind(said: dict[str, str], found: str) -> None:
    assert send(told(**said)) == 204
    assert [stopped for _, stopped, _ in counted()] == [found]


def test_words_that_are_none_of_ours_are_not_kept() -> None:
    odd = told(effective_directive="privileged", document_uri="http://testserver/privileged/x")
    assert send(odd) == 204
    assert counted() == {("other", "inline", "unknown"): 1}
    token = told(document_uri="http://testserver/s/tokentokentoken/")
    assert send(token) == 204
    assert ("script-src-elem", "inline", "shared-run") in counted()


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none", "origin": "http://testserver"},
        {"origin": "http://elsewhere.example"},
        {"origin": "http://[/"},
        {"accept": "*/*"},
    ],
)
def test_nobody_elses_page_reports_here(headers: dict[str, str]) -> None:
    assert send(told(), None, **headers) == 403
    assert counted() == {}


def test_a_browser_that_names_only_its_origin_is_believed() -> None:
    assert send(told(), origin="http://testserver") == 204


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff" * 20,
        [],
        {"csp-report": 1},
        {"csp-report": {"document-uri": 5}},
        told(document_uri="http://elsewhere.example/runs/"),
        told(document_uri="http://[/"),
        told(document_uri="javascript://testserver/x"),
    ],
)
def test_what_is_no_report_about_a_page_of_ours_counts_nothing(body: Any) -> None:
    assert send(body) == 400
    assert counted() == {}


def test_a_long_report_is_not_read() -> None:
    assert send(told(script_sample="x" * violations.LONGEST)) == 413
    assert counted() == {}


def test_reports_are_rationed_by_address_and_in_all() -> None:
    sent = [send(told()) for _ in range(violations.AN_ADDRESS + 5)]
    assert sent == [204] * violations.AN_ADDRESS + [429] * 5
    assert sum(counted().values()) == violations.AN_ADDRESS
    assert send(told(), Client(REMOTE_ADDR="203.0.113.9")) == 204
    notices.connection().incr("runsheet:violations:all", violations.ALL)
    assert send(told(), Client(REMOTE_ADDR="203.0.113.10")) == 429


def test_without_redis_a_report_is_dropped(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    notices.connection.cache_clear()
    try:
        assert send(told()) == 429
    finally:
        notices.connection.cache_clear()


def test_the_team_sees_it_on_the_status_page_and_in_the_metrics(viewer_client: Client) -> None:
    def sign() -> signs.Sign:
        return next(sign for sign in signs.of(vitals.now()) if sign.name == "Browsers")

    send(told(source_file="chrome-extension://1/x.js"))
    assert sign().state == signs.GOOD  # a reader's own extension is nothing of ours
    send(told())
    assert sign().state == signs.WARN
    assert "1 thing stopped" in sign().told
    page = viewer_client.get("/status/").text
    assert "inline (script-src-elem) on run." in page
    families = text_string_to_metric_families(Client().get("/metrics").text)
    samples = [s for family in families for s in family.samples if "csp" in s.name]
    assert [(s.labels, s.value) for s in samples if s.name.endswith("_total")] == [
        ({"directive": "script-src-elem"}, 2.0)
    ]
