"""Answers that are slow, endless, cut, of a wrong length, badly chunked, bombs, in other encodings,
or lead elsewhere: refused within the deadline and the cap, and the last good state is kept."""

import gzip
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from random import Random

import pytest

from runs import poller
from runs.casedev.client import Client
from runs.casedev.errors import CaseDevError
from runs.models import Run
from tests.chaos.rows import Cases
from tests.runs.answers import KEY, details
from tests.runs.polling import Api, claim_of, due_run, make_due, poll_of
from tests.runs.rawserver import RawServer, Script, ok, saying

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either, pytest.mark.timeout(0)]
DEADLINE, CAP = 0.3, 512 * 1024
SLACK = 2.0
GOOD = details(id="run_1")
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b"\0" * 50_000_000, 9)


@pytest.mark.row("bodies")
def test_answers_that_are_broken_in_every_way_change_nothing(cases: Cases) -> None:
    run = due_run(run_id="run_1")
    Api(GOOD).poll()
    known = Run.objects.values().get(pk=run.pk)
    spoilt: list[Script] = []
    with RawServer(lambda peer: spoilt[0](peer)) as server:
        client = Client(server.url, KEY, deadline=DEADLINE, body_cap=CAP)
        for case in cases:
            name, script = WAYS[case.number % len(WAYS)]
            spoilt[:] = [script(case.chance)]
            make_due(run, leased_until=None, quarantined_at=None, failures=0, sync_failures=0)
            begun = time.monotonic()
            report = poller.poll(claim_of(run), poller.Round(client))
            took = time.monotonic() - begun
            cases.within(DEADLINE + SLACK, took, f"{name}: it was refused")
            assert report.outcome is poller.Outcome.FAILED, f"{name}: {report.outcome}"
            assert isinstance(report.error, CaseDevError), name
            assert Run.objects.values().get(pk=run.pk) == known, name
            assert poll_of(run).last_error, name
            assert poll_of(run).leased_until is None, name
        client.close()


def test_a_bomb_takes_no_more_memory_than_the_cap() -> None:
    script = _bomb(Random(1))
    with RawServer(script) as server:
        client = Client(server.url, KEY, body_cap=CAP)
        tracemalloc.start()
        try:
            with pytest.raises(CaseDevError):
                client.details("run_1")
            assert tracemalloc.get_traced_memory()[1] < 6 * CAP
        finally:
            tracemalloc.stop()


def _slow_head(chance: Random) -> Script:
    def script(peer: socket.socket) -> None:
        for byte in ok(GOOD)[: chance.randrange(5, 60)]:
            peer.sendall(bytes([byte]))
            time.sleep(0.02)

    return script


def _slow_body(chance: Random) -> Script:
    def script(peer: socket.socket) -> None:
        peer.sendall(ok(b"", length=len(GOOD)))
        for byte in GOOD[: chance.randrange(15, 40)]:
            peer.sendall(bytes([byte]))
            time.sleep(0.02)

    return script


def _silence(chance: Random) -> Script:
    said = ok(GOOD)[: chance.choice((0, 3, 20, 60))]

    def script(peer: socket.socket) -> None:
        peer.sendall(said)
        peer.settimeout(DEADLINE * 2)
        try:
            peer.recv(1)
        except TimeoutError:
            return

    return script


def _endless(chance: Random) -> Script:
    is_chunked = chance.random() < 0.5
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if is_chunked else b" " * 65536

    def script(peer: socket.socket) -> None:
        peer.sendall(CHUNKED if is_chunked else HEAD + b"\r\n")
        for _ in range(200):
            peer.sendall(piece)

    return script


def _endless_head(chance: Random) -> Script:
    line = b"x-%d: " % chance.randrange(10) + b"y" * 60_000 + b"\r\n"
    return saying(HEAD, *[line] * 4)


def _cut(chance: Random) -> Script:
    return saying(ok(GOOD)[: chance.randrange(1, len(ok(GOOD)) - 1)])


def _reset(chance: Random) -> Script:
    said = ok(GOOD)[: chance.randrange(0, len(GOOD))]

    def script(peer: socket.socket) -> None:
        peer.sendall(said)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def _longer(chance: Random) -> Script:
    return saying(ok(GOOD, length=len(GOOD) + chance.randrange(1, 10_000)))


def _shorter(chance: Random) -> Script:
    return saying(ok(GOOD, length=chance.randrange(1, len(GOOD) - 1)))


def _bad_length(chance: Random) -> Script:
    words = chance.choice((b"-1", b"abc", b"1e3", b"99999999999999999999", b"5, 6"))
    return saying(HEAD + b"content-length: " + words + b"\r\n\r\n" + GOOD[:5])


def _bad_chunks(chance: Random) -> Script:
    sizes = (
        b"zz\r\n",
        b"-5\r\n",
        b"5\r\nabc\r\n",
        b"\r\n",
        b"5",
        b"2\r\n{}0\r\n\r\n",
        b"G\r\n{}\r\n",
    )
    return saying(CHUNKED + chance.choice(sizes))


def _bomb(chance: Random) -> Script:
    return saying(ok(BOMB, "content-encoding: gzip"))


def _bad_gzip(chance: Random) -> Script:
    packed = bytearray(gzip.compress(GOOD))
    if chance.random() < 0.5:
        return saying(
            ok(bytes(packed[: chance.randrange(1, len(packed))]), "content-encoding: gzip")
        )
    packed[chance.randrange(20, len(packed))] ^= 0xFF
    packed[0] ^= 0xFF
    return saying(ok(bytes(packed), "content-encoding: gzip"))


def _other_encoding(chance: Random) -> Script:
    name = chance.choice(("br", "deflate", "zstd", "compress", "gzip, gzip", "x-unknown"))
    return saying(ok(zlib.compress(GOOD), f"content-encoding: {name}"))


def _redirect(chance: Random) -> Script:
    status = chance.choice((300, 301, 302, 303, 307, 308))
    where = chance.choice(
        ("http://169.254.169.254/", "//elsewhere.example/", "file:///etc/passwd", "/", "\x7f")
    )
    return saying(
        f"HTTP/1.1 {status} Go\r\nlocation: {where}\r\ncontent-length: 0\r\n\r\n".encode()
    )


def _not_http(chance: Random) -> Script:
    said = (b"SSH-2.0-x\r\n", b"\x16\x03\x01", b"HTTP/9.9 200 OK\r\n\r\n", b"<html>", b"\0" * 99)
    return saying(chance.choice(said))


def _not_json(chance: Random) -> Script:
    said = (
        b"",
        b"<html>",
        GOOD[:-1],
        b"[]",
        b"\xff",
        b"null",
        b'"text"',
        b"{" * 5_000,
        GOOD + b"}",
    )
    return saying(ok(chance.choice(said)))


WAYS: list[tuple[str, Callable[[Random], Script]]] = [
    (way.__name__.strip("_"), way)
    for way in (
        *(_cut, _reset, _longer, _shorter, _bad_length, _bad_chunks, _bad_gzip, _other_encoding),
        *(_redirect, _not_http, _not_json, _endless_head, _endless, _bomb),
        *(_slow_head, _slow_body, _silence),
    )
]
