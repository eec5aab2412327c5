"""Hints over a real Redis, and life without one."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings

from runs import notices
from runs.notices import Notice


def connection() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


def test_a_run_is_watched_for_fifteen_seconds_after_the_last_look() -> None:
    assert notices.watch(7) is True
    assert notices.watch(7) is False
    assert notices.watched([6, 7, 8]) == {7}
    assert notices.watched([]) == set()
    with connection() as client:
        assert 13 < client.ttl("runsheet:watched:7") <= 15
        client.expire("runsheet:watched:7", 1)
        notices.keep_watching([7, 9])
        assert client.ttl("runsheet:watched:7") > 13
        client.delete("runsheet:watched:7")
    assert notices.watched([7, 9]) == {9}
    assert notices.watch(7) is True


def test_a_worker_s_last_round_is_remembered() -> None:
    assert notices.last_beat() is None
    notices.beat()
    beat = notices.last_beat()
    assert beat is not None
    assert abs(time.time() - beat) < 2


def test_only_the_first_within_a_while_is_first() -> None:
    assert notices.is_first("x", 60)
    assert not notices.is_first("x", 60)
    assert notices.is_first("y", 60)


def test_a_subscriber_hears_what_is_published_in_order() -> None:
    async def hear() -> list[Notice]:
        heard: list[Notice] = []
        async with notices.listening() as stream:
            notices.publish([Notice(1, 2), Notice(3, 4)])
            notices.publish([])
            notices.publish_upstream()
            async for notice in stream:
                heard.append(notice)
                if len(heard) == 3:
                    return heard
        raise AssertionError

    assert asyncio.run(asyncio.wait_for(hear(), 5)) == [Notice(1, 2), Notice(3, 4), Notice(0, 0)]


@pytest.fixture
def away(settings: Any) -> Iterator[None]:
    """Nobody listens where Redis should be."""
    notices.connection.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    yield
    notices.connection.cache_clear()


@pytest.mark.usefixtures("away")
def test_without_redis_every_hint_is_lost_in_no_time_and_nothing_fails() -> None:
    began = time.monotonic()
    notices.publish([Notice(1, 1)])
    notices.publish_upstream()
    notices.beat()
    notices.keep_watching([1])
    assert notices.watch(1) is False
    assert notices.watched([1]) == set()
    assert notices.last_beat() is None
    assert notices.is_first("x", 60) is False
    assert time.monotonic() - began < 1


@pytest.mark.usefixtures("away")
def test_a_subscriber_is_told_that_redis_is_away() -> None:
    async def hear() -> None:
        async with notices.listening():
            raise AssertionError("it was there")

    with pytest.raises(redis.RedisError):
        asyncio.run(hear())
