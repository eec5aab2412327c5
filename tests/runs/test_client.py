"""The client of Case.dev: what comes back for every kind of answer, and what never goes out."""

import datetime as dt
import gzip
import json
import logging
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from runs.casedev import client as module
from runs.casedev.client import BODY_CAP, Answer, Client, is_run_id
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
    Unreachable,
    Unreadable,
)
from tests.runs.answers import BASE, KEY, Pieces, client_of, reply
from tests.runs.rawserver import RawServer, ok


def answering(status: int, body: Any = b"", **headers: str) -> Client:
    """A client whose every request is answered so."""
    return client_of(lambda request: reply(body, status, **headers))


def failing(status: int, body: Any = b"", **headers: str) -> CaseDevError:
    with pytest.raises(CaseDevError) as caught:
        answering(status, body, **headers).details("run_1")
    return caught.value


def streaming(pieces: Iterator[bytes], body_cap: int = BODY_CAP, **headers: str) -> Client:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Pieces(pieces), headers=named)

    return client_of(answer, body_cap=body_cap)


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


# Bodies -------------------------------------------------------------------------------------------


def test_a_gzip_body_is_inflated_wherever_its_pieces_are_cut() -> None:
    whole = json.dumps({"output": "é" * 70_000 + "x" * 200_000}).encode()
    packed = gzip.compress(whole)
    for size in (1, 7, 100, len(packed)):
        pieces = (packed[start : start + size] for start in range(0, len(packed), size))
        assert streaming(pieces, content_encoding="gzip").details("run_1").body == whole


def test_all_members_of_a_gzip_body_are_read() -> None:
    packed = gzip.compress(b'{"id":') + gzip.compress(b'"run_1"}')
    for size in (3, len(packed)):
        pieces = (packed[start : start + size] for start in range(0, len(packed), size))
        answer = streaming(pieces, content_encoding="gzip").details("run_1")
        assert answer.body == b'{"id":"run_1"}'


def peak_while(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_is_refused_within_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeeze.compress(b"\0" * 2**20) for _ in range(200)) + squeeze.flush()
    client = streaming(iter([bomb]), body_cap=2 * 2**20, content_encoding="gzip")

    def ask() -> None:
        with pytest.raises(Unreadable, match="larger than 2 MB"):
            client.details("run_1")

    assert len(bomb) < 250_000
    assert peak_while(ask) < 6 * 2**20


def test_compressed_bytes_without_end_and_without_content_are_refused() -> None:
    empty = gzip.compress(b"")
    pieces = (empty * 1000 for _ in range(10_000))
    client = streaming(pieces, body_cap=2**20, content_encoding="gzip")
    with pytest.raises(Unreadable, match="larger than 1 MB"):
        client.details("run_1")


def test_garbage_after_the_end_of_a_gzip_body_is_refused() -> None:
    pieces = iter([gzip.compress(b"{}"), b"garbage" * 10])
    with pytest.raises(Unreadable, match="compression is broken"):
        streaming(pieces, content_encoding="gzip").details("run_1")


def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_all_here() -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b" " * 2**20

    with pytest.raises(Unreadable, match="larger than 64 MB and was refused"):
        streaming(pieces()).details("run_1")
    assert taken == 65


def test_a_body_as_large_as_the_cap_is_taken() -> None:
    body = b" " * 1000
    assert streaming(iter([body]), body_cap=1000).details("run_1").body == body
    with pytest.raises(Unreadable):
        streaming(iter([body]), body_cap=999).details("run_1")


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "x-gzip", "weird"])
def test_an_encoding_that_we_did_not_ask_for_is_refused(encoding: str) -> None:
    with pytest.raises(Unreadable, match="encoding"):
        streaming(iter([b"{}"]), content_encoding=encoding).details("run_1")


@pytest.mark.parametrize("encoding", ["identity", "", " ", "GZIP"])
def test_encodings_are_read_without_regard_to_case_and_identity_is_none(encoding: str) -> None:
    body = gzip.compress(b"{}") if encoding == "GZIP" else b"{}"
    assert streaming(iter([body]), content_encoding=encoding).details("run_1").body == b"{}"


