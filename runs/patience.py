"""How long is long, for a kind of wait that past runs have known. Pure; all in seconds.

A high quantile of what was healthy, and some times that: one odd run neither hides a stall for
ever nor makes every later run look stalled.
"""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

ENOUGH = 5  # runs, before their own history says more than the rule for everybody
QUANTILE = 0.95
TIMES = 3.0
SHORTEST, UNKNOWN, LONGEST = 180.0, 600.0, 3600.0


class Patience(NamedTuple):
    """`seconds` until something counts as long; `usual`: the quantile it rests on, of `runs`
    runs, None while there are too few."""

    seconds: float = UNKNOWN
    usual: float | None = None
    runs: int = 0


def of(seen: Sequence[float], shortest: float = SHORTEST) -> Patience:
    """
    >>> of([20.0] * 50).seconds
    180.0
    >>> of([100.0] * 50).seconds
    300.0
    >>> of([700.0]).seconds
    2100.0
    """
    if not seen:
        return Patience(max(UNKNOWN, shortest))
    if len(seen) < ENOUGH:
        known = min(TIMES * max(seen), LONGEST)
        return Patience(max(UNKNOWN, shortest, known), None, len(seen))
    usual = sorted(seen)[math.ceil(QUANTILE * len(seen)) - 1]
    return Patience(min(max(TIMES * usual, shortest), LONGEST), usual, len(seen))


def longest_silence(
    started_at: dt.datetime | None,
    moments: Iterable[dt.datetime | None],
    ended_at: dt.datetime | None,
) -> dt.timedelta | None:
    """The longest time between two steps, or a step and the start or end; None without times."""
    known = sorted(moment for moment in (started_at, *moments, ended_at) if moment is not None)
    if len(known) < 2:
        return None
    return max(later - earlier for earlier, later in pairwise(known))
