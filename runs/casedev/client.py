"""The HTTP client of Case.dev: one a process, every answer bounded in time and in size."""

import datetime as dt
import io
import json
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from django.conf import settings

from runs.casedev import network, pin, places
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
    Unreachable,
    Unreadable,
)
from runs.casedev.headers import retry_after
from runs.secret import Secret

DEADLINE = 30.0  # seconds for one whole answer
READ = 10.0  # seconds without a byte of it
BODY_CAP = 64 * 1024 * 1024  # bytes after decompression
ERROR_BODY_CAP = 64 * 1024
CONNECTIONS = 40
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_CHUNK = 64 * 1024


class Answer(msgspec.Struct, frozen=True):
    """A 2xx answer: its decompressed bytes and when the last of them came."""

    body: bytes
    received_at: dt.datetime

    def __repr__(self) -> str:
        return f"<Answer of {len(self.body)} bytes>"  # the bytes are privileged


def is_run_id(text: str) -> bool:
    """Whether `text` could be a run id at all; nothing else is ever put into a URL."""
    return RUN_ID.fullmatch(text) is not None


class Client:
    """Thread-safe. Every method raises a `CaseDevError` unless the answer was 2xx and whole."""

    def __init__(
        self,
        base_url: str,
        key: str | Secret,
        *,
        transport: httpx.BaseTransport | None = None,
        deadline: float = DEADLINE,
        body_cap: int = BODY_CAP,
        refusal: str = "",
    ) -> None:
        """`refusal`: a sentence that says why nothing is asked at all."""
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        headers |= {"Connection": "keep-alive", "User-Agent": "runsheet"}
        key = Secret(key)
        if key:
            headers["Authorization"] = f"Bearer {key.reveal()}"
        self._base_url = base_url.rstrip("/")
        self._has_way_in = bool(key) or httpx.URL(base_url).scheme == "http"
        self._refusal = refusal
        self._deadline, self._body_cap = deadline, body_cap
        self._headers = httpx.Headers(headers)
        self._timeout = httpx.Timeout(READ, connect=5.0).as_dict()
        self._transport = transport or network.Transport(
            as_this_machine=places.is_this_machine(base_url), keepalive=30.0
        )

    def close(self) -> None:
        self._transport.close()

    def details(self, run_id: str) -> Answer:
        """`GET /agent/v1/run/{id}/details`: the full trace of one run."""
        return self._get(f"/agent/v1/run/{_segment(run_id)}/details")

    def runs(self, cursor: str = "", limit: int = 50) -> Answer:
        """`GET /agent/v1/run`: one page of the organisation's runs, newest first."""
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        return self._get("/agent/v1/run", query)

    def agents(self, cursor: str = "", limit: int = 250) -> Answer:
        """`GET /agent/v1/agents`: one page of agents."""
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        return self._get("/agent/v1/agents", query)

    def agent(self, agent_id: str) -> Answer:
        """`GET /agent/v1/agents/{id}`."""
        return self._get(f"/agent/v1/agents/{_segment(agent_id)}")

    def watch(self, run_id: str, callback_url: str) -> Answer:
        """`POST /agent/v1/run/{id}/watch`: have `callback_url` called when the run ends."""
        path = f"/agent/v1/run/{_segment(run_id)}/watch"
        return self._ask("POST", path, json={"callbackUrl": callback_url})

    def _get(self, path: str, query: dict[str, str] | None = None) -> Answer:
        return self._ask("GET", path, params=query)

    def _ask(self, method: str, path: str, **sent: Any) -> Answer:
        if self._refusal:
            raise KeyRefused(self._refusal)
        if not self._has_way_in:
            raise KeyRefused("CASEDEV_API_KEY is not set, so Case.dev cannot be asked.")
        ends_at = time.monotonic() + self._deadline
        try:
            with network.deadline(lambda: ends_at), self._sent(method, path, **sent) as response:
                if response.is_success:
                    body = _whole(_bounded(response, self._body_cap, ends_at))
                    return Answer(body, dt.datetime.now(dt.UTC))
                problem = _refusal(response, ends_at)
        except httpx.TimeoutException:
            problem = Unreachable("Case.dev did not answer in time.")
        except httpx.RemoteProtocolError:
            problem = Unreachable("Case.dev broke off its answer.")
        except (httpx.TransportError, httpx.UnsupportedProtocol):
            problem = Unreachable("Case.dev cannot be reached.")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            problem = Unreachable(f"The request failed ({type(error).__name__}).")
        # Outside the handlers: httpx's exceptions lead to the request, and so to the key.
        raise problem

    @contextmanager
    def _sent(self, method: str, path: str, **sent: Any) -> Iterator[httpx.Response]:
        """The answer to a request, its body still to be read.

        By the transport alone: what a client of httpx adds (redirects, cookies, authentication,
        merging of addresses) is not wanted here and takes as long as the rest of a small poll.
        """
        url, limits = self._base_url + path, {"timeout": self._timeout}
        request = httpx.Request(method, url, headers=self._headers, extensions=limits, **sent)
        response = self._transport.handle_request(request)
        response.request = request
        try:
            yield response
        finally:
            response.close()


