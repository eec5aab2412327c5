"""A TCP proxy on loopback that can be told to do its work badly."""

import socket
import struct
import threading
import time
from contextlib import suppress
from random import Random
from typing import Literal, Self

type Fault = Literal[
    "none", "latency", "reset", "half-close", "cut", "trickle", "blackhole", "refuse"
]
FAULTS: tuple[Fault, ...] = (
    *("none", "latency", "reset", "half-close", "cut", "trickle", "blackhole", "refuse"),
)
PIECE = 16 * 1024


class Proxy:
    """Carries connections to `target`, (host, port). `fault` holds for what passes from now on,
    also on connections that are open; `seed` decides where a connection breaks.

    latency: 50 ms a piece; reset, cut and half-close: after some bytes of the answer, by RST, by
    FIN both ways, or by FIN of the answering side alone; trickle: a byte at a time; blackhole:
    everything is taken and nothing is passed on; refuse: connections are closed at once.
    """

    def __init__(self, target: tuple[str, int], seed: int = 1) -> None:
        self.target = target
        self.fault: Fault = "none"
        self.connections = 0
        self.met = 0  # connections that were refused, and pieces that met another fault
        # Whoever asks with this in it gets no answer, on no connection; all else is served.
        self.unheard: bytes | None = None
        self._chance = Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._frozen: set[socket.socket] = set()
        self._ends = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._listener.close()
        self.drop_all()

    def freeze_all(self) -> None:
        """Let every connection that is open fall silent for ever; new ones are served."""
        self._frozen |= self._open

    def drop_all(self) -> None:
        """End every connection that is open."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        if self.fault == "refuse":
            self.met += 1
            near.close()
            return
        try:
            far = socket.create_connection(self.target, timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._open |= {near, far}
        back = threading.Thread(target=self._pump, args=(far, near, True), daemon=True)
        back.start()
        self._pump(near, far, False)
        back.join()
        self._open -= {near, far}
        self._frozen -= {near, far}
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        breaks_after = self._chance.randrange(1, 4_000)
        passed = 0
        with suppress(OSError):
            while piece := source.recv(PIECE):
                if not is_answer and self.unheard and self.unheard in piece:
                    self._frozen.add(source)
                if source in self._frozen:
                    continue
                if self.fault in ("reset", "cut", "half-close") and is_answer:
                    sink.sendall(piece[: max(0, breaks_after - passed)])
                    passed += len(piece)
                    self.met += 1
                    if passed >= breaks_after:
                        self._break(source, sink)
                        return
                    continue
                self._pass_on(piece, sink)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _pass_on(self, piece: bytes, sink: socket.socket) -> None:
        self.met += self.fault != "none"
        match self.fault:
            case "blackhole":
                return
            case "latency":
                time.sleep(0.05)
            case "trickle":
                for place in range(len(piece)):
                    if self._ends.wait(0.02) or self.fault != "trickle":
                        sink.sendall(piece[place:])
                        return
                    sink.sendall(piece[place : place + 1])
                return
        sink.sendall(piece)

    def _break(self, source: socket.socket, sink: socket.socket) -> None:
        if self.fault == "half-close":
            sink.shutdown(socket.SHUT_WR)
            return
        if self.fault == "reset":  # SO_LINGER of zero: close sends RST
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sink.close()
        else:
            sink.shutdown(socket.SHUT_RDWR)
        source.shutdown(socket.SHUT_RDWR)
