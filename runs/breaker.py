"""One circuit breaker for the whole API key.

UP: everything may go. DOWN: nobody answered for a while; one probe in PROBE_EVERY. REFUSED: the
key itself was refused; one probe in REFUSED_EVERY, for keys are mended upstream too. When a probe
succeeds the backlog comes back over SPREAD, not at once.

A rate limit is of the whole organisation, so one 429 makes all of it wait. The state stays UP.
"""

import datetime as dt
import logging
import math
import random
import time
from collections.abc import Sequence

from django.db.models import F, Q, Value
from django.db.models.functions import Mod

from runs import notices, schedule
from runs.casedev.client import Client
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    RateLimited,
    Unavailable,
    Unreachable,
    Unreadable,
)
from runs.models import Poll, Upstream

logger = logging.getLogger(__name__)

OPENS_AFTER = 5  # failures in a row, over all runs
PROBE_EVERY = dt.timedelta(seconds=30)
REFUSED_EVERY = dt.timedelta(minutes=15)
PAUSE = 5.0  # seconds to leave Case.dev alone after a 429 that names no time
SPREAD = dt.timedelta(seconds=2 * schedule.RUNNING)  # over which a backlog comes back
SHARES = 20  # the parts in which it does
FEW = 8  # runs that may come back together
SAME_PAUSE = dt.timedelta(seconds=1)  # two limits that end within this are one
NOTED_EVERY = dt.timedelta(seconds=5)  # how exact `last_ok_at` has to be


def upstream() -> Upstream:
    """The one row, made if it is not there yet."""
    return Upstream.objects.get_or_create(pk=Upstream.SOLE)[0]


def allowance(now: dt.datetime, most: int) -> int:
    """How many requests may be made now, at most `most`. Takes the probe while down or refused."""
    state = upstream()
    if state.state == Upstream.State.UP:
        return 0 if state.is_paused(now) else most
    taken = Upstream.objects.filter(
        Q(probe_at=None) | Q(probe_at__lte=now), state=state.state
    ).update(probe_at=now + _probe_every(state.state))
    return min(taken, most)


def _probe_every(state: str) -> dt.timedelta:
    return REFUSED_EVERY if state == Upstream.State.REFUSED else PROBE_EVERY


def note(errors: Sequence[CaseDevError | None], case_dev: Client, now: dt.datetime) -> None:
    """Take in how a round of requests went: one error each, None for an answer.

    An error that Case.dev itself spoke (unknown run, rate limit) is a sign of life, though no
    answer. What cannot be read tells nothing: it may come from a proxy, or be about one run. A
    403 may mean one run or the whole key; the list of runs tells which.
    """
    if not errors:
        return
    state = upstream()
    refusal = _refusal(errors, case_dev, now)
    outages = [error for error in errors if isinstance(error, Unreachable | Unavailable)]
    silent = (Unreachable, Unavailable, Unreadable)
    for error in errors:
        if isinstance(error, RateLimited):
            pause(error, now)
    if refusal:
        _enter(Upstream.State.REFUSED, refusal.sentence, now)
    elif any(not isinstance(error, silent) for error in errors):
        _succeeded(state, now, was_answered=None in errors)
    elif outages:
        _failed(outages, now)


def answered_since(moment: dt.datetime) -> bool:
    """Whether any request was answered well since `moment`, as exactly as that is noted."""
    return Upstream.objects.filter(pk=Upstream.SOLE, last_ok_at__gte=moment - NOTED_EVERY).exists()


def _refusal(
    errors: Sequence[CaseDevError | None], case_dev: Client, now: dt.datetime
) -> CaseDevError | None:
    for error in errors:
        if isinstance(error, KeyRefused):
            return error
    for error in errors:
        if isinstance(error, Forbidden):
            return _refused_for_all(error, case_dev, now)
    return None


def _refused_for_all(error: Forbidden, case_dev: Client, now: dt.datetime) -> CaseDevError | None:
    began = time.monotonic()
    try:
        case_dev.runs(limit=1)
    except (Forbidden, KeyRefused):
        return error
    except RateLimited as limit:
        pause(limit, now + dt.timedelta(seconds=time.monotonic() - began))
    except CaseDevError:
        pass
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
            spread(now, now)
            notices.publish_upstream()
        return
    # Reading costs no lock, so the row is written only when it tells something new.
    is_stale = state.last_ok_at is None or state.last_ok_at <= now - NOTED_EVERY
    if state.failures or (heard and is_stale):
        Upstream.objects.filter(pk=Upstream.SOLE).update(failures=0, **heard)


def pause(limit: RateLimited, now: dt.datetime) -> dt.datetime:
    """Leave Case.dev alone for as long as `limit` asks; returns until when. No other limit cuts
    a pause short."""
    wait = PAUSE if limit.retry_after is None else schedule.within_reason(limit.retry_after)
    until = now + dt.timedelta(seconds=wait)
    upstream()
    begun = Upstream.objects.filter(
        Q(paused_until=None) | Q(paused_until__lt=until - SAME_PAUSE), pk=Upstream.SOLE
    ).update(paused_until=until)
    if begun:
        logger.warning("Case.dev asks us to wait %.0f s", wait)
        spread(until, until)
        notices.publish_upstream()
    return until


def spread(before: dt.datetime, start: dt.datetime) -> None:
    """Let what is due before `before` come one after the other over SPREAD from `start`, slowly
    at first. All of it at once would be what no rate limit and no API that just came back likes.

    A share is a statement of its own, so that no two rows stay locked for long.
    """
    if Poll.objects.due(before).count() <= FEW:
        return
    for share in range(SHARES):
        moment = after(start, (share + 1) / SHARES)
        Poll.objects.due(before).alias(share=Mod(F("pk"), Value(SHARES))).filter(
            share=share, due_at__lt=moment
        ).order_by().update(due_at=moment)


def after(start: dt.datetime, part: float | None = None) -> dt.datetime:
    """When something may come back that waited for `start`: the `part` (0 to 1) of SPREAD, or by
    chance. Many of them come ever faster, but never all at once."""
    share = random.random() if part is None else part
    return start + SPREAD * math.sqrt(share)


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
        .update(state=state, since=now, last_error=sentence, probe_at=now + _probe_every(state))
    )
    if entered:
        logger.error("Case.dev %s: %s", state.label, sentence)
        notices.publish_upstream()
