"""The connection to Case.dev: which answers are taken, and when it serves another request."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runs.casedev.client import Client
from runs.casedev.connection import HEAD_CAP
from runs.casedev.errors import CaseDevError, Unreachable
from runs.casedev.network import Transport
from tests.runs.answers import KEY
from tests.runs.rawserver import RawServer, Script, ok, saying

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def asked_twice(script: Script) -> int:
    """How many connections two requests took."""
    with RawServer(script) as server:
        client = Client(server.url, KEY)
        for _ in range(2):
            assert client.details("run_1").body == b"{}"
        client.close()
        return len(server.requests)


# Answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        ok(b"{}"),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ok(b"{}"),
        CHUNKED + b"1;part=1\r\n{\r\n1\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n",
        CHUNKED.replace(b"chunked", b"Chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",  # it lasts until the connection ends
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 \r\nCONTENT-LENGTH:2\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_answer_is_read_however_it_is_framed_and_cut(said: bytes, size: int) -> None:
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    with RawServer(saying(*pieces)) as server:
        assert Client(server.url, KEY).details("run_1").body == b"{}"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n{}",
        CHUNKED + b"2\r\n{}",
        CHUNKED + b"fffffffffffffffff\r\n",
    ],
)
def test_an_answer_that_can_be_read_in_two_ways_or_does_not_end_is_none(said: bytes) -> None:
    with RawServer(saying(said)) as server:
        with pytest.raises(Unreachable, match="broke off"):
            Client(server.url, KEY).details("run_1")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x: %s\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"%s"),  # one line without end
        (b"", b"HTTP/1.1 103 Early Hints\r\nx: %s\r\n\r\n"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"x: %s\r\n"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"%s"),
        (CHUNKED + b"2;", b"%s"),
    ],
)
def test_what_is_no_body_may_not_go_on_for_ever(before: bytes, line: bytes) -> None:
    lines = [line.replace(b"%s", b"y" * 8_000)] * (2 * HEAD_CAP // 8_000)
    with RawServer(saying(before, *lines)) as server, pytest.raises(Unreachable, match="broke off"):
        Client(server.url, KEY).details("run_1")


# The next request --------------------------------------------------------------------------------


def test_a_whole_answer_leaves_the_connection_to_the_next_request() -> None:
    def script(peer: socket.socket) -> None:
        for _ in range(2):
            peer.sendall(CHUNKED + b"2\r\n{}\r\n0\r\n\r\n")
            peer.recv(65536)

    assert asked_twice(script) == 1


@pytest.mark.parametrize(
    "said",
    [
        ok(b"{}", "connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        ok(b"{}") + b"and more",
        ok(b"{}") + ok(b'{"of": "somebody else"}'),
        ok(b"{}") + b"HTTP/1.1 200",
    ],
)
def test_an_answer_that_something_follows_is_the_last_of_its_connection(said: bytes) -> None:
    def script(peer: socket.socket) -> None:
        peer.sendall(said)
        peer.recv(65536)

    assert asked_twice(script) == 2


def test_what_comes_between_two_requests_is_taken_for_no_answer() -> None:
    has_spoken = threading.Event()

    def script(peer: socket.socket) -> None:
        peer.sendall(ok(b"{}"))
        peer.sendall(ok(b'{"of": "somebody else"}'))
        has_spoken.set()
        peer.recv(65536)

    with RawServer(script) as server:
        client = Client(server.url, KEY)
        for _ in range(2):
            assert client.details("run_1").body == b"{}"
            assert has_spoken.wait(10)
        assert len(server.requests) == 2


def test_a_callback_is_not_registered_twice_when_a_connection_breaks() -> None:
    def script(peer: socket.socket) -> None:
        peer.sendall(ok(b"{}"))
        peer.recv(65536)

    with RawServer(script) as server:
        client = Client(server.url, KEY)
        client.details("run_1")
        with pytest.raises(Unreachable):
            client.watch("run_1", "https://runsheet.example/")
        assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["\r\nx-more: 1", "\n", "\0"])
def test_a_key_cannot_add_a_line_to_a_request(end: str) -> None:
    with RawServer(saying(ok(b"{}"))) as server:
        with pytest.raises(CaseDevError):
            Client(server.url, KEY + end).details("run_1")
        assert not server.requests


# TLS ---------------------------------------------------------------------------------------------


def test_over_tls_the_servers_certificate_must_be_one_that_is_trusted(tmp_path: Path) -> None:
    with _encrypted(tmp_path, "127.0.0.1") as (url, certificate, met):
        stranger = Transport(as_this_machine=True, keepalive=5)
        with pytest.raises(Unreachable, match="cannot be reached"):
            Client(url, KEY, transport=stranger).details("run_1")
        friend = Transport(as_this_machine=True, keepalive=5)
        friend._tls.load_verify_locations(certificate)
        client = Client(url, KEY, transport=friend)
        for _ in range(3):
            assert client.details("run_1").body == b"{}"
        assert len(met) == 1  # a handshake for each poll would be dear
        client.close()


def test_over_tls_the_certificate_must_bear_the_servers_name(tmp_path: Path) -> None:
    with _encrypted(tmp_path, "127.0.0.2") as (url, certificate, _):
        transport = Transport(as_this_machine=True, keepalive=5)
        transport._tls.load_verify_locations(certificate)
        with pytest.raises(Unreachable, match="cannot be reached"):
            Client(url, KEY, transport=transport).details("run_1")


@contextmanager
def _encrypted(folder: Path, name: str) -> Iterator[tuple[str, Path, list[ssl.SSLSocket]]]:
    """A server at 127.0.0.1 whose certificate says `name`: its URL, the certificate, and the
    connections that came to speak."""
    certificate, key = _certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    met: list[ssl.SSLSocket] = []

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as peer:
                    met.append(peer)
                    while peer.recv(65536):
                        peer.sendall(ok(b"{}"))
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", certificate, met
    finally:
        listener.close()


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = folder / "certificate.pem", folder / "key.pem"
    made[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    made[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return made
