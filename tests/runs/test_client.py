"""The client of Case.dev: what comes back for every kind of answer, and what never goes out."""

import datetime as dt
import gzip
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from runs.casedev import client as module
from runs.casedev.client import Answer, Client, is_run_id
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
    Unreachable,
)
from tests.runs.answers import BASE, KEY, client_of, reply
from tests.runs.asking import answering, failing
from tests.runs.rawserver import RawServer, ok

# What goes out ------------------------------------------------------------------------------------


def test_each_method_asks_its_own_address_with_the_key() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return reply({})

    client = Client(f"{BASE}/", KEY, transport=httpx.MockTransport(answer))
    client.details("run_1")
    client.runs()
    client.runs("run_9", 250)
    client.agents()
    client.agent("agent_x")
    assert [str(request.url) for request in asked] == [
        f"{BASE}/agent/v1/run/run_1/details",
        f"{BASE}/agent/v1/run?limit=50",
        f"{BASE}/agent/v1/run?limit=250&cursor=run_9",
        f"{BASE}/agent/v1/agents?limit=250",
        f"{BASE}/agent/v1/agents/agent_x",
    ]
    assert {request.headers["authorization"] for request in asked} == {f"Bearer {KEY}"}
    assert {request.headers["accept-encoding"] for request in asked} == {"gzip"}


@pytest.mark.parametrize(
    "identifier",
    [
        *("", ".", "..", "../agents", "run/1", "run_1/details", "run_1?x=1", "run_1#x", "run 1"),
        *("run_1\n", "run_1\r\nHost: x", "run%2F1", "rün_1", "run_１", "r" * 129, "run_1\x00"),
    ],
)
def test_what_cannot_be_an_id_is_never_put_into_an_address(identifier: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked for")

    client = client_of(answer)
    assert not is_run_id(identifier)
    with pytest.raises(ValueError, match="not an identifier"):
        client.details(identifier)
    with pytest.raises(ValueError, match="not an identifier"):
        client.agent(identifier)


@pytest.mark.parametrize("identifier", ["run_abc123", "-", "A" * 128, "cm8x_Z-9"])
def test_what_can_be_an_id_is_one(identifier: str) -> None:
    assert is_run_id(identifier)


def test_a_cursor_is_quoted_whatever_it_holds() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["cursor"])
        return reply({})

    client = client_of(answer)
    for cursor in ("a b&limit=1", "../../x?y#z", "é%00", "run_1\r\nX: y"):
        client.runs(cursor)
        assert asked[-1] == cursor


def test_a_cursor_too_long_for_an_address_is_an_error_of_the_known_kind() -> None:
    with pytest.raises(CaseDevError):
        answering(200, {}).runs("x" * 100_000)


def test_without_a_key_no_https_host_is_asked() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("a request was made")

    client = Client(BASE, "", transport=httpx.MockTransport(answer))
    with pytest.raises(KeyRefused, match="CASEDEV_API_KEY is not set"):
        client.details("run_1")
    with pytest.raises(KeyRefused):
        client.runs()


def test_without_a_key_a_stand_in_on_plain_http_is_asked_without_a_header() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return reply({})

    Client("http://127.0.0.1:9", "", transport=httpx.MockTransport(answer)).details("run_1")
    assert "authorization" not in asked[0].headers


def test_neither_proxies_nor_netrc_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hidden\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(lambda peer: peer.sendall(ok(b"{}"))) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        Client(server.url, "").details("run_1")
        assert b"uthorization" not in server.requests[0]


# What comes back ----------------------------------------------------------------------------------


