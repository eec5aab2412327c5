"""What looks stuck, and why."""

import datetime as dt
import random
from typing import Any

import pytest

from runs import stalls
from runs.models import Poll, Run
from runs.stalls import StallCause
from tests.factories import make_run

NOW = dt.datetime(2026, 11, 2, 10, 42, 7, tzinfo=dt.UTC)


def ago(**span: float) -> dt.datetime:
    return NOW - dt.timedelta(**span)


@pytest.mark.parametrize(
    ("run", "poll", "cause", "sentence"),
    [
        ({"status": "queued", "created_at": ago(minutes=10)}, {}, None, ""),
        (
            {"status": "queued", "created_at": ago(minutes=11)},
            {},
            StallCause.QUEUED,
            "queued for 11 min, and nobody started it",
        ),
        (
            {"status": "queued", "created_at": None, "first_seen_at": ago(days=3)},
            {},
            StallCause.QUEUED,
            "queued for 3 days, and nobody started it",
        ),
        ({"started_at": ago(minutes=9), "last_step_at": ago(minutes=9)}, {}, None, ""),
        (
            {"started_at": ago(minutes=30), "last_step_at": ago(minutes=12)},
            {},
            StallCause.NO_STEP,
            "no new step for 12 min",
        ),
        ({"started_at": ago(minutes=30), "step_count": 0, "last_step_at": None}, {}, None, ""),
        (
            {"started_at": ago(minutes=36), "last_step_at": ago(minutes=1)},
            {},
            StallCause.PAST_LIMIT,
            "running for 36 min; a sandbox ends after 30 minutes",
        ),
        ({"started_at": None, "last_step_at": None}, {}, None, ""),
        ({"status": "completed", "last_step_at": ago(days=9)}, {}, None, ""),
        ({"status": "paused", "last_step_at": ago(days=9)}, {}, None, ""),
        # While we do not see it ourselves, we say nothing of it.
        ({"started_at": ago(minutes=36)}, {"failures": 1}, None, ""),
        ({"started_at": ago(minutes=36)}, {"last_ok_at": None}, None, ""),
        ({"started_at": ago(minutes=36)}, {"last_ok_at": ago(minutes=5)}, None, ""),
        ({"started_at": ago(minutes=36)}, {"due_at": ago(seconds=40)}, None, ""),
        (
            {"started_at": ago(minutes=36)},
            {"due_at": ago(seconds=10)},
            StallCause.PAST_LIMIT,
            "running for 36 min; a sandbox ends after 30 minutes",
        ),
    ],
)
def test_why_a_run_looks_stuck(
    run: dict[str, Any], poll: dict[str, Any], cause: StallCause | None, sentence: str
) -> None:
    fields = {"status": "running", "step_count": 3, "first_seen_at": ago(minutes=1)} | run
    said = stalls.stall(Run(**fields), Poll(**({"last_ok_at": ago(seconds=60)} | poll)), NOW)
    assert (said and said.cause, said.sentence if said else "") == (cause, sentence)
    assert stalls.stall(Run(**fields), None, NOW) is None


@pytest.mark.django_db
def test_whoever_is_stalled_is_among_those_that_may_be() -> None:
    """The database passes by only runs of which `stall` says no, whatever was told of them."""
    minutes = (0, 1, 4, 6, 11, 34, 36, 90)
    chance = random.Random(7)

    def moment() -> dt.datetime | None:
        return chance.choice((None, ago(minutes=chance.choice(minutes), seconds=chance.random())))

    for _ in range(300):
        made = moment()
        make_run(
            chance.choice(("queued", "running", "completed", "paused")),
            created_at=made,
            listed_at=made or ago(minutes=3),
            first_seen_at=made or ago(minutes=3),
            started_at=moment(),
            last_step_at=moment(),
            step_count=chance.choice((0, 9)),
            poll_last_ok_at=NOW,
            poll_due_at=NOW,
        )
    found, are_more = stalls.suspects(NOW, 300)
    suspects = list(found)
    stalled = {run.pk for run in Run.objects.all() if stalls.stall(run, run.poll, NOW)}
    assert stalled <= set(suspects)
    assert len(stalled) > 30
    assert len(suspects) < 200
    assert not are_more
    first, are_more = stalls.suspects(NOW, 7)
    assert list(first) == suspects[:7]
    assert are_more
