"""Bodies of every kind, and answers that take too long."""

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runs.casedev.client import Client
from runs.casedev.errors import (
    CaseDevError,
    Unreachable,
    Unreadable,
)
from tests.runs.answers import KEY
from tests.runs.asking import streaming
from tests.runs.rawserver import RawServer, ok

# Bodies -------------------------------------------------------------------------------------------


def test_a_gzip_body_is_inflated_wherever_its_pieces_are_cut() -> None:
    whole = json.dumps({"output": "é" * 70_000 + "x" * 200_000}).encode()
    packed = gzip.compress(whole)
    for size in (1, 7, 100, len(packed)):
        pieces = (packed[start : start + size] for start in range(0, len(packed), size))
        assert streaming(pieces, content_encoding="gzip").details("run_1").body == whole


def test_a_large_answer_is_held_once() -> None:
    size = 2**16
    tracemalloc.start()
    try:
        body = streaming(bytes(size) for _ in range(160)).details("run_1").body
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) == 160 * size
    assert most < 1.5 * len(body)


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
        (b"HTTP/1.1 200 ", b"O"),  # not even a status line
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
        assert time.monotonic() - began > 0.3  # and not never, as the server would have it


def test_silence_ends_at_the_deadline() -> None:
    with RawServer(lambda peer: server.pause(60)) as server:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            Client(server.url, KEY, deadline=0.3).details("run_1")
        assert time.monotonic() - began < 30


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
