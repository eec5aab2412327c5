"""One look at the database for everybody: the versions of runs, and what pages say of freshness.

Notices are hints and may be lost, and some things change without a new version: when we last
asked, when we ask next, and that a run has gone quiet.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from typing import NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from dashboard.templatetags.runsheet import remark_on
from runs import breaker, freshness, stalls
from runs.models import Poll, Run, Upstream

MOST_NAMES = 2_000  # in one query
# A page that says "as of" has to be told anew only when the moment moved by this much.
EXACT_TO = dt.timedelta(seconds=3)
# While something is late, pages count down to the next try: in steps of so many seconds.
COUNTDOWN = 5

_SEEN = (
    *("version", "status", "created_at", "started_at", "first_seen_at", "last_step_at"),
    *("step_count", "poll__due_at", "poll__last_ok_at", "poll__failures", "poll__last_error"),
    *("poll__quarantined_at", "agent_id"),
)


class Saying(NamedTuple):
    """What a page says of freshness: a moment that moves on, and the rest."""

    as_of: dt.datetime | None
    rest: tuple[object, ...]

    def differs_from(self, earlier: "Saying | None") -> bool:
        if earlier is None or self.rest != earlier.rest:
            return True
        if self.as_of is None or earlier.as_of is None:
            return self.as_of is not earlier.as_of
        return abs(self.as_of - earlier.as_of) >= EXACT_TO


class State(NamedTuple):
    run: int
    version: int
    is_over: bool  # ended, and never polled again
    remark: str  # our own word beside the status ("stalled"), or ""
    freshness: Saying


class Sight(NamedTuple):
    site: Saying
    states: list[State]


def look(runs: Sequence[int]) -> Sight:
    now = timezone.now()
    upstream = breaker.upstream()
    is_up = upstream.state == Upstream.State.UP
    rest = (upstream.state, upstream.last_error, None if is_up else _countdown(now))
    site = Saying(upstream.last_ok_at, rest)
    known = list(_load(runs))
    stalls.prepare(known, now)
    return Sight(site, [_state(run, upstream, now) for run in known])


def is_over(run: Run) -> bool:
    """Ended, and never polled again: the page has nothing to wait for."""
    poll = poll_of(run)
    return run.is_terminal and (poll is None or poll.due_at is None)


def poll_of(run: Run) -> Poll | None:
    try:
        return run.poll
    except ObjectDoesNotExist:
        return None


def _load(runs: Iterable[int]) -> Iterator[Run]:
    for some in batched(runs, MOST_NAMES):
        yield from Run.objects.filter(pk__in=some).select_related("poll").only(*_SEEN).order_by()


def _state(run: Run, upstream: Upstream, now: dt.datetime) -> State:
    poll = poll_of(run)
    said = freshness.of(poll, upstream, now)
    remark = remark_on(run, now)
    rest: tuple[object, ...] = (said.is_late, upstream.state, said.next_at is None)
    if poll and said.is_late:
        rest += (poll.failures, poll.last_error, said.next_at, _countdown(now))
    return State(
        run=run.pk,
        version=run.version,
        is_over=is_over(run),
        remark=remark.word if remark else "",
        freshness=Saying(said.as_of, rest),
    )


def versions(runs: Iterable[int]) -> dict[int, int]:
    """The versions of those runs that there are."""
    return dict(Run.objects.filter(pk__in=list(runs)).values_list("pk", "version"))


def _countdown(now: dt.datetime) -> int:
    return int(now.timestamp()) // COUNTDOWN
