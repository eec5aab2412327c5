"""How long Case.dev asks us to wait, in every form that it may say so."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.casedev.headers import retry_after

NOW = dt.datetime(2026, 11, 2, 15, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("0045", 45),
        ("45s", 45),
        ("1m30s", 90),
        ("2h", 7200),
        ("200ms", 0.2),
        ("Mon, 02 Nov 2026 15:00:30 GMT", 30),
        ("Mon, 02 Nov 2026 15:00:30 -0000", 30),
        ("Mon, 02 Nov 2026 16:00:30 +0100", 30),
        ("Monday, 02-Nov-26 15:00:30 GMT", 30),
        ("Mon, 02 Nov 2026 14:00:00 GMT", 0),
        ("", None),
        ("-1", None),
        ("-1.5", None),
        ("in a while", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e3", None),
        ("٤٥", None),
        ("45s later", None),
        ("1m30", None),
        ("s", None),
        ("Mon, 32 Nov 2026 15:00:30 GMT", None),
        ("Mon, 02 Nov 99999 15:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_in_seconds_in_spans_and_as_a_date(
    value: str, seconds: float | None
) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize("value", ["99999999999", "9" * 400, "99999999999h", "9" * 400 + "s"])
def test_a_wait_beyond_all_measure_is_still_a_wait(value: str) -> None:
    # The schedule clamps it; to read it as "no wish" would have us ask again in two seconds.
    wait = retry_after({"retry-after": value}, NOW)
    assert wait is not None
    assert wait > 1e9


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "9", "x-ratelimit-reset-requests": "45s"}, 9),
        ({"retry-after": "x", "x-ratelimit-reset-requests": "45s"}, 45),
        ({"x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-reset-requests": "45"}, 45),
        ({"x-ratelimit-reset-requests": "-45s"}, None),
        ({}, None),
    ],
)
def test_the_most_exact_header_that_makes_sense_wins(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == seconds


def test_the_quota_header_counts_after_a_rate_limit_only() -> None:
    headers = {"x-ratelimit-reset-requests": "45s"}
    assert retry_after(headers, NOW, is_rate_limit=False) is None


@given(st.text(), st.text(), st.text())
def test_no_header_whatever_it_says_raises_or_asks_for_less_than_nothing(
    milliseconds: str, seconds: str, reset: str
) -> None:
    wait = retry_after(
        {
            "retry-after-ms": milliseconds,
            "retry-after": seconds,
            "x-ratelimit-reset-requests": reset,
        },
        NOW,
    )
    assert wait is None or wait >= 0
