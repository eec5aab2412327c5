"""As of when, and why if late: every sentence, in a table, at one `now`."""

import datetime as dt
from typing import Any

import pytest

from runs import freshness, notices
from runs.freshness import Freshness, SiteFreshness
from runs.models import Discovery, Poll, Upstream
from tests.factories import make_run

NOW = dt.datetime(2026, 11, 2, 10, 42, 7, tzinfo=dt.UTC)


def ago(**span: float) -> dt.datetime:
    return NOW - dt.timedelta(**span)


def soon(**span: float) -> dt.datetime:
    return NOW + dt.timedelta(**span)


UP: dict[str, Any] = {}
DOWN = {
    "state": Upstream.State.DOWN,
    "since": ago(minutes=2),
    "last_error": "Case.dev answered 503.",
    "probe_at": soon(seconds=12),
}
OUTAGE = "Case.dev is not answering since 10:40:07 (Case.dev answered 503)"
REFUSED = {
    "state": Upstream.State.REFUSED,
    "last_error": "Case.dev answered 401: Invalid key",
    "probe_at": soon(minutes=14),
}
PAUSED = {"paused_until": soon(seconds=20)}


@pytest.mark.parametrize(
    ("poll", "upstream", "sentence", "is_late", "next_at"),
    [
        ({}, UP, "as of 10:42:06, next in 1 s", False, soon(seconds=1)),
        ({"due_at": soon(seconds=50)}, UP, "as of 10:42:06, next in 50 s", False, "due"),
        ({"due_at": NOW}, UP, "as of 10:42:06, next now", False, NOW),
        ({"due_at": ago(seconds=15)}, UP, "as of 10:42:06, next now", False, "due"),
        (
            {"due_at": ago(seconds=16)},
            UP,
            "as of 10:42:06; our own poller is 16 s late",
            True,
            "due",
        ),
        (
            {"due_at": ago(seconds=40), "last_tried_at": ago(seconds=20), "leased_until": NOW},
            UP,
            "as of 10:42:06; our own poller is 40 s late",
            True,
            "due",
        ),
        (
            {
                "due_at": ago(seconds=21),
                "last_tried_at": ago(seconds=20),
                "leased_until": soon(seconds=40),
            },
            UP,
            "as of 10:42:06; Case.dev has not answered for 20 s",
            True,
            "due",
        ),
        ({"last_ok_at": None}, UP, "not fetched yet, next in 1 s", False, "due"),
        ({"last_ok_at": ago(days=3)}, UP, "as of 30 Oct 10:42:07, next in 1 s", False, "due"),
        ({"due_at": None}, UP, "final, as of 10:42:06", False, None),
        (
            {"due_at": None, "last_ok_at": ago(days=400)},
            UP,
            f"final, as of {ago(days=400):%-d %b %Y} 10:42:07",
            False,
            None,
        ),
        ({"due_at": None}, DOWN, "final, as of 10:42:06", False, None),
        ({"due_at": None}, REFUSED, "final, as of 10:42:06", False, None),
        (
            {"failures": 2, "last_error": "Case.dev answered 503.", "due_at": soon(seconds=12)},
            UP,
            "as of 10:42:06; Case.dev answered 503, next try in 12 s",
            True,
            "due",
        ),
        (
            {"failures": 2, "last_error": "Case.dev answered 500: No room", "due_at": NOW},
            UP,
            "as of 10:42:06; Case.dev answered 500: No room, next try now",
            True,
            "due",
        ),
        (
            {"failures": 6, "last_error": "Case.dev answered 404.", "due_at": None},
            UP,
            "as of 10:42:06; Case.dev answered 404, no further try",
            True,
            None,
        ),
        (
            {"failures": 5, "quarantined_at": NOW, "last_error": "x", "due_at": soon(minutes=59)},
            UP,
            "as of 10:42:06; its answers cannot be read, next try in 59 min",
            True,
            "due",
        ),
        (
            {},
            DOWN,
            f"as of 10:42:06; {OUTAGE}, next try in 12 s",
            True,
            soon(seconds=12),
        ),
        (
            {"failures": 1, "last_error": "Case.dev answered 503.", "due_at": soon(seconds=3)},
            DOWN,
            "as of 10:42:06; Case.dev answered 503, next try in 12 s",
            True,
            soon(seconds=12),
        ),
        (
            {},
            REFUSED,
            "as of 10:42:06; Case.dev refuses our key, next try in 14 min",
            True,
            soon(minutes=14),
        ),
        (
            {"due_at": ago(seconds=40)},
            PAUSED,
            "as of 10:42:06; Case.dev asked us to slow down, next try in 20 s",
            True,
            "due",
        ),
    ],
)
def test_how_fresh_a_run_is(
    poll: dict[str, Any], upstream: dict[str, Any], sentence: str, is_late: bool, next_at: Any
) -> None:
    row = Poll(**({"last_ok_at": ago(seconds=1), "due_at": soon(seconds=1)} | poll))
    expected_next = row.due_at if next_at == "due" else next_at
    assert freshness.of(row, Upstream(**upstream), NOW) == Freshness(
        row.last_ok_at, expected_next, is_late, sentence
    )


