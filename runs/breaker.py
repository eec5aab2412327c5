"""One circuit breaker for the whole API key.

UP: everything may go. DOWN: nobody answered for a while; one probe in PROBE_EVERY, and when it
succeeds the backlog comes back by a ramp, not at once. REFUSED: the key itself was refused;
nothing goes until somebody tries again (a restart with another key does).
"""

import datetime as dt
import logging
from collections.abc import Sequence

from django.db.models import F, Q

from runs import notices
from runs.casedev.client import Client
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    Unavailable,
    Unreachable,
    Unreadable,
)
from runs.models import Upstream

logger = logging.getLogger(__name__)

OPENS_AFTER = 5  # failures in a row, over all runs
PROBE_EVERY = dt.timedelta(seconds=30)
RAMP_FIRST = 4  # polls in the first second after an outage, doubled with each further one
RAMP_SECONDS = 8
NOTED_EVERY = dt.timedelta(seconds=5)  # how exact `last_ok_at` has to be


def upstream() -> Upstream:
    """The one row, made if it is not there yet."""
    return Upstream.objects.get_or_create(pk=Upstream.SOLE)[0]


def allowance(now: dt.datetime, most: int) -> int:
    """How many requests may be made now, at most `most`. Takes the probe while down."""
    state = upstream()
    if state.state == Upstream.State.REFUSED:
        return 0
    if state.state == Upstream.State.DOWN:
        taken = Upstream.objects.filter(
            Q(probe_at=None) | Q(probe_at__lte=now), state=Upstream.State.DOWN
        ).update(probe_at=now + PROBE_EVERY)
        return min(taken, most)
    if state.since is None:
        return most
    seconds_up = int((now - state.since).total_seconds())
    return min(RAMP_FIRST << max(seconds_up, 0), most) if seconds_up < RAMP_SECONDS else most


def note(errors: Sequence[CaseDevError | None], case_dev: Client, now: dt.datetime) -> None:
    """Take in how a round of requests went: one error each, None for an answer.

    An error that Case.dev itself spoke (unknown run, rate limit) is a sign of life, though no
    answer. What cannot be read tells nothing: it may come from a proxy, or be about one run. A
    403 may mean one run or the whole key; the list of runs tells which.
    """
    if not errors:
        return
    state = upstream()
    refusal = _refusal(errors, case_dev)
    outages = [error for error in errors if isinstance(error, Unreachable | Unavailable)]
    silent = (Unreachable, Unavailable, Unreadable)
    if refusal:
        _enter(Upstream.State.REFUSED, refusal.sentence, now)
    elif any(not isinstance(error, silent) for error in errors):
        _succeeded(state, now, was_answered=None in errors)
    elif outages:
        _failed(outages, now)


def answered_since(moment: dt.datetime) -> bool:
    """Whether any request was answered well since `moment`, as exactly as that is noted."""
    return Upstream.objects.filter(pk=Upstream.SOLE, last_ok_at__gte=moment - NOTED_EVERY).exists()


def _refusal(errors: Sequence[CaseDevError | None], case_dev: Client) -> CaseDevError | None:
    for error in errors:
        if isinstance(error, KeyRefused):
            return error
    for error in errors:
        if isinstance(error, Forbidden):
            return _refused_for_all(error, case_dev)
    return None


def _refused_for_all(error: Forbidden, case_dev: Client) -> CaseDevError | None:
    try:
        case_dev.runs(limit=1)
    except (Forbidden, KeyRefused):
        return error
    except CaseDevError:
        return None
    return None


def _succeeded(state: Upstream, now: dt.datetime, *, was_answered: bool) -> None:
    heard = {"last_ok_at": now} if was_answered else {}
    if state.state != Upstream.State.UP:
        recovered = (
            Upstream.objects.filter(pk=Upstream.SOLE)
            .exclude(state=Upstream.State.UP)
            .update(state=Upstream.State.UP, since=now, failures=0, probe_at=None, **heard)
        )
        if recovered:
            logger.warning("Case.dev answers again")
            notices.publish_upstream()
        return
    # Reading costs no lock, so the row is written only when it tells something new.
    is_stale = state.last_ok_at is None or state.last_ok_at < now - NOTED_EVERY
    if state.failures or (heard and is_stale):
        Upstream.objects.filter(pk=Upstream.SOLE).update(failures=0, **heard)


def _failed(errors: Sequence[CaseDevError], now: dt.datetime) -> None:
    sentence = errors[-1].sentence
    Upstream.objects.filter(pk=Upstream.SOLE).update(
        failures=F("failures") + len(errors), last_error=sentence
    )
    is_out = Upstream.objects.filter(
        pk=Upstream.SOLE, failures__gte=OPENS_AFTER, state=Upstream.State.UP
    ).exists()
    if is_out:
        _enter(Upstream.State.DOWN, sentence, now)


def try_again(now: dt.datetime) -> None:
    """Let one probe through at once; what it meets decides. For a restart and for admins."""
    Upstream.objects.filter(pk=Upstream.SOLE).exclude(state=Upstream.State.UP).update(
        state=Upstream.State.DOWN, probe_at=now
    )


def _enter(state: Upstream.State, sentence: str, now: dt.datetime) -> None:
    entered = (
        Upstream.objects.filter(pk=Upstream.SOLE)
        .exclude(state=state)
        .update(state=state, since=now, last_error=sentence, probe_at=now + PROBE_EVERY)
    )
    if entered:
        logger.error("Case.dev %s: %s", state.label, sentence)
        notices.publish_upstream()
