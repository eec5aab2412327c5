"""Ways in which the API or the network between can go wrong, switched on per route and run.

A fault either answers instead of the API, or lets it answer and then spoils that answer.
"""

import asyncio
import email.utils
import time
import zlib
from collections.abc import Callable
from fnmatch import fnmatch
from random import Random
from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runs.simulator.errors import Shape, error_body
from runs.simulator.routes import CONTROL, route_of

Headers = list[tuple[bytes, bytes]]
CHUNK_BYTES = 64 * 1024
HTML_ERROR = (
    "<!DOCTYPE html>\n<html><head><title>{status} Bad Gateway</title></head>\n"
    "<body><center><h1>{status} upstream error</h1></center><hr>"
    "<center>edge-proxy</center></body></html>\n"
)


class FaultError(ValueError):
    """A fault that cannot be read; the message says why."""


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One fault. It hits requests to `route` (a name of `routes.NAMES`, a path pattern such as
    `/agent/v1/run/*/details`, or `*`), if given only of one run, `times` times or for ever.
    """

    kind: Literal["status", "slow", "cut", "malformed", "wrong_length", "oversized"] = "status"
    id: str = ""
    route: str = "*"
    run_id: str | None = None
    times: int | None = None
    probability: float = 1.0
    seed: int = 1
    hits: int = 0
    # status
    status: int = 500
    shape: Literal["default", "a", "b", "c", "html", "empty"] = "default"
    message: str = "Simulated failure"
    retry_after: Literal["absent", "seconds", "date", "garbage", "milliseconds", "reset"] = "absent"
    retry_after_seconds: float = 2.0
    headers: dict[str, str] = {}
    # slow: real seconds before the headers, and between chunks of the body
    delay: float = 0.0
    chunk_delay: float = 0.0
    chunk_bytes: int = CHUNK_BYTES
    # cut: the share of the body that arrives; wrong_length: what is added to content-length
    keep: float = 0.5
    extra: int = 1_000
    # malformed
    form: Literal["truncated", "garbage", "nan", "not_object", "bad_utf8"] = "truncated"
    # oversized: the body is padded to this many bytes with white space
    size: int = 64 * 1024 * 1024

    @classmethod
    def read(cls, value: dict[str, Any]) -> "Fault":
        """From JSON names or Python names; raises `FaultError`."""
        names = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
        try:
            return msgspec.convert({names.get(k, k): v for k, v in value.items()}, cls)
        except msgspec.ValidationError as error:
            raise FaultError(str(error)) from error

    def aims_at(self, route: str, path: str, run_id: str | None) -> bool:
        if self.run_id is not None and self.run_id != run_id:
            return False
        return self.route in ("*", route) or fnmatch(path, self.route)

    def retry_headers(self) -> dict[str, str]:
        wait = self.retry_after_seconds
        match self.retry_after:
            case "seconds":
                return {"retry-after": f"{wait:g}"}
            case "date":
                return {"retry-after": email.utils.formatdate(time.time() + wait, usegmt=True)}
            case "garbage":
                return {"retry-after": "in a while"}
            case "milliseconds":
                return {"retry-after-ms": str(round(wait * 1000))}
            case "reset":
                return {"x-ratelimit-reset-requests": f"{wait:g}s"}
        return {}


class FaultBook:
    """The faults that are switched on, first come first served."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._rngs: dict[str, Random] = {}
        self._added = 0

    def add(self, fault: Fault) -> Fault:
        self._added += 1
        fault.id = fault.id or f"fault_{self._added}"
        self._faults[fault.id] = fault
        self._rngs[fault.id] = Random(fault.seed)
        return fault

    def all(self) -> list[Fault]:
        return list(self._faults.values())

    def remove(self, fault_id: str | None = None) -> int:
        """One fault, or all without an id. Returns how many went."""
        gone = [fault_id] if fault_id in self._faults else []
        gone = list(self._faults) if fault_id is None else gone
        for identity in gone:
            del self._faults[identity], self._rngs[identity]
        return len(gone)

    def strike(self, route: str, path: str, run_id: str | None) -> Fault | None:
        """The fault that hits this request, counted."""
        for fault in self.all():
            if fault.times is not None and fault.hits >= fault.times:
                continue
            if not fault.aims_at(route, path, run_id):
                continue
            if self._rngs[fault.id].random() < fault.probability:
                fault.hits += 1
                return fault
        return None