def test_a_run_without_a_place_in_the_schedule_says_so() -> None:
    said = freshness.of(None, Upstream(), NOW)
    assert (said.is_late, said.sentence) == (
        True,
        "never fetched; it has no place in the schedule",
    )


def site(**upstream: Any) -> SiteFreshness:
    fields = {"last_ok_at": ago(seconds=2)} | upstream
    Upstream.objects.update_or_create(pk=Upstream.SOLE, defaults=fields)
    return freshness.site(NOW)


@pytest.mark.django_db
def test_how_fresh_the_whole_site_is() -> None:
    assert site() == SiteFreshness("up", "as of 10:42:05", ago(seconds=2), 0, None)
    said = site(**DOWN)
    assert (said.state, said.next_try_at) == ("down", soon(seconds=12))
    assert said.sentence == f"{OUTAGE}, next try in 12 s."
    assert (said.lasting, said.next_try) == (OUTAGE, ", next try in 12 s.")
    said = site(**REFUSED)
    assert (said.state, said.sentence) == (
        "refused",
        (
            "Case.dev refuses our key, so polling has stopped: "
            "Case.dev answered 401: Invalid key, next try in 14 min."
        ),
    )
    assert said.next_try == ", next try in 14 min."


@pytest.mark.django_db
def test_without_a_worker_the_site_says_so_and_shows_no_green() -> None:
    said = site(last_ok_at=None)
    assert (said.state, said.sentence) == ("late", "No worker has polled lately.")
    assert site(last_ok_at=ago(minutes=1)).state == "late"
    notices.beat()
    said = freshness.site(dt.datetime.now(dt.UTC))
    assert (said.state, said.sentence[:5]) == ("up", "as of")
    Upstream.objects.update(last_ok_at=None)
    said = freshness.site(dt.datetime.now(dt.UTC))
    assert (said.state, said.sentence) == ("up", "Waiting for the first answer.")


@pytest.mark.django_db
def test_what_is_polled_late_is_counted() -> None:
    make_run("running", poll_due_at=ago(seconds=14))
    assert site().state == "up"
    make_run("running", poll_due_at=ago(seconds=16))
    said = site()
    assert (said.state, said.late_runs) == ("late", 1)
    assert said.sentence == "1 active run is polled late."
    make_run("running", poll_due_at=ago(seconds=16))
    assert site().sentence == "2 active runs are polled late."
    make_run("completed", poll_due_at=ago(hours=1), poll_lane=Poll.Lane.SETTLING)
    assert site().late_runs == 2


@pytest.mark.django_db
def test_a_list_that_cannot_be_read_is_told() -> None:
    next_at = soon(seconds=30)
    Discovery.objects.create(pk=1, failures=1, last_error="Case.dev answered 500.", due_at=next_at)
    said = site()
    assert (said.state, said.next_try_at) == ("late", next_at)
    assert said.sentence == (
        "The list of runs cannot be read: Case.dev answered 500, next try in 30 s."
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 s"),
        (0, "1 s"),
        (1.9, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (47 * 3600, "47 h"),
        (48 * 3600, "2 days"),
    ],
)
def test_spans_are_in_the_largest_unit_that_has_two(seconds: float, words: str) -> None:
    row = Poll(last_ok_at=NOW, failures=1, last_error="x", due_at=soon(seconds=max(seconds, 0.1)))
    said = freshness.of(row, Upstream(), NOW).sentence
    assert said == f"as of 10:42:07; x, next try in {words}"
