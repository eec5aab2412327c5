"""As of when, and why if late: the words under which the record is shown. All take one `now`."""

import datetime as dt

import msgspec

from runs import breaker, notices
from runs.models import Discovery, Poll, Run, Upstream

LATE_AFTER = dt.timedelta(seconds=15)  # three times the pace of a running run
WORKER_SILENT = dt.timedelta(seconds=30)


class Freshness(msgspec.Struct, frozen=True):
    """How fresh one run is. `sentence` is complete without the two times."""

    as_of: dt.datetime | None
    next_at: dt.datetime | None
    is_late: bool
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
        return f"Case.dev has not answered for {how_long(now - poll.last_tried_at)}"
    return f"our own poller is {how_long(now - poll.due_at)} late"


def overdue(run: Run, poll: Poll, now: dt.datetime) -> str:
    """ "as of 10:40:07, and due 4 min ago": that our own sight of an active run is late, whatever
    the cause; "" if it is not."""
    if not run.is_active or poll.due_at is None or now - poll.due_at <= LATE_AFTER:
        return ""
    since = f"as of {clock(poll.last_ok_at, now)}" if poll.last_ok_at else "never fetched"
    return f"{since}, and due {how_long(now - poll.due_at)} ago"


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
    return "now" if moment is None or moment <= now else f"in {how_long(moment - now)}"


def clock(moment: dt.datetime, now: dt.datetime) -> str:
    """A time of day, with the date in front when it is not today's (UTC), and with its year when it
    is not this one."""
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    year = "" if moment.year == now.year else f" {moment:%Y}"
    return f"{moment:%-d %b}{year} {moment:%H:%M:%S}"


def how_long(span: dt.timedelta) -> str:
    """ "12 s", "4 min", "3 h", "2 days"."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, length in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            count = seconds // length
            return f"{count} days" if unit == "day" else f"{count} {unit}"
    return f"{seconds or 1} s"