class FaultMiddleware:
    def __init__(self, app: ASGIApp, book: FaultBook, default_shape: Callable[[], Shape]) -> None:
        self._app = app
        self._book = book
        self._default_shape = default_shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._fault(scope)
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "status":
            if fault.delay:
                await asyncio.sleep(fault.delay)
            await _send_error(fault, self._default_shape(), send)
        else:
            await _Spoiler(self._app, fault)(scope, receive, send)

    def _fault(self, scope: Scope) -> Fault | None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            return None
        route, run_id = route_of(scope["method"], scope["path"])
        return self._book.strike(route, scope["path"], run_id)


async def _send_error(fault: Fault, default: Shape, send: Send) -> None:
    if fault.shape == "empty":
        body, kind = b"", "text/plain"
    elif fault.shape == "html":
        body, kind = HTML_ERROR.format(status=fault.status).encode(), "text/html"
    else:
        shape: Shape = default if fault.shape == "default" else fault.shape
        body = msgspec.json.encode(error_body(fault.status, fault.message, shape))
        kind = "application/json"
    headers = {"content-type": kind, "content-length": str(len(body))}
    headers |= fault.retry_headers() | fault.headers
    await _send_head(send, fault.status, headers)
    await send({"type": "http.response.body", "body": body})


async def _send_head(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


class _Spoiler:
    """Takes the true answer and passes it on spoiled."""

    def __init__(self, app: ASGIApp, fault: Fault) -> None:
        self._app = app
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._fault
        if fault.kind == "slow":
            await asyncio.sleep(fault.delay)
            await self._app(scope, receive, self._dripping(send) if fault.chunk_delay else send)
            return
        head, body = await self._true_answer(scope, receive)
        headers = {name.decode(): value.decode() for name, value in head["headers"]}
        await self._spoil(send, head["status"], headers, body, _takes_gzip(scope))

    async def _spoil(
        self, send: Send, status: int, headers: dict[str, str], body: bytes, gzip: bool
    ) -> None:
        fault = self._fault
        if fault.kind == "oversized":
            await _send_padded(send, status, headers, body, fault.size, gzip)
            return
        promised = len(body)
        if fault.kind == "malformed":
            body = _malformed(body, fault.form)
            promised = len(body)
        elif fault.kind == "wrong_length":
            promised = max(0, promised + fault.extra)
            body = body[:promised]
        elif fault.kind == "cut":
            body = body[: int(len(body) * fault.keep)]
        headers["content-length"] = str(promised)
        await _send_head(send, status, headers)
        # Fewer bytes than promised and no end: the server can only drop the connection.
        short = len(body) < promised
        await send({"type": "http.response.body", "body": body, "more_body": short})

    def _dripping(self, send: Send) -> Send:
        fault = self._fault

        async def drip(message: Message) -> None:
            body = message.get("body", b"")
            for begin in range(0, len(body), fault.chunk_bytes):
                chunk = body[begin : begin + fault.chunk_bytes]
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(fault.chunk_delay)
            await send({**message, "body": b""} if body else message)

        return drip

    async def _true_answer(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        head: Message = {"status": 200, "headers": []}
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                body.extend(message.get("body", b""))

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, keep)
        return head, bytes(body)


def _takes_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])


def _malformed(body: bytes, form: str) -> bytes:
    match form:
        case "garbage":
            return b"<<<<<<< not json at all"
        case "nan":
            return b'{"usage": {"inputTokens": NaN}, ' + body.lstrip()[1:]
        case "not_object":
            return b'["a", "list", "instead", "of", "an", "object"]'
        case "bad_utf8":
            return body[:-1] + b', "note": "\xff\xfe"}'
    return body[: len(body) * 2 // 3]


async def _send_padded(
    send: Send, status: int, headers: dict[str, str], body: bytes, size: int, gzip: bool
) -> None:
    """The true answer, followed by blanks: still valid JSON. To a client that takes gzip it is a
    small stream that grows a thousandfold."""
    headers.pop("content-length", None)
    squeeze = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16) if gzip else None
    if gzip:
        headers["content-encoding"] = "gzip"
    else:
        headers["content-length"] = str(max(size, len(body)))
    await _send_head(send, status, headers)

    async def pass_on(raw: bytes) -> None:
        raw = squeeze.compress(raw) if squeeze else raw
        if raw:
            await send({"type": "http.response.body", "body": raw, "more_body": True})

    await pass_on(body)
    blanks = b" " * CHUNK_BYTES
    missing = size - len(body)
    while missing > 0:
        await pass_on(blanks[:missing])
        missing -= CHUNK_BYTES
    last = squeeze.flush() if squeeze else b""
    await send({"type": "http.response.body", "body": last})
