"""One connection to an HTTP/1.1 server: a request out, an answer in, one after the other.

httptools (llhttp in C) reads what comes. httpx's own reader, h11, is written in Python and takes
longer for the answer to a small poll than all else that a poll takes.
"""

import select
import socket
import time
from collections.abc import Callable, Iterator

import httptools
import httpx

HEAD_CAP = 100 * 1024  # bytes in a row that are no body: heads, trailers, chunk sizes

_READ = 64 * 1024
# Statuses of answers that another one follows.
_PROVISIONAL = range(100, 200)


class Connection:
    """For GET and POST. `timeout(seconds)`: how long an operation may take that is allowed
    `seconds`; it raises when none is left. What goes wrong is raised as httpx does; after that the
    connection is closed."""

    _headers: list[tuple[bytes, bytes]]
    _body: list[bytes]  # pieces that came and were not asked for yet
    _without_body: int  # bytes that came since a piece of the body did
    _has_head: bool
    _is_whole: bool
    _lasts_until_end: bool  # of the connection, not of a length that was told
    _keeps_alive: bool

    def __init__(self, connected: socket.socket, timeout: Callable[[float], float]) -> None:
        self._socket, self._timeout = connected, timeout
        self._parser = httptools.HttpResponseParser(self)
        self._begin()
        self._is_idle = True
        self.used_at = time.monotonic()

    def close(self) -> None:
        self._is_idle = False
        self._socket.close()

    @property
    def is_usable(self) -> bool:
        """Whether a request may be sent. Between two answers a server has nothing to say: when
        there is something to read, it let go, or is out of step."""
        if not self._is_idle:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def ask(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; its answer as soon as its head is there. The body is read from the
        network as it is asked for. Closing the answer frees the connection."""
        self._begin()
        limits = request.extensions["timeout"]
        try:
            self._send(_head(request) + request.read(), limits["write"])
            while not self._has_head:
                if not self._hear(limits["read"]):
                    raise httpx.RemoteProtocolError("the server let go before it answered")
        except BaseException:
            self.close()
            raise
        stream = _Body(self, limits["read"])
        return httpx.Response(self._status, headers=self._headers, stream=stream)

    def pieces(self, limit: float) -> Iterator[bytes]:
        """The rest of the answer's body, as it comes: no read may take more than `limit` s."""
        while True:
            if self._body:
                pieces, self._body = self._body, []
                yield from pieces
            if self._is_whole:
                return
            if not self._hear(limit):
                if not self._lasts_until_end:
                    raise httpx.RemoteProtocolError("the server broke off its answer")
                self._is_whole, self._keeps_alive = True, False

    def rest(self) -> None:
        """Be free for another request, if the answer was read to its end."""
        if self._is_whole and self._keeps_alive:
            self._is_idle, self.used_at = True, time.monotonic()
        else:
            self.close()

    # On the wire

    def _begin(self) -> None:
        """Nothing of the next answer is known yet."""
        self._is_idle = False
        self._status, self._headers, self._body = 0, [], []
        self._without_body = 0
        self._has_head = self._is_whole = self._keeps_alive = self._lasts_until_end = False

    def _send(self, sent: bytes, limit: float) -> None:
        try:
            self._socket.settimeout(self._timeout(limit))
            self._socket.sendall(sent)
        except TimeoutError as error:
            raise httpx.WriteTimeout("the server takes no request") from error
        except OSError as error:
            raise httpx.WriteError("the connection broke") from error

    def _hear(self, limit: float) -> bool:
        """Read what has come, and wait for something if nothing has; False at the end of all."""
        try:
            self._socket.settimeout(self._timeout(limit))
            data = self._socket.recv(_READ)
        except TimeoutError as error:
            raise httpx.ReadTimeout("the server said nothing") from error
        except OSError as error:
            raise httpx.ReadError("the connection broke") from error
        if not data:
            return False
        self._without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keeps_alive = False
            if not self._is_whole:
                raise httpx.RemoteProtocolError("the answer is no HTTP/1.1") from error
        if self._without_body > HEAD_CAP:
            raise httpx.RemoteProtocolError("the head of the answer does not end")
        return True

    # What the parser tells

    def on_message_begin(self) -> None:
        if self._is_whole:
            self._keeps_alive = False  # nobody asked for more

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._is_whole:
            return
        status = self._parser.get_status_code()
        if status in _PROVISIONAL:
            self._headers.clear()
            return
        named = {name.lower(): value for name, value in self._headers}
        coding = named.get(b"transfer-encoding", b"chunked")
        if coding.lower() != b"chunked" or not self._parser.get_http_version().startswith("1."):
            raise ValueError("not what was asked for")
        self._status, self._has_head = status, True
        self._lasts_until_end = not named.keys() & {b"transfer-encoding", b"content-length"}

    def on_body(self, piece: bytes) -> None:
        if not self._is_whole:
            self._body.append(piece)
            self._without_body = 0

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_whole:
            self._is_whole = True
            self._keeps_alive = self._parser.should_keep_alive()


class _Body(httpx.SyncByteStream):
    def __init__(self, connection: Connection, limit: float) -> None:
        self._connection, self._limit = connection, limit

    def __iter__(self) -> Iterator[bytes]:
        return self._connection.pieces(self._limit)

    def close(self) -> None:
        self._connection.rest()


def _head(request: httpx.Request) -> bytes:
    """The request line and headers. Raises LocalProtocolError if one of them would end its line:
    what is set by whoever runs this (a key, say) can hold anything."""
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines) or b"\0" in head:
        raise httpx.LocalProtocolError("a header of the request has more than one line")
    return head + b"\r\n\r\n"
