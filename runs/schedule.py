"""When to ask about a run next. One pure function and its limits, all in seconds."""

import datetime as dt
import random

import msgspec

WATCHED = 1.0  # running, and a browser looks at it
RUNNING = 5.0
QUEUED = 5.0
QUEUED_SLOWEST = 60.0  # a queued run waits for somebody to start it, maybe for ever
QUEUED_PATIENCE = 3600.0  # how long a queued run is asked about at full pace
# Costs can arrive after the end, so an ended run is asked about a few times more.
SETTLE = (3.0, 15.0, 60.0, 300.0, 900.0)
LONG_ENDED = 3600.0  # a run that ended this long before we first read it has settled
BACKOFF_FIRST = 2.0
BACKOFF_LONGEST = 900.0
WAIT_SHORTEST, WAIT_LONGEST = 1.0, 900.0  # clamp on what Retry-After asks for
QUARANTINE = 3600.0  # a run that we cannot read is tried again this rarely
POISONED_AFTER = 5  # failures in reading or storing, in a row


class Outlook(msgspec.Struct, frozen=True):
    """What the next poll depends on. `age` and `ended_ago` are seconds; None if unknown."""

    is_terminal: bool = False
    is_queued: bool = False
    is_watched: bool = False
    age: float | None = None
    ended_ago: float | None = None
    settle_polls: int = 0


def after_success(outlook: Outlook) -> float | None:
    """Seconds until the next poll of a run that was just read; None: never again.

    >>> after_success(Outlook(is_watched=True))
    1.0
    """
    if outlook.is_terminal:
        return _after_end(outlook)
    if outlook.is_queued:
        late = max((outlook.age or 0.0) - QUEUED_PATIENCE, 0.0)
        pace = min(QUEUED + late / 60.0, QUEUED_SLOWEST)
        return WATCHED * 2 if outlook.is_watched and late == 0 else pace
    return WATCHED if outlook.is_watched else RUNNING


def _after_end(outlook: Outlook) -> float | None:
    has_settled = outlook.ended_ago is not None and outlook.ended_ago > LONG_ENDED
    if has_settled or outlook.settle_polls >= len(SETTLE):
        return None
    return SETTLE[outlook.settle_polls]


def after_failure(failures: int, retry_after: float | None, chance: random.Random) -> float:
    """Seconds to wait after the `failures`-th failure in a row (1 for the first).

    Full jitter, so that runs which failed together do not come back together. A wait that the
    API asks for is obeyed within the clamp, and a little stretched for the same reason.
    """
    if retry_after is not None:
        asked = within_reason(retry_after)
        return min(asked * (1 + chance.random() * 0.1), WAIT_LONGEST)
    ceiling = min(BACKOFF_FIRST * 2.0 ** min(failures - 1, 16), BACKOFF_LONGEST)
    return max(chance.random() * ceiling, WAIT_SHORTEST)


def within_reason(retry_after: float) -> float:
    """Seconds to wait when `retry_after` were asked for: 1 s to 15 min."""
    return min(max(retry_after, WAIT_SHORTEST), WAIT_LONGEST)


def seconds_since(moment: dt.datetime | None, now: dt.datetime) -> float | None:
    """Seconds from `moment` to `now`; None if there is no moment."""
    return None if moment is None else (now - moment).total_seconds()
