"""When we ask next: the whole table."""

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs import schedule
from runs.schedule import Outlook, after_failure, after_success

HOUR = 3600.0


def queued(age: float | None = None, is_watched: bool = False) -> Outlook:
    return Outlook(is_queued=True, age=age, is_watched=is_watched)


def ended(settle_polls: int = 0, ended_ago: float | None = 10, **fields: bool) -> Outlook:
    return Outlook(is_terminal=True, settle_polls=settle_polls, ended_ago=ended_ago, **fields)


@pytest.mark.parametrize(
    ("outlook", "seconds"),
    [
        (Outlook(), 5),
        (Outlook(is_watched=True), 1),
        (Outlook(age=10 * HOUR), 5),
        (Outlook(is_watched=True, age=10 * HOUR), 1),
        (queued(), 5),
        (queued(age=0), 5),
        (queued(age=-100), 5),  # their clock is ahead of ours
        (queued(age=HOUR), 5),
        (queued(age=HOUR + 60), 6),
        (queued(age=HOUR + 600), 15),
        (queued(age=HOUR + 3300), 60),
        (queued(age=1000 * HOUR), 60),
        (queued(age=0, is_watched=True), 2),
        (queued(age=1000 * HOUR, is_watched=True), 60),
        (ended(), 3),
        (ended(settle_polls=1), 15),
        (ended(settle_polls=2), 60),
        (ended(settle_polls=3), 300),
        (ended(settle_polls=4), 900),
        (ended(settle_polls=5), None),
        (ended(settle_polls=500), None),
        (ended(is_watched=True), 3),
        (ended(ended_ago=None), 3),
        (ended(ended_ago=-50), 3),
        (ended(ended_ago=HOUR), 3),
        (ended(ended_ago=HOUR + 1), None),
        (ended(ended_ago=HOUR + 1, is_queued=True), None),
    ],
)
def test_after_an_answer(outlook: Outlook, seconds: float | None) -> None:
    assert after_success(outlook) == seconds


class Chance(random.Random):
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("failures", "retry_after", "chance", "seconds"),
    [
        (1, None, 0.999999, 2),
        (2, None, 0.999999, 4),
        (5, None, 0.999999, 32),
        (9, None, 0.999999, 512),
        (10, None, 0.999999, 900),
        (10_000, None, 0.999999, 900),
        (5, None, 0.5, 16),
        (5, None, 0.0, 1),
        (1, None, 0.0, 1),
        (1, 7, 0.0, 7),
        (99, 7, 0.0, 7),
        (1, 7, 0.999999, 7.7),
        (1, 0, 0.0, 1),
        (1, 0.2, 0.0, 1),
        (1, 1e9, 0.5, 900),
        (1, float("inf"), 0.0, 900),
    ],
)
def test_after_a_failure(
    failures: int, retry_after: float | None, chance: float, seconds: float
) -> None:
    wait = after_failure(failures, retry_after, Chance(chance))
    assert wait == pytest.approx(seconds, rel=1e-4)


@given(st.integers(1, 10**6), st.none() | st.floats(0, allow_nan=False), st.randoms())
def test_no_failure_waits_less_than_a_second_or_more_than_a_quarter_of_an_hour(
    failures: int, retry_after: float | None, chance: random.Random
) -> None:
    assert 1 <= after_failure(failures, retry_after, chance) <= 900


def test_seconds_since() -> None:
    now = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    assert schedule.seconds_since(None, now) is None
    assert schedule.seconds_since(now - dt.timedelta(minutes=1), now) == 60
    assert schedule.seconds_since(now + dt.timedelta(minutes=1), now) == -60