def _segment(identifier: str) -> str:
    if not is_run_id(identifier):
        raise ValueError("not an identifier of Case.dev")
    return quote(identifier, safe="")


def _bounded(response: httpx.Response, cap: int, ends_at: float) -> Iterator[bytes]:
    """The decompressed body in pieces; never more than `cap` bytes, on the wire or inflated.

    httpx's own decoding would inflate a whole chunk before anyone could count it.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise Unreadable(f"Case.dev answered in the encoding {encoding[:20]!r}, which we refuse.")
    pieces = _in_time(response.iter_raw(), ends_at)
    if encoding == "gzip":
        pieces = _inflated(_capped(pieces, cap))
    return _capped(pieces, cap)


def _whole(pieces: Iterator[bytes]) -> bytes:
    """All `pieces` as one. To join a list of them would hold a large answer twice; what this holds
    beyond it is an eighth."""
    first = next(pieces, b"")
    second = next(pieces, None)
    if second is None:
        return first  # as most answers are
    with io.BytesIO() as whole:  # or an error on the way would hold what had come by then
        whole.write(first)
        whole.write(second)
        for piece in pieces:
            whole.write(piece)
        return whole.getvalue()


def _in_time(pieces: Iterator[bytes], ends_at: float) -> Iterator[bytes]:
    for piece in pieces:
        if time.monotonic() > ends_at:
            raise Unreachable("Case.dev did not answer in time.")
        yield piece


def _capped(pieces: Iterator[bytes], cap: int) -> Iterator[bytes]:
    taken = 0
    for piece in pieces:
        taken += len(piece)
        if taken > cap:
            raise Unreadable(f"The answer is larger than {cap // 2**20} MB and was refused.")
        yield piece


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The members of a gzip stream, in pieces of at most _CHUNK bytes."""
    inflater = zlib.decompressobj(31)
    for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:
                inflater = zlib.decompressobj(31)
            yield _inflate(inflater, rest)
            rest = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        raise Unreachable("Case.dev broke off its compressed answer.")


def _inflate(inflater: "zlib._Decompress", packed: bytes) -> bytes:
    try:
        return inflater.decompress(packed, _CHUNK)
    except zlib.error as error:
        raise Unreadable("The answer's compression is broken.") from error


def _refusal(response: httpx.Response, ends_at: float) -> CaseDevError:
    """The error that a non-2xx answer stands for, with the API's own words if it gave any."""
    try:
        body = b"".join(_bounded(response, ERROR_BODY_CAP, ends_at))
    except (CaseDevError, httpx.HTTPError):
        body = b""  # the status alone says enough
    status = response.status_code
    wait = retry_after(response.headers, dt.datetime.now(dt.UTC), is_rate_limit=status == 429)
    key = response.request.headers.get("authorization", "").removeprefix("Bearer ")
    words = _words(body, key)
    sentence = f"Case.dev answered {status}" + (f": {words}" if words else ".")
    match status:
        case 401:
            return KeyRefused(sentence, retry_after=wait)
        case 403:
            return Forbidden(sentence, retry_after=wait)
        case 404 | 410:
            return NotFound(sentence, retry_after=wait)
        case 429:
            return RateLimited(sentence, retry_after=wait)
        case 408 | 409 | 425:
            return Unavailable(sentence, retry_after=wait)
        case _ if status >= 500:
            return Unavailable(sentence, retry_after=wait)
        case _ if 300 <= status < 400:
            return Rejected(f"Case.dev answered {status}, a redirect, which we do not follow.")
        case _:
            return Rejected(sentence, retry_after=wait)


def _words(body: bytes, key: str) -> str:
    """The message inside an error body: `error.message`, `error`, or `message`; else nothing."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = answer.get("error") if isinstance(answer, dict) else None
    candidates = [
        error.get("message") if isinstance(error, dict) else error,
        answer.get("message") if isinstance(answer, dict) else None,
    ]
    said = next((text for text in candidates if isinstance(text, str) and text.strip()), "")
    return _one_line(said, key)


def _one_line(text: str, key: str) -> str:
    """Fit for a log line: no line breaks or control characters, no key, at most 300 characters."""
    if key:
        text = text.replace(key, "***")
    printable = "".join(c if c.isprintable() else " " for c in text[:1000])
    return " ".join(printable.split())[:300]


@lru_cache(maxsize=1)
def client() -> Client:
    """The process's one client, by the settings."""
    where = settings.CASEDEV_BASE_URL, settings.CASEDEV_API_KEY
    return Client(*where, refusal=pin.refusal(*where, settings.CASEDEV_CONFIRM_HOST))
