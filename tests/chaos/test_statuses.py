"""Every HTTP status with every form of asking for time: what becomes of run and breaker."""

import email.utils
import time
from random import Random
from typing import Any, NamedTuple

import httpx
import pytest

from runs.models import Run, Upstream
from tests.chaos.rows import Cases
from tests.runs.answers import reply
from tests.runs.polling import Api, due_run, make_due, now_details, poll_of, wait_of

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]

# Those that ask for the most are asked most often.
STATUSES = [
    *[403, 429] * 15,
    *range(200, 208),
    226,
    *range(300, 309),
    *range(400, 432),
    451,
    499,
    *range(500, 600),
]


@pytest.mark.row("statuses")
@pytest.mark.timeout(0)
def test_every_status_with_every_wish_to_be_left_alone(cases: Cases) -> None:
    run = due_run()
    good = now_details(run.run_id)
    assert Api(good).poll() == 1
    for case in cases:
        status = STATUSES[case.number % len(STATUSES)]
        wish = _wish(case.chance)
        listed = case.chance.choice((None, None, 401, 403, 429, 500))
        failures = case.chance.choice((0, 0, 1, 3, 12, 10**6))
        Upstream.objects.all().delete()
        make_due(run, failures=failures, leased_until=None, quarantined_at=None, sync_failures=0)
        before = Run.objects.values_list("version", flat=True).get(pk=run.pk)
        api = Api(_answering(status, wish.headers, case.chance))
        if listed:
            api.listed = reply({}, listed)
        api.poll()
        words = f"{status} {wish.headers} after {failures} failures, the list {listed}"
        _judge(run, before, status, wish.asked(status), failures, words)
        is_refused = status == 401 or (status == 403 and listed in (401, 403))
        is_limited = status == 429 or (status == 403 and listed == 429)
        _judge_pause(run, is_limited, wish.asked(status) if status == 429 else None, words)
        _judge_breaker(run, api, is_refused, words)


def _answering(status: int, headers: dict[str, str], chance: Random) -> Any:
    body: Any = chance.choice(({}, {"message": "No"}, b"", b"<html>", {"error": {"message": "x"}}))

    def answer(run_id: str) -> httpx.Response:
        return reply(body, status, **headers)

    return answer


class Wish(NamedTuple):
    """`seconds`: what its headers ask for, None if nothing that makes sense; `reset`: the same of
    the limit's own header, which is sent with every answer and asks for something after a 429."""

    headers: dict[str, str]
    seconds: float | None
    reset: float | None = None

    def asked(self, status: int) -> float | None:
        return self.reset if self.seconds is None and status == 429 else self.seconds


def _wish(chance: Random) -> Wish:
    headers, seconds = _retry_after(chance)
    if chance.random() < 0.5:
        return Wish(headers, seconds)
    value, reset = chance.choice(RESETS)
    return Wish(headers | {"x_ratelimit_reset_requests": value}, seconds, reset)


RESETS: list[tuple[str, float | None]] = [
    *(("45s", 45), ("0s", 0), ("45", 45), ("1m30s", 90), ("200ms", 0.2), ("24h", 86_400)),
    *(("9" * 400 + "s", 10**9), ("999999999h", 10**9)),
    *((word, None) for word in ("-1s", "-1", "", "soon", "45 s", "s", "NaN", "infs", "1e3s")),
]


def _retry_after(chance: Random) -> tuple[dict[str, str], float | None]:
    """Headers, and the seconds that they ask for; None if they ask for nothing that makes sense.
    10**9: a date or number beyond the longest wait."""
    seconds = chance.choice((0, 1, 2.5, 59, 600, 899, 900, 901, 86_400, 10**9))
    later = email.utils.formatdate(time.time() + seconds, usegmt=True) if seconds < 10**9 else ""
    past = email.utils.formatdate(time.time() - 5_000, usegmt=True)
    forms: list[tuple[dict[str, str], float | None]] = [
        ({}, None),
        ({"retry_after": f"{seconds:g}" if seconds < 10**6 else str(seconds)}, seconds),
        ({"retry_after": later}, seconds if later else None),
        ({"retry_after": past}, 0),
        ({"retry_after": "-5"}, None),
        ({"retry_after": chance.choice(("soon", "", "1e5", "NaN", "inf", "0x10", "5 5"))}, None),
        ({"retry_after": "9" * 400}, 10**9),
        ({"retry_after_ms": "1500", "retry_after": "77"}, 1.5),
        ({"retry_after": "1m30s"}, 90),
        ({"x_ratelimit_limit": "600", "x_ratelimit_remaining": "0"}, None),
    ]
    return chance.choice(forms)


def _judge(
    run: Run, before: int, status: int, asked: float | None, failures: int, words: str
) -> None:
    poll, state = poll_of(run), Upstream.objects.first()
    assert poll.leased_until is None, words
    version, word, steps = Run.objects.values_list("version", "status", "step_count").get(pk=run.pk)
    assert (word, steps) == ("running", 1), words  # the last good state is kept
    assert 200 <= status < 300 or version == before, words
    assert state is not None, words
    if 200 <= status < 300:
        assert poll.sync_failures + (poll.failures == 0) > 0, words
    else:
        assert poll.failures == failures + 1, words
        assert f"answered {status}" in poll.last_error, words
    if poll.failures:
        _judge_wait(wait_of(run), status, asked, failures, words)


def _judge_pause(run: Run, is_limited: bool, asked: float | None, words: str) -> None:
    poll, until = poll_of(run), Upstream.objects.get().paused_until
    assert (until is not None) is is_limited, words
    if until and poll.last_error_at:
        pause = (until - poll.last_error_at).total_seconds()
        clamped = min(max(5.0 if asked is None else asked, 1.0), 900.0)
        assert clamped - 1.1 <= pause <= clamped + 1.1, words


def _judge_breaker(run: Run, api: Api, is_refused: bool, words: str) -> None:
    """The whole key is refused if 401 says so, or the list is forbidden as the run is; then
    nothing more is asked."""
    state = Upstream.objects.get()
    assert (state.state == Upstream.State.REFUSED) is is_refused, words
    if is_refused:
        asked = len(api.asked)
        make_due(run, leased_until=None)
        assert api.poll() == 0, words
        assert len(api.asked) == asked, words


def _judge_wait(wait: float, status: int, asked: float | None, failures: int, words: str) -> None:
    """1 s to 15 min, as long as was asked for, and else no longer than the backoff's ceiling."""
    assert 1 <= wait <= 900, words
    if not 200 <= status < 400 and asked is not None:
        clamped = min(max(asked, 1.0), 900.0)
        assert clamped - 1.1 <= wait <= min(clamped * 1.1, 900.0) + 0.1, words
    else:
        assert wait <= min(2.0 ** min(failures + 1, 20), 900.0) + 0.1, words
