"""Change notices over Redis: hints that a run has a new version, and that somebody looks at one.

Both are only hints. Losing Redis costs latency, never data: a page that hears nothing asks the
database, and a run that nobody is known to watch is polled at its ordinary pace.
"""

import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache

import msgspec
import redis
import redis.asyncio
from django.conf import settings

logger = logging.getLogger(__name__)

CHANNEL = "runsheet:changes"
WATCHED_PREFIX = "runsheet:watched:"
WATCHED_SECONDS = 15
ANSWER_WITHIN = 2.0  # seconds; Redis is beside us, and nobody waits for a hint

REST_KEY = "runsheet:rest"
REST = 7  # seconds; two ticks at rest, so that it goes on while each says so again
WORKER_KEY = "runsheet:worker"  # unix seconds of the last finished round of polls


class Notice(msgspec.Struct, frozen=True):
    """`run` is the row's key; 0 stands for Case.dev itself (the breaker changed)."""

    run: int
    version: int


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """The process's own client (thread-safe, with a pool below it)."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=ANSWER_WITHIN, socket_connect_timeout=ANSWER_WITHIN
    )


def publish(notices: Iterable[Notice]) -> None:
    """Tell every web process. Call after commit, or readers would find the old rows."""
    try:
        with connection().pipeline(transaction=False) as pipe:
            for notice in notices:
                pipe.publish(CHANNEL, msgspec.json.encode(notice))
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("change notice not sent: %s", type(error).__name__)


def publish_upstream() -> None:
    """Tell every web process that Case.dev's own state changed."""
    publish([Notice(run=0, version=0)])


def watch(run: int) -> bool:
    """Mark the run as looked at for the next WATCHED_SECONDS; whether nobody looked before."""
    try:
        before = connection().set(f"{WATCHED_PREFIX}{run}", 1, ex=WATCHED_SECONDS, get=True)
        return before is None
    except redis.RedisError as error:
        logger.warning("watched mark not set: %s", type(error).__name__)
        return False


def keep_watching(runs: Iterable[int]) -> None:
    """Renew the marks of runs that are still looked at."""
    try:
        with connection().pipeline(transaction=False) as pipe:
            for run in runs:
                pipe.set(f"{WATCHED_PREFIX}{run}", 1, ex=WATCHED_SECONDS)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("watched marks not renewed: %s", type(error).__name__)


def is_first(what: str, within: int) -> bool:
    """Whether nobody else did `what` in the last `within` seconds; no while Redis is away."""
    try:
        return bool(connection().set(f"runsheet:lately:{what}", 1, ex=within, nx=True))
    except redis.RedisError as error:
        logger.warning("mark of %s not set: %s", what, type(error).__name__)
        return False


@contextmanager
def alone(what: str, within: float) -> Iterator[None]:
    """Nobody else does `what` while the block lasts, but for no longer than `within` seconds;
    whoever comes second waits that long at most. While Redis is away nobody waits."""
    lock = connection().lock(f"runsheet:alone:{what}", timeout=within, blocking_timeout=within)
    try:
        is_ours = lock.acquire()
    except redis.RedisError as error:
        logger.warning("nobody kept from %s: %s", what, type(error).__name__)
        is_ours = False
    try:
        yield
    finally:
        if is_ours:
            with suppress(redis.RedisError):  # it may have lasted longer, or Redis be gone
                lock.release()


def beat() -> None:
    """A worker finished a round, be there anything due or not: it is alive and hears."""
    hear()
    try:
        connection().set(WORKER_KEY, int(time.time()))
    except redis.RedisError as error:
        logger.warning("worker heartbeat not set: %s", type(error).__name__)


def rest() -> None:
    """No run is active: whoever ticks need not wake a worker as often for REST seconds."""
    try:
        connection().set(REST_KEY, 1, ex=REST)
    except redis.RedisError as error:
        logger.warning("rest not told: %s", type(error).__name__)


def stir() -> None:
    """A run may be active from now on."""
    try:
        connection().delete(REST_KEY)
    except redis.RedisError as error:
        logger.warning("end of rest not told: %s", type(error).__name__)


def is_at_rest() -> bool:
    """No while Redis is away."""
    try:
        return bool(connection().exists(REST_KEY))
    except redis.RedisError:
        return False


def last_beat() -> int | None:
    """Unix seconds of the last round; None if there was none or Redis is away."""
    try:
        value = connection().get(WORKER_KEY)
    except redis.RedisError:
        return None
    return int(value) if isinstance(value, bytes) else None


_heard_at: float | None = None


def hear() -> None:
    """A message came to this process, and was done."""
    global _heard_at
    _heard_at = time.monotonic()


def own_silence() -> float | None:
    """Seconds since this process finished a round or heard itself; None if it never did."""
    return None if _heard_at is None else time.monotonic() - _heard_at


def silence() -> float | None:
    """Seconds since any worker finished a round; None if none did or Redis is away."""
    beat_at = last_beat()
    return None if beat_at is None else time.time() - beat_at


def waiting(queue: str | None = None) -> int | None:
    """Messages that no worker has taken yet, of those for all or of another queue; None while
    Redis is away."""
    try:
        return connection().llen(queue or settings.CELERY_TASK_DEFAULT_QUEUE)
    except redis.RedisError:
        return None


def watched(runs: Iterable[int]) -> set[int]:
    """Those of `runs` that a browser looks at now; empty while Redis is away."""
    runs = list(runs)
    if not runs:
        return set()
    try:
        marks = connection().mget([f"{WATCHED_PREFIX}{run}" for run in runs])
    except redis.RedisError:
        return set()
    return {run for run, mark in zip(runs, marks, strict=True) if mark is not None}


@asynccontextmanager
async def listening() -> AsyncIterator[AsyncIterator[Notice]]:
    """Subscribe, for as long as the block lasts; the block gets an endless stream of notices.

    Raises `redis.RedisError` (also from the stream) when Redis goes away; subscribe anew then.
    """
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=ANSWER_WITHIN, health_check_interval=10
    )
    try:
        async with client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)

            async def stream() -> AsyncIterator[Notice]:
                async for message in channel.listen():
                    yield msgspec.json.decode(message["data"], type=Notice)

            yield stream()
    finally:
        await client.aclose()
