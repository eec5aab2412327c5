"""As of when, and why if late: the words under which the record is shown. All take one `now`.

"Stalled" is our own label beside the API's status, never instead of it. Three clocks are kept
apart: a queued run that nobody starts, a running one that gives no sign for far longer than its
agent's runs usually do (`habits`), and our own poller, whose delay says nothing of the run.
"""

import datetime as dt
from enum import StrEnum

import msgspec
from django.db.models import Q

from runs import breaker, habits, notices, patience
from runs.models import Discovery, Poll, Run, Upstream

LATE_AFTER = dt.timedelta(seconds=15)  # three times the pace of a running run
# Habits are asked for only beyond these, and never say that less is long.
QUEUED_LONG = dt.timedelta(seconds=habits.WAIT_SHORTEST)
NO_STEP_LONG = dt.timedelta(seconds=patience.SHORTEST)
SANDBOX_LIMIT = dt.timedelta(minutes=35)  # the documented 30 minutes, and some grace
SIGHT = dt.timedelta(seconds=90)  # beyond the slowest pace, what we know of a run is old
WORKER_SILENT = dt.timedelta(seconds=30)


class Freshness(msgspec.Struct, frozen=True):
    """How fresh one run is. `sentence` is complete without the two times."""

    as_of: dt.datetime | None
    next_at: dt.datetime | None
    is_late: bool
    sentence: str


class StallCause(StrEnum):
    QUEUED = "queued"
    NO_STEP = "no-step"
    PAST_LIMIT = "past-limit"


class Stall(msgspec.Struct, frozen=True):
    cause: StallCause
    sentence: str


class SiteFreshness(msgspec.Struct, frozen=True):
    """How fresh all is. `state`: up, down, refused, or late when our own poller is. While down or
    refused, `next_try` is the end of `sentence`, which counts down."""

    state: str
    sentence: str
    as_of: dt.datetime | None
    late_runs: int
    next_try_at: dt.datetime | None
    next_try: str = ""

    @property
    def lasting(self) -> str:
        """What `sentence` says for as long as nothing new happens."""
        return self.sentence.removesuffix(self.next_try)


def of(poll: Poll | None, upstream: Upstream, now: dt.datetime) -> Freshness:
    """How fresh the run of `poll` is."""
    if poll is None:
        return Freshness(None, None, True, "never fetched; it has no place in the schedule")
    as_of = poll.last_ok_at
    since = f"as of {clock(as_of, now)}" if as_of else "not fetched yet"
    if poll.due_at is None and not poll.failures:
        return Freshness(as_of, None, False, f"final, {since}")
    if upstream.state == Upstream.State.REFUSED:
        next_try = _next_try(upstream.probe_at, now)
        refused = f"{since}; Case.dev refuses our key{next_try}"
        return Freshness(as_of, upstream.probe_at, True, refused)
    next_at = _next_at(poll, upstream)
    if trouble := _trouble(poll, upstream, now):
        return Freshness(as_of, next_at, True, f"{since}; {trouble}")
    return Freshness(as_of, next_at, False, f"{since}, next {until(next_at, now)}")


def _trouble(poll: Poll, upstream: Upstream, now: dt.datetime) -> str:
    """Why the run of `poll` is not as fresh as it should be; "" if it is."""
    next_try = _next_try(_next_at(poll, upstream), now)
    if poll.quarantined_at:
        return f"its answers cannot be read{next_try}"
    if poll.failures:
        return poll.last_error.rstrip(".") + next_try
    if upstream.state == Upstream.State.DOWN:
        return outage(upstream, now) + next_try
    if poll.due_at is None or now - poll.due_at <= LATE_AFTER:
        return ""
    if upstream.is_paused(now):
        return f"Case.dev asked us to slow down, next try {until(upstream.paused_until, now)}"
    if poll.last_tried_at and poll.leased_until and poll.leased_until > now:
        return f"Case.dev has not answered for {_span(now - poll.last_tried_at)}"
    return f"our own poller is {_span(now - poll.due_at)} late"


def may_be_stalled(now: dt.datetime) -> Q:
    """The runs to ask `stall` about: of all others it says no."""
    running = Q(status=Run.Status.RUNNING)
    told_late = Q(last_step_at__lt=now - NO_STEP_LONG) | Q(
        last_step_at=None, started_at__lt=now - NO_STEP_LONG
    )
    return (
        Q(status=Run.Status.QUEUED, listed_at__lt=now - QUEUED_LONG)
        | running & Q(started_at__lt=now - SANDBOX_LIMIT)
        | running & Q(step_count__gt=0) & told_late
    )


def stall(run: Run, poll: Poll | None, now: dt.datetime) -> Stall | None:
    """Why `run` looks stuck, if it does and our own sight of it is good."""
    if poll is None or poll.failures or poll.last_ok_at is None:
        return None
    if now - poll.last_ok_at > SIGHT or overdue(run, poll, now):
        return None
    match run.status:
        case Run.Status.QUEUED:
            return _unstarted(run, now)
        case Run.Status.RUNNING:
            return _past_limit(run, now) or _silent(run, now)
    return None


def _unstarted(run: Run, now: dt.datetime) -> Stall | None:
    waiting = now - (run.created_at or run.first_seen_at)
    if waiting <= QUEUED_LONG:
        return None
    usual = habits.of(run.agent_id).wait
    if waiting.total_seconds() <= usual.seconds:
        return None
    known = _usually(usual, "did not wait for longer than")
    sentence = f"queued for {_span(waiting)}, and nobody started it{known}"
    return Stall(StallCause.QUEUED, sentence)


