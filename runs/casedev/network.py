"""A deadline for a whole exchange. httpx's timeouts hold for each read alone, so a server that
sends a byte now and then could hold a thread, and the lease of a run, for ever."""

import logging
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from runs.casedev import places

logger = logging.getLogger(__name__)

_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


@contextmanager
def deadline(ends_at: float) -> Iterator[None]:
    """What this thread does on the network within the block ends at `ends_at` (monotonic)."""
    token = _ends_at.set(ends_at)
    try:
        yield
    finally:
        _ends_at.reset(token)


def _within(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """`timeout`, but no longer than what is left; raises `late` when nothing is."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return timeout
    left = ends_at - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        timeout = _within(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Connects to addresses that have been looked at, and never to a name.

    `as_this_machine`: to this machine and nowhere else; otherwise to public addresses only.
    """

    def __init__(self, as_this_machine: bool) -> None:
        super().__init__()
        self._as_this_machine = as_this_machine

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        problem: Exception = httpcore.ConnectError("the name has no address")
        for address in self._addresses(host, port):
            left = _within(timeout, httpcore.ConnectTimeout)
            try:
                stream = super().connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return _Stream(stream)
        raise problem

    def _addresses(self, host: str, port: int) -> list[str]:
        """All of them, or none: a name with one address inside a network is not to be trusted."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name cannot be resolved") from error
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        for address in addresses:
            if not places.may_be_reached(address, self._as_this_machine):
                logger.error("%s leads to %s, which is not asked", host, address)
                raise httpcore.ConnectError("the name leads into a network")
        return addresses


class Transport(httpx.HTTPTransport):
    """httpx's own transport over connections that keep to the `deadline`. No proxy, HTTP/1.1."""

    def __init__(self, limits: httpx.Limits, as_this_machine: bool) -> None:
        super().__init__(trust_env=False, limits=limits)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(as_this_machine),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask again when a kept connection turns out to be closed: the other side let it go at
        the moment we used it. Ends, since each kept connection can fail so but once."""
        while (response := self._unless_let_go(request)) is None:
            pass
        return response

    def _unless_let_go(self, request: httpx.Request) -> httpx.Response | None:
        steps: list[str] = []
        request.extensions = {**request.extensions, "trace": lambda name, _: steps.append(name)}
        try:
            return super().handle_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if request.method != "GET" or "connection.connect_tcp.started" in steps:
                raise
        return None
