"""How Case.dev, and webhooks, are reached: over connections to places that may be asked, within a
deadline for the whole exchange. httpx's timeouts hold for each read alone, so a server that sends a
byte now and then could hold a thread, and the lease of a run, for ever."""

import logging
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import httpx

from runs.casedev import places
from runs.casedev.connection import Connection

logger = logging.getLogger(__name__)

_ends_at: ContextVar[Callable[[], float] | None] = ContextVar("ends_at", default=None)


class Server(NamedTuple):
    host: str
    port: int
    is_tls: bool


@contextmanager
def deadline(ends_at: Callable[[], float]) -> Iterator[None]:
    """What this thread does on the network within the block ends at `ends_at` (monotonic), asked
    for anew before each step; and not after the end of a block around this one."""
    outer = _ends_at.get()
    token = _ends_at.set(ends_at if outer is None else lambda: min(outer(), ends_at()))
    try:
        yield
    finally:
        _ends_at.reset(token)


def _left(limit: float) -> float:
    """`limit`, but no longer than what is left; raises TimeoutError when nothing is."""
    ends_at = _ends_at.get()
    left = limit if ends_at is None else min(limit, ends_at() - time.monotonic())
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


class Transport(httpx.BaseTransport):
    """One connection for each thread, each keeping to the `deadline`. No proxy, HTTP/1.1, and
    only addresses that have been looked at: this machine's if `as_this_machine`, else public ones.
    """

    def __init__(self, as_this_machine: bool, keepalive: float) -> None:
        """`keepalive`: seconds for which a connection is kept that nothing is sent over."""
        self._as_this_machine, self._keepalive = as_this_machine, keepalive
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._of_thread = threading.local()
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask again over a new connection when a kept one turns out to be closed: the other side
        let it go at the moment we used it."""
        kept = self._kept(_server(request.url))
        if kept is not None:
            try:
                return kept.ask(request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if request.method != "GET":
                    raise
        return self._connected(request).ask(request)

    def close(self) -> None:
        """Close the connections of all threads; none may be in the middle of a request."""
        for connection in list(self._all):
            connection.close()

    def _kept(self, server: Server) -> Connection | None:
        """This thread's connection, if it leads to `server` and can still be used."""
        known, connection = getattr(self._of_thread, "connection", (None, None))
        if connection is None:
            return None
        is_fresh = time.monotonic() - connection.used_at < self._keepalive
        if known == server and is_fresh and connection.is_usable:
            return connection  # type: ignore[no-any-return]
        connection.close()
        return None

    def _connected(self, request: httpx.Request) -> Connection:
        server, limit = _server(request.url), request.extensions["timeout"]["connect"]
        problem: httpx.TransportError = httpx.ConnectError("the name has no address")
        for address in self._addresses(server):
            try:
                connection = Connection(self._open(address, server, limit), _left)
            except TimeoutError:
                problem = httpx.ConnectTimeout("the server does not answer")
            except OSError as error:  # a TLS error is one too
                problem = httpx.ConnectError(type(error).__name__)
            else:
                self._of_thread.connection = server, connection
                self._all.add(connection)
                return connection
        raise problem

    def _open(self, address: str, server: Server, limit: float) -> socket.socket:
        plain = socket.create_connection((address, server.port), _left(limit))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not server.is_tls:
                return plain
            plain.settimeout(_left(limit))
            return self._tls.wrap_socket(plain, server_hostname=server.host)
        except BaseException:
            plain.close()
            raise

    def _addresses(self, server: Server) -> list[str]:
        """All of them, or none: a name with one address inside a network is not to be trusted."""
        try:
            found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("the name cannot be resolved") from error
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        for address in addresses:
            if not places.may_be_reached(address, self._as_this_machine):
                logger.error("%s leads to %s, which is not asked", server.host, address)
                raise httpx.ConnectError("the name leads into a network")
        return addresses


def _server(url: httpx.URL) -> Server:
    match url.scheme:
        case "https":
            return Server(url.raw_host.decode(), url.port or 443, is_tls=True)
        case "http":
            return Server(url.raw_host.decode(), url.port or 80, is_tls=False)
        case _:
            raise httpx.UnsupportedProtocol("neither http nor https")