def _past_limit(run: Run, now: dt.datetime) -> Stall | None:
    if run.started_at is None or now - run.started_at <= SANDBOX_LIMIT:
        return None
    sentence = f"running for {_span(now - run.started_at)}; a sandbox ends after 30 minutes"
    return Stall(StallCause.PAST_LIMIT, sentence)


def _silent(run: Run, now: dt.datetime) -> Stall | None:
    """Only a run that has told a step can be silent: some tell all of theirs at the end."""
    last_sign = run.last_step_at or run.started_at
    if not run.step_count or last_sign is None or now - last_sign <= NO_STEP_LONG:
        return None
    usual = habits.of(run.agent_id).silence
    if (now - last_sign).total_seconds() <= usual.seconds:
        return None
    known = _usually(usual, "were never silent for longer than")
    return Stall(StallCause.NO_STEP, f"no new step for {_span(now - last_sign)}{known}")


def _usually(usual: patience.Patience, verb: str) -> str:
    """ "; 95 % of this agent's last 40 runs were never silent for longer than 20 s"."""
    if usual.usual is None:
        return ""
    span = _span(dt.timedelta(seconds=usual.usual))
    share = round(patience.QUANTILE * 100)
    return f"; {share} % of this agent's last {usual.runs} runs {verb} {span}"


def overdue(run: Run, poll: Poll, now: dt.datetime) -> str:
    """ "as of 10:40:07, and due 4 min ago": that our own sight of an active run is late, whatever
    the cause; "" if it is not."""
    if not run.is_active or poll.due_at is None or now - poll.due_at <= LATE_AFTER:
        return ""
    since = f"as of {clock(poll.last_ok_at, now)}" if poll.last_ok_at else "never fetched"
    return f"{since}, and due {_span(now - poll.due_at)} ago"


def site(now: dt.datetime) -> SiteFreshness:
    """How fresh the whole record is."""
    upstream = breaker.upstream()
    late = Poll.objects.late(now, LATE_AFTER).count()
    as_of = upstream.last_ok_at
    probe_at, next_try = upstream.probe_at, f"{_next_try(upstream.probe_at, now)}."
    match upstream.state:
        case Upstream.State.REFUSED:
            reason = upstream.last_error.rstrip(".") + next_try
            sentence = f"Case.dev refuses our key, so polling has stopped: {reason}"
            return SiteFreshness("refused", sentence, as_of, late, probe_at, next_try)
        case Upstream.State.DOWN:
            sentence = outage(upstream, now) + next_try
            return SiteFreshness("down", sentence, as_of, late, probe_at, next_try)
    if late and upstream.is_paused(now):
        wait = _next_try(upstream.paused_until, now)
        sentence = f"Case.dev asked us to slow down{wait}."
        return SiteFreshness("late", sentence, as_of, late, upstream.paused_until)
    beat = notices.last_beat()
    silent = beat is None or now.timestamp() - beat > WORKER_SILENT.total_seconds()
    if silent and (as_of is None or now - as_of > WORKER_SILENT):
        return SiteFreshness("late", "No worker has polled lately.", as_of, late, None)
    if late:
        sentence = f"{late} active {'run is' if late == 1 else 'runs are'} polled late."
        return SiteFreshness("late", sentence, as_of, late, None)
    discovered = Discovery.objects.filter(pk=Discovery.SOLE).first()
    if discovered and discovered.failures:
        reason = discovered.last_error.rstrip(".") + _next_try(discovered.due_at, now)
        sentence = f"The list of runs cannot be read: {reason}."
        return SiteFreshness("late", sentence, as_of, late, discovered.due_at)
    sentence = f"as of {clock(as_of, now)}" if as_of else "Waiting for the first answer."
    return SiteFreshness("up", sentence, as_of, late, None)


def outage(upstream: Upstream, now: dt.datetime) -> str:
    """ "Case.dev is not answering since 10:40:07 (Case.dev answered 503)"."""
    since = f" since {clock(upstream.since, now)}" if upstream.since else ""
    return f"Case.dev is not answering{since} ({upstream.last_error.rstrip('.')})"


def _next_at(poll: Poll, upstream: Upstream) -> dt.datetime | None:
    if upstream.state == Upstream.State.DOWN and poll.due_at and upstream.probe_at:
        return max(poll.due_at, upstream.probe_at)
    return poll.due_at


def _next_try(moment: dt.datetime | None, now: dt.datetime) -> str:
    return f", next try {until(moment, now)}" if moment else ", no further try"


def until(moment: dt.datetime | None, now: dt.datetime) -> str:
    """ "in 12 s", or "now" when there is nothing to wait for."""
    return "now" if moment is None or moment <= now else f"in {_span(moment - now)}"


def clock(moment: dt.datetime, now: dt.datetime) -> str:
    """A time of day, with the date in front when it is not today's (UTC), and with its year when it
    is not this one."""
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    year = "" if moment.year == now.year else f" {moment:%Y}"
    return f"{moment:%-d %b}{year} {moment:%H:%M:%S}"


def _span(span: dt.timedelta) -> str:
    """ "12 s", "4 min", "3 h", "2 days"."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, length in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            count = seconds // length
            return f"{count} days" if unit == "day" else f"{count} {unit}"
    return f"{seconds or 1} s"
