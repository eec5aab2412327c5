"""What workers and web processes tell of themselves, kept in Redis for the status page and metrics.

Counters only rise, over all processes together; when Redis is emptied they start anew, as every
reader of counters has to expect. Nothing here names a run.
"""

import logging
import os
import socket
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import redis

from runs.notices import connection

logger = logging.getLogger(__name__)

PREFIX = "runsheet:gauge:"
WORKERS, WEBS, RECENT = f"{PREFIX}workers", f"{PREFIX}webs", f"{PREFIX}recent"
CALLBACKS = f"{PREFIX}callbacks"
KEPT = 1_000  # polls whose lag is remembered one by one
SILENT_AFTER = 30.0  # seconds; a worker ends a round about once a second
FORGOTTEN_AFTER = 3600.0  # a process that was not heard of for so long is no longer named
WEB_SILENT_AFTER = 30.0

# Upper bounds in seconds; what is beyond the last has a bucket of its own.
LATENCY = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)


class Polled(NamedTuple):
    """One poll. `lag`: seconds from when it was due to its claim. `took`: seconds that Case.dev
    took to answer, None if it was not asked."""

    outcome: str
    lag: float
    took: float | None


class Histogram(NamedTuple):
    """`counts` for each bound and one for what is beyond all of them; not cumulative."""

    bounds: tuple[float, ...]
    counts: list[int]
    total: float


class Process(NamedTuple):
    name: str
    seen_at: float  # unix seconds
    streams: int = 0  # open in a web process


class Lags(NamedTuple):
    """Of the `polls` polls since `since` (unix seconds); in seconds, None without any."""

    polls: int = 0
    p50: float | None = None
    p99: float | None = None
    since: float | None = None


class Told(NamedTuple):
    """All of it at one moment."""

    polls: dict[str, int]
    latency: Histogram
    lag: Histogram
    recent: Lags
    workers: list[Process]
    webs: list[Process]
    callbacks: int = 0


def own_name() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


def round_ended(polled: Sequence[Polled]) -> None:
    """A worker finished a round, be it empty: one trip to Redis."""
    now = time.time()
    try:
        with connection().pipeline(transaction=False) as pipe:
            pipe.zadd(WORKERS, {own_name(): now})
            if polled:
                _count(pipe, polled, now)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("a round was not counted: %s", type(error).__name__)


def _count(pipe: Any, polled: Sequence[Polled], now: float) -> None:
    by_outcome: dict[str, int] = {}
    for one in polled:
        by_outcome[one.outcome] = by_outcome.get(one.outcome, 0) + 1
    for outcome, count in by_outcome.items():
        pipe.hincrby(f"{PREFIX}polls", outcome, count)
    _observe(pipe, "latency", LATENCY, [one.took for one in polled if one.took is not None])
    _observe(pipe, "lag", LAG, [one.lag for one in polled])
    pipe.lpush(RECENT, *(f"{now:.0f}:{one.lag:.3f}" for one in polled))
    pipe.ltrim(RECENT, 0, KEPT - 1)


def _observe(pipe: Any, name: str, bounds: tuple[float, ...], spans: Sequence[float]) -> None:
    if not spans:
        return
    found: dict[int, int] = {}
    for span in spans:
        place = bisect_left(bounds, span)
        found[place] = found.get(place, 0) + 1
    for place, count in found.items():
        pipe.hincrby(f"{PREFIX}{name}", place, count)
    pipe.hincrbyfloat(f"{PREFIX}{name}", "sum", round(sum(spans), 6))


def web_told(streams: int) -> None:
    """A web process says how many streams are open in it."""
    try:
        connection().hset(WEBS, own_name(), f"{time.time():.0f}:{streams}")
    except redis.RedisError as error:
        logger.warning("open streams were not told: %s", type(error).__name__)


def callback_taken() -> None:
    try:
        connection().incr(CALLBACKS)
    except redis.RedisError as error:
        logger.warning("a callback was not counted: %s", type(error).__name__)


def told() -> Told:
    """Raises redis.RedisError."""
    with connection().pipeline(transaction=False) as pipe:
        for name in ("polls", "latency", "lag"):
            pipe.hgetall(f"{PREFIX}{name}")
        pipe.lrange(RECENT, 0, KEPT - 1)
        pipe.zrange(WORKERS, 0, -1, withscores=True)
        pipe.hgetall(WEBS)
        pipe.get(CALLBACKS)
        polls, latency, lag, recent, workers, webs, callbacks = pipe.execute()
    now = time.time()
    return Told(
        polls={key.decode(): int(count) for key, count in polls.items()},
        latency=_histogram(LATENCY, latency),
        lag=_histogram(LAG, lag),
        recent=_lags(recent),
        workers=_known(((name.decode(), at, 0) for name, at in workers), now),
        webs=_known((_web(name, said) for name, said in webs.items()), now),
        callbacks=int(callbacks or 0),
    )


def forget_own() -> None:
    """This worker ends as it was asked to: nobody need look for it."""
    try:
        connection().zrem(WORKERS, own_name())
    except redis.RedisError as error:
        logger.warning("own name was not dropped: %s", type(error).__name__)


def forget_the_gone() -> None:
    """Drop the names of processes that nobody has heard of for long."""
    before = time.time() - FORGOTTEN_AFTER
    try:
        webs = cast(Mapping[bytes, bytes], connection().hgetall(WEBS))
        gone = [name for name, said in webs.items() if _web(name, said)[1] < before]
        connection().zremrangebyscore(WORKERS, "-inf", before)
        if gone:
            connection().hdel(WEBS, *gone)
    except redis.RedisError as error:
        logger.warning("old names were not dropped: %s", type(error).__name__)


def _histogram(bounds: tuple[float, ...], kept: Mapping[bytes, bytes]) -> Histogram:
    counts = [int(kept.get(str(place).encode(), 0)) for place in range(len(bounds) + 1)]
    return Histogram(bounds, counts, float(kept.get(b"sum", 0)))


def _lags(kept: Sequence[bytes]) -> Lags:
    pairs = [entry.decode().split(":") for entry in kept]
    if not pairs:
        return Lags()
    spans = sorted(float(lag) for _, lag in pairs)
    oldest = min(float(at) for at, _ in pairs)
    return Lags(len(spans), _quantile(spans, 0.5), _quantile(spans, 0.99), oldest)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _web(name: bytes, said: bytes) -> tuple[str, float, int]:
    at, _, streams = said.decode().partition(":")
    return name.decode(), float(at), int(streams)


def _known(said: Iterable[tuple[str, float, int]], now: float) -> list[Process]:
    """Those heard of lately, the last heard first."""
    found = [Process(*one) for one in said if now - one[1] < FORGOTTEN_AFTER]
    return sorted(found, key=lambda process: -process.seen_at)
