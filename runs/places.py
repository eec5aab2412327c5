"""A run's next place in the schedule: the columns of `Poll` after an answer, after a failure, and
when its quarantine ends."""

import datetime as dt
import random
from typing import Any

from runs import breaker, schedule
from runs.casedev.errors import CaseDevError, NotFound, Unreadable
from runs.claims import Claim
from runs.models import Poll, Run

AFTER_ANSWER = (
    *("lane", "due_at", "leased_until", "failures", "sync_failures", "settle_polls"),
    *("quarantined_at", "last_ok_at", "last_error"),
)


def after_answer(
    held: Claim, run: Run | Claim, now: dt.datetime, *, is_watched: bool
) -> dict[str, Any]:
    """The columns AFTER_ANSWER of `Poll` after a good answer: the lease is given back, and the
    next time set."""
    polls = held.settle_polls if run.is_terminal else 0
    due_at = next_due(run, now, is_watched=is_watched, settle_polls=polls)
    return {
        "lane": lane(run, is_watched=is_watched),
        "due_at": due_at,
        "leased_until": None,
        "failures": 0,
        "sync_failures": 0,
        "settle_polls": polls + 1 if run.is_terminal else 0,
        "quarantined_at": None,
        "last_ok_at": now,
        "last_error": "",
    }


def lane(run: Run | Claim, *, is_watched: bool = False) -> Poll.Lane:
    if run.is_terminal:
        return Poll.Lane.SETTLING
    return Poll.Lane.WATCHED if is_watched else Poll.Lane.ACTIVE


def next_due(
    run: Run | Claim, now: dt.datetime, *, is_watched: bool, settle_polls: int
) -> dt.datetime | None:
    """When a run that was just read is due again; None: never."""
    outlook = schedule.Outlook(
        is_terminal=run.is_terminal,
        is_queued=run.status == Run.Status.QUEUED,
        is_watched=is_watched,
        age=schedule.seconds_since(run.created_at or run.first_seen_at, now),
        ended_ago=schedule.seconds_since(run.completed_at, now),
        settle_polls=settle_polls,
    )
    seconds = schedule.after_success(outlook)
    return None if seconds is None else now + dt.timedelta(seconds=seconds)


def after_failure(held: Claim, error: CaseDevError, now: dt.datetime) -> dict[str, Any]:
    """The columns of `Poll` after a failure."""
    wait: float | None
    wait = schedule.after_failure(held.failures + 1, error.retry_after, random.Random())
    fields: dict[str, Any] = {
        "leased_until": None,
        "failures": held.failures + 1,
        "last_error": error.sentence,
        "last_error_at": now,
    }
    if isinstance(error, Unreadable):
        fields["sync_failures"] = held.sync_failures + 1
        if _is_poison(held):
            wait = schedule.QUARANTINE
            fields |= {} if held.is_quarantined else {"quarantined_at": now}
    elif isinstance(error, NotFound) and held.is_terminal:
        # It is gone upstream, after its end: what we have is all there will be.
        outlook = schedule.Outlook(is_terminal=True, settle_polls=held.settle_polls)
        wait = schedule.after_success(outlook)
        fields["settle_polls"] = held.settle_polls + 1
    return fields | {"due_at": None if wait is None else now + dt.timedelta(seconds=wait)}


def _is_poison(held: Claim) -> bool:
    """Whether it is this run that cannot be read. While nothing at all can be, as behind a proxy
    that answers everything with a page of its own, a run only backs off."""
    if held.is_quarantined or held.sync_failures + 1 < schedule.POISONED_AFTER:
        return held.is_quarantined
    return held.last_error_at is None or breaker.answered_since(held.last_error_at)


def lift_quarantine(run: Run) -> None:
    """Make a quarantined run due at once, with a clean slate."""
    Poll.objects.filter(pk=run.pk).exclude(quarantined_at=None).update(
        quarantined_at=None, sync_failures=0, failures=0, due_at=dt.datetime.now(dt.UTC)
    )


def retry_quarantined() -> None:
    """Give each quarantined run one try: a new version may read what the last one could not."""
    Poll.objects.exclude(quarantined_at=None).update(due_at=dt.datetime.now(dt.UTC))
