"""What browsers say that the Content-Security-Policy stopped, counted without a word of a page.

A report holds the page's whole address and the beginning of a script. Of that only names are kept
that are ours: the directive, the kind of thing that was stopped, the name of the route. Held in
Redis; without it nothing is counted. Anybody can send reports with a program, so that they are
rationed and prove nothing: they say where to look.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import redis
from django.urls import Resolver404, resolve
from django.utils import timezone

from dashboard.visitors import Visitor
from runs import notices

logger = logging.getLogger(__name__)

LONGEST = 16 * 1024  # bytes of a report
AN_ADDRESS, ALL = 30, 300  # reports a minute
WITHIN = 60  # seconds
KEPT_DAYS = 2

DIRECTIVES = frozenset(
    {
        *("default-src", "script-src", "script-src-elem", "script-src-attr", "style-src"),
        *("style-src-elem", "style-src-attr", "img-src", "font-src", "connect-src", "media-src"),
        *("object-src", "frame-src", "child-src", "worker-src", "manifest-src", "form-action"),
        *("base-uri", "frame-ancestors", "require-trusted-types-for", "trusted-types", "sandbox"),
    }
)
KEYWORDS = frozenset(
    {
        *("inline", "eval", "wasm-eval", "data", "blob", "about"),
        *("trusted-types-sink", "trusted-types-policy"),
    }
)
EXTENSIONS = ("chrome-extension", "moz-extension", "safari-extension", "safari-web-extension")
EXTENSION = "extension"  # of the reader's own browser: nothing of ours, and no sign of anything

_PREFIX = "runsheet:violations:"
_EVER = f"{_PREFIX}ever"


class Violation(NamedTuple):
    directive: str  # of DIRECTIVES, or "other"
    stopped: str  # of KEYWORDS, or "extension", "ours", "elsewhere"
    page: str  # the name of a route, or "unknown"


class Told(NamedTuple):
    """`ever` by directive; `lately`: of today and yesterday, the most frequent first."""

    ever: dict[str, int]
    lately: list[tuple[Violation, int]]


class Report(msgspec.Struct, rename="kebab"):
    document_uri: str = ""
    effective_directive: str = ""
    violated_directive: str = ""
    blocked_uri: str = ""
    source_file: str = ""


class Body(msgspec.Struct, rename="kebab"):
    csp_report: Report


class Unfit(Exception):
    """No report of a browser about a page of this host."""


def read(body: bytes, host: str) -> Violation:
    """What a report says. `host`: ours, with its port. Raises Unfit."""
    try:
        report = msgspec.json.decode(body, type=Body).csp_report
        page = urlsplit(report.document_uri)
        is_ours = page.netloc.lower() == host.lower()
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise Unfit from error
    if not is_ours or page.scheme not in ("http", "https"):
        raise Unfit
    told = (report.effective_directive or report.violated_directive).partition(" ")[0]
    directive = told if told in DIRECTIVES else "other"
    return Violation(directive, _kind(report, host), _route(page.path))


def note(violation: Violation, visitor: Visitor) -> bool:
    """Count and log it; False if this address, or all together, have said enough for now."""
    try:
        if not _may_tell(visitor):
            return False
        day = _day(timezone.now().date())
        with notices.connection().pipeline() as pipe:
            pipe.hincrby(_EVER, violation.directive, 1)
            pipe.hincrby(day, "|".join(violation), 1)
            pipe.expire(day, (KEPT_DAYS + 1) * 86_400)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("a report of a browser was not counted: %s", type(error).__name__)
        return False
    if violation.stopped != EXTENSION:
        told = "a browser stopped something on a page: %s, %s, on %s"
        logger.warning(told, *violation)
    return True


def told() -> Told:
    """Raises redis.RedisError."""
    today = timezone.now().date()
    with notices.connection().pipeline(transaction=False) as pipe:
        pipe.hgetall(_EVER)
        for age in range(KEPT_DAYS):
            pipe.hgetall(_day(today - dt.timedelta(days=age)))
        ever, *days = pipe.execute()
    counts: dict[Violation, int] = {}
    for name, count in _fields(days):
        counts[name] = counts.get(name, 0) + count
    return Told(
        {name.decode(): int(count) for name, count in ever.items()},
        sorted(counts.items(), key=lambda found: -found[1]),
    )


def _fields(days: list[dict[bytes, bytes]]) -> Iterator[tuple[Violation, int]]:
    for day in days:
        for name, count in day.items():
            yield Violation(*name.decode().split("|")), int(count)


def _day(date: dt.date) -> str:
    return f"{_PREFIX}{date:%Y%m%d}"


def _kind(report: Report, host: str) -> str:
    blocked, source = report.blocked_uri, report.source_file
    if any(text.startswith(EXTENSIONS) for text in (blocked, source)):
        return EXTENSION
    if blocked in KEYWORDS:
        return blocked
    try:
        return "ours" if urlsplit(blocked).netloc.lower() == host.lower() else "elsewhere"
    except ValueError:
        return "elsewhere"


def _route(path: str) -> str:
    try:
        return resolve(path).view_name or "unknown"
    except Resolver404:
        return "unknown"


def _may_tell(visitor: Visitor) -> bool:
    limits = ((f"{_PREFIX}from:{visitor.source}", AN_ADDRESS), (f"{_PREFIX}all", ALL))
    with notices.connection().pipeline() as pipe:
        for key, _ in limits:
            pipe.incr(key)
            pipe.expire(key, WITHIN, nx=True)
        counts = pipe.execute()[::2]
    return all(count <= limit for count, (_, limit) in zip(counts, limits, strict=True))
