"""A deadline for a whole exchange. httpx's timeouts hold for each read alone, so a server that
sends a byte now and then could hold a thread, and the lease of a run, for ever."""

import logging
import socket
import ssl
import threading
import time
import weakref
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
        self._of_thread = threading.local()

    def made(self) -> int:
        """How many connections this thread has begun to make."""
        return getattr(self._of_thread, "made", 0)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self._of_thread.made = self.made() + 1
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


class Transport(httpx.BaseTransport):
    """httpx's own transport, one for each thread, over connections that keep to the `deadline`.
    No proxy, HTTP/1.1.

    A pool that threads share looks through all of its connections at the start and at the end of
    each request: with sixteen of them a quarter of a small poll's time.
    """

    def __init__(self, as_this_machine: bool, keepalive: float) -> None:
        """`keepalive`: seconds for which a connection is kept that nothing is sent over."""
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._limits = httpx.Limits(max_connections=1, keepalive_expiry=keepalive)
        self._backend = _Backend(as_this_machine)
        self._of_thread = threading.local()
        self._all: weakref.WeakSet[_OfThread] = weakref.WeakSet()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask again when a kept connection turns out to be closed: the other side let it go at
        the moment we used it. Ends, since each kept connection can fail so but once."""
        while (response := self._unless_let_go(request)) is None:
            pass
        return response

    def close(self) -> None:
        """Close the connections of all threads; none may be in the middle of a request."""
        for transport in list(self._all):
            transport.close()

    def _unless_let_go(self, request: httpx.Request) -> httpx.Response | None:
        transport = self._own()
        made = self._backend.made()
        try:
            return transport.handle_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if request.method != "GET" or self._backend.made() > made:
                raise
        return None

    def _own(self) -> "_OfThread":
        own: _OfThread | None = getattr(self._of_thread, "transport", None)
        if own is None:
            own = self._of_thread.transport = _OfThread(self._tls, self._limits, self._backend)
            self._all.add(own)
        return own


class _OfThread(httpx.HTTPTransport):
    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits, backend: _Backend) -> None:
        super().__init__(verify=tls, trust_env=False, limits=limits)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=limits.max_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=backend,
        )
