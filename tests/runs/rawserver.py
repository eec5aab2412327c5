"""A server that says just what a test tells it to, byte by byte."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

type Script = Callable[[socket.socket], None]


class RawServer:
    """Plays `script` to each connection, after the head of its request was read.

    with RawServer(lambda peer: peer.sendall(b"HTTP/1.1 204 ...")) as server: server.url
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self._listener.close()

    def _serve(self) -> None:
        while not self._ends.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, suppress(OSError):  # the client may hang up, as some tests want it to
                if head := _head(peer):
                    self.requests.append(head)
                    self._script(peer)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the test."""
        if self._ends.wait(seconds):
            raise OSError


def _head(peer: socket.socket) -> bytes:
    """Of the request; nothing if there came none."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = peer.recv(65536)
        if not piece:
            return b""
        head += piece
    return head


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A whole 200 answer."""
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def saying(*pieces: bytes) -> Script:
    """Each piece of its own, so that they rarely come together."""

    def script(peer: socket.socket) -> None:
        for piece in pieces:
            peer.sendall(piece)

    return script