def test_an_answer_is_its_bytes_and_when_they_came() -> None:
    before = dt.datetime.now(dt.UTC)
    answer = answering(200, b'{"id": "run_1"}').details("run_1")
    assert answer.body == b'{"id": "run_1"}'
    assert before <= answer.received_at <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, KeyRefused),
        (403, Forbidden),
        (404, NotFound),
        (405, Rejected),
        (408, Unavailable),
        (409, Unavailable),
        (410, NotFound),
        (422, Rejected),
        (425, Unavailable),
        (429, RateLimited),
        (451, Rejected),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (599, Unavailable),
    ],
)
def test_each_status_is_one_kind_of_error(status: int, kind: type[CaseDevError]) -> None:
    error = failing(status, {"error": {"code": "X", "message": "Words of the API"}})
    assert type(error) is kind
    assert error.sentence == f"Case.dev answered {status}: Words of the API"
    assert error.is_transient is (kind in (Unavailable, RateLimited))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"code": "NOT_FOUND", "message": "No such run"}}, ": No such run"),
        ({"error": {"message": "Slow down", "type": "rate_limit_error"}}, ": Slow down"),
        ({"error": "Plain words"}, ": Plain words"),
        ({"message": "Top level"}, ": Top level"),
        ({"error": {"code": "X"}, "message": "Second best"}, ": Second best"),
        ({"error": {"message": "  two\n\tlines\x00 "}}, ": two lines"),
        ({"error": {"message": "x" * 5000}}, ": " + "x" * 300),
        ({"error": {"message": ["no", "text"]}}, "."),
        ({"error": {"message": ""}}, "."),
        ({"error": None}, "."),
        ([], "."),
        (None, "."),
        (b"<html><body>502 Bad Gateway</body></html>", "."),
        (b"", "."),
        (b"\xff\xfe\x00", "."),
        (b"[" * 50_000, "."),
        (b"1" * 5_000, "."),
        (b'{"error": "' + b"x" * 100_000 + b'"}', "."),
    ],
)
def test_an_error_says_the_words_that_the_api_gave_if_it_gave_any(body: Any, words: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert failing(503, raw).sentence == f"Case.dev answered 503{words}"


def test_words_in_a_compressed_error_are_read() -> None:
    body = gzip.compress(b'{"message": "Words"}')
    assert failing(500, body, content_encoding="gzip").sentence.endswith(": Words")


def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return reply(status=302, location="https://elsewhere.example/")

    client = client_of(answer)
    with pytest.raises(Rejected, match="redirect, which we do not follow"):
        client.details("run_1")
    assert asked == [f"{BASE}/agent/v1/run/run_1/details"]


@pytest.mark.parametrize("status", [401, 404, 429])
def test_the_status_counts_even_when_its_body_breaks_off(status: int) -> None:
    head = f"HTTP/1.1 {status} No\r\ncontent-length: 500\r\n\r\n".encode()
    with RawServer(lambda peer: peer.sendall(head + b'{"mess')) as server:
        with pytest.raises(CaseDevError) as caught:
            Client(server.url, KEY).details("run_1")
        assert caught.value.sentence == f"Case.dev answered {status}."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"x_ratelimit_reset_requests": "1m30s"}, 90),
        ({}, None),
    ],
)
def test_a_rate_limit_tells_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert failing(429, **headers).retry_after == seconds


def test_the_time_of_the_next_quota_is_no_wish_to_be_left_alone() -> None:
    # The header is on every answer; after a 500 it tells nothing about when to come back.
    assert failing(500, x_ratelimit_reset_requests="45s").retry_after is None
    assert failing(503, retry_after="9", x_ratelimit_reset_requests="45s").retry_after == 9


# The key ------------------------------------------------------------------------------------------


def all_that_can_be_told(error: BaseException) -> str:
    """Everything that a log, a debug page or an error tracker could show of `error`."""
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    seen: list[BaseException | None] = [error]
    while seen:
        each = seen.pop()
        if each is not None:
            told += f"{each!s} {each!r} {each.args!r} {vars(each)!r}"
            seen += [each.__cause__, each.__context__]
            told += "".join(
                traceback.TracebackException.from_exception(each, capture_locals=True).format()
            )
    return told


def raised_by(act: Callable[[], object]) -> CaseDevError:
    with pytest.raises(CaseDevError) as caught:
        act()
    return caught.value


def refuses(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"failed with {request.headers.raw}", request=request)


def echoes(request: httpx.Request) -> httpx.Response:
    sent = request.headers["authorization"]
    return reply({"error": {"message": f"Invalid key: {sent}"}}, 401)


@pytest.mark.parametrize("act", [refuses, echoes])
def test_the_key_is_in_nothing_that_an_error_can_tell(
    act: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of(act)
    error = raised_by(lambda: client.details("run_1"))
    assert KEY not in all_that_can_be_told(error)
    assert KEY not in caplog.text
    assert KEY not in repr(client) + str(client) + repr(vars(client))


def test_the_key_is_in_nothing_that_a_real_connection_can_tell(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def script(peer: Any) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")

    with RawServer(script) as server:
        error = raised_by(lambda: Client(server.url, KEY).details("run_1"))
        assert KEY.encode() in server.requests[0]
    assert KEY not in all_that_can_be_told(error)
    assert KEY not in caplog.text


def test_a_process_has_one_client_made_from_the_settings(settings: Any) -> None:
    settings.CASEDEV_BASE_URL, settings.CASEDEV_API_KEY = "http://127.0.0.1:1", KEY
    module.client.cache_clear()
    assert module.client() is module.client()
    assert isinstance(raised_by(lambda: module.client().runs()), Unreachable)


def test_an_answer_does_not_print_its_body() -> None:
    answer = Answer(b"privileged text", dt.datetime.now(dt.UTC))
    assert "privileged" not in repr(answer)