def test_a_cut_off_gzip_body_is_no_answer() -> None:
    packed = gzip.compress(b"{}" * 1000)
    for end in (0, 5, len(packed) // 2, len(packed) - 1):
        with pytest.raises(Unreachable, match="broke off"):
            streaming(iter([packed[:end]]), content_encoding="gzip").details("run_1")


def test_a_broken_gzip_body_cannot_be_read() -> None:
    with pytest.raises(Unreadable, match="compression is broken"):
        streaming(iter([b"not gzip at all"]), content_encoding="gzip").details("run_1")


def test_a_body_shorter_than_it_says_is_no_answer() -> None:
    with (
        RawServer(lambda peer: peer.sendall(ok(b'{"id":"run_1"}', length=100))) as server,
        pytest.raises(Unreachable, match="broke off"),
    ):
        Client(server.url, KEY).details("run_1")


def test_what_comes_after_the_length_that_was_said_is_not_of_this_answer() -> None:
    with RawServer(lambda peer: peer.sendall(ok(b'{"id":"run_1"}', length=3))) as server:
        client = Client(server.url, KEY)
        assert client.details("run_1").body == b'{"i'  # no JSON, as its reader will find
        assert client.details("run_2").body == b'{"i'  # and the rest does not spoil the next


def test_a_body_that_breaks_off_is_no_answer() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    with (
        RawServer(lambda peer: peer.sendall(head + b'2\r\n{"\r\n')) as server,
        pytest.raises(Unreachable, match="broke off"),
    ):
        Client(server.url, KEY).details("run_1")


def test_what_is_not_http_is_no_answer() -> None:
    with (
        RawServer(lambda peer: peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as server,
        pytest.raises(Unreachable, match="broke off"),
    ):
        Client(server.url, KEY).details("run_1")


def test_nobody_listening_is_no_answer() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        Client("http://127.0.0.1:1", KEY).details("run_1")


def test_a_name_that_does_not_exist_is_no_answer() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        Client("http://nowhere.invalid", KEY).details("run_1")


def test_an_address_that_makes_no_sense_is_no_answer() -> None:
    with pytest.raises(Unreachable):
        Client("ftp://example.com", KEY).details("run_1")


# Time ---------------------------------------------------------------------------------------------


def drip(before: bytes, drop: bytes) -> RawServer:
    """A server that sends `before`, then one `drop` after another, slowly and for ever."""

    def script(peer: Any) -> None:
        peer.sendall(before)
        while True:
            server.pause(0.05)
            peer.sendall(drop)

    server = RawServer(script)
    return server


@pytest.mark.parametrize(
    ("before", "drop"),
    [
        (b"", b"H"),  # not even a status line
        (b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1"),
    ],
)
def test_a_trickling_answer_ends_at_the_deadline(before: bytes, drop: bytes) -> None:
    with drip(before, drop) as server:
        began = time.monotonic()
        with pytest.raises(CaseDevError):
            Client(server.url, KEY, deadline=0.4).details("run_1")
        assert 0.3 < time.monotonic() - began < 1.5


def test_silence_ends_at_the_deadline() -> None:
    with RawServer(lambda peer: server.pause(10)) as server:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            Client(server.url, KEY, deadline=0.3).details("run_1")
        assert time.monotonic() - began < 1.5


def test_a_connection_that_is_kept_serves_the_next_request_with_a_deadline_of_its_own() -> None:
    def script(peer: Any) -> None:
        for _ in range(3):
            peer.sendall(ok(b"{}"))
            peer.recv(65536)

    with RawServer(script) as server:
        client = Client(server.url, KEY, deadline=0.5)
        for _ in range(3):
            client.details("run_1")
            time.sleep(0.3)
        assert len(server.requests) == 1


def test_a_kept_connection_that_the_other_side_just_closed_is_no_failure() -> None:
    def script(peer: Any) -> None:
        peer.sendall(ok(b"{}"))
        peer.recv(65536)  # takes the next request and goes away without a word

    with RawServer(script) as server:
        client = Client(server.url, KEY)
        for _ in range(3):
            assert client.details("run_1").body == b"{}"
        assert len(server.requests) == 3


def test_a_new_connection_that_breaks_off_is_not_tried_again() -> None:
    with RawServer(lambda peer: None) as server:
        with pytest.raises(Unreachable, match="broke off"):
            Client(server.url, KEY).details("run_1")
        assert len(server.requests) == 1


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
