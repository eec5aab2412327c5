"""Ask Case.dev to call back when a run ends, so that its end is read at once.

A callback is a hint that it may be time to poll, and nothing more: who sent it is unknown, so
nothing that it says is believed, or even read. All that its address opens is that one poll, every
AGAIN_AFTER at most. Runs are polled as if there were no callbacks, and whatever goes wrong with
registering them is kept with the callback and hurts no poll.
"""

import base64
import datetime as dt
import hashlib
import logging
import random

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils.crypto import salted_hmac

from runs import breaker, gauges, schedule
from runs.casedev import places
from runs.casedev.client import DEADLINE, Client, client
from runs.casedev.errors import (
    CaseDevError,
    Forbidden,
    KeyRefused,
    RateLimited,
    Unavailable,
    Unreachable,
    Unreadable,
)
from runs.models import Callback, Poll, Run, Upstream

logger = logging.getLogger(__name__)

MOST = 20  # registered in one turn
LEASE = dt.timedelta(minutes=2)  # outlasts the client's deadline
AGAIN_AFTER = dt.timedelta(seconds=5)  # between two polls of a run that callbacks ask for
REMINDS_FOR = dt.timedelta(seconds=4 * DEADLINE)  # no poll is under way for longer
TRIES, TRIES_REFUSED = 10, 3
REFUSED_AGAIN = dt.timedelta(minutes=30)


def obstacle() -> str:
    """Why no callback is asked for, as a sentence; "" if they are."""
    if not settings.PUBLIC_URL:
        return "PUBLIC_URL is not set."
    if places.is_this_machine(settings.CASEDEV_BASE_URL):
        return ""  # a stand-in for Case.dev reaches whatever we reach
    why = places.refusal(settings.PUBLIC_URL, may_be_this_machine=False)
    return f"PUBLIC_URL {why}" if why else ""


def token(run_id: str) -> str:
    """256 bits that nobody can guess without our SECRET_KEY; the same for a run each time."""
    digest = salted_hmac("runsheet.callback", run_id, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def address(run_id: str) -> str:
    return str(settings.PUBLIC_URL) + reverse("callback", args=[token(run_id)])


# Asking for them ---------------------------------------------------------------------------------


def register_due(case_dev: Client | None = None) -> int:
    """Register what is due, up to MOST; returns how many were. Never raises a CaseDevError."""
    now = _now()
    upstream = breaker.upstream()
    if obstacle() or upstream.state != Upstream.State.UP or upstream.is_paused(now):
        return 0
    _note_new(now)
    due = Callback.objects.filter(next_at__lte=now, run__status__in=Run.ACTIVE)
    done = 0
    for held in due.select_related("run").only("next_at", "attempts", "run__run_id")[:MOST]:
        if not _lease(held, now):
            continue
        if (error := _register(held, case_dev or client())) is None:
            done += 1
        elif isinstance(error, RateLimited | KeyRefused | Unreachable | Unavailable):
            break  # it is about all of them
    return done


def _note_new(now: dt.datetime) -> None:
    runs = Run.objects.active().filter(callback=None).order_by("-pk").only("run_id")[:MOST]
    Callback.objects.bulk_create(
        [Callback(run=run, token_digest=_digest(token(run.run_id)), next_at=now) for run in runs],
        ignore_conflicts=True,
    )


def _lease(held: Callback, now: dt.datetime) -> bool:
    """Whether it is ours to register; two workers may have looked at once."""
    row = Callback.objects.filter(pk=held.pk, next_at=held.next_at)
    return bool(row.update(next_at=now + LEASE, attempts=F("attempts") + 1))


def _register(held: Callback, case_dev: Client) -> CaseDevError | None:
    run_id = held.run.run_id
    try:
        case_dev.watch(run_id, address(run_id))
    except Unreadable:
        pass  # it was a 2xx; what stood in it does not matter
    except CaseDevError as error:
        _failed(held, error)
        return error
    # After a change of SECRET_KEY the token is another one.
    Callback.objects.filter(pk=held.pk).update(
        registered_at=_now(), next_at=None, last_error="", token_digest=_digest(token(run_id))
    )
    return None


def _failed(held: Callback, error: CaseDevError) -> None:
    now, attempts = _now(), held.attempts + 1
    is_for_all = isinstance(error, KeyRefused | Forbidden)
    wait = REFUSED_AGAIN
    if isinstance(error, RateLimited):
        breaker.pause(error, now)
    if error.is_transient:
        seconds = schedule.after_failure(attempts, error.retry_after, random.Random())
        wait = dt.timedelta(seconds=seconds)
    is_given_up = attempts >= (TRIES if error.is_transient or is_for_all else TRIES_REFUSED)
    sentence = error.sentence.replace(token(held.run.run_id), "***")
    Callback.objects.filter(pk=held.pk).update(
        next_at=None if is_given_up else now + wait, last_error=sentence
    )
    logger.log(
        logging.INFO if held.attempts else logging.WARNING,
        "callback of %s not registered (try %d): %s",
        held.run.run_id,
        attempts,
        sentence,
    )


# Hearing them ------------------------------------------------------------------------------------


def heard(given: str) -> bool:
    """Somebody called the address with the token `given`: poll that run now. False if there is
    no such token.

    Backoff after failures is not cut short, and a run that has ended is left alone.
    """
    known = Callback.objects.filter(token_digest=_digest(given)).values_list("pk", "called_at")
    if (found := known.first()) is None:
        return False
    now, (key, called_at) = _now(), found
    if called_at is not None and now - AGAIN_AFTER < called_at <= now:
        return True  # and waits for no lock
    free = Q(called_at=None) | Q(called_at__lte=now - AGAIN_AFTER) | Q(called_at__gt=now)
    with transaction.atomic():  # one commit for both
        is_taken = Callback.objects.filter(free, pk=key).update(called_at=now)
        if is_taken:
            _wake(now, [key])
    if is_taken:
        gauges.callback_taken()
    return True


def remind() -> None:
    """Make due once more what was called for while it was being asked about: that answer may be
    older than the callback, and the end of its poll set the run's next time without knowing."""
    if obstacle():
        return
    now = _now()
    recent = Callback.objects.filter(called_at__gt=now - REMINDS_FOR, called_at__lte=now)
    missed = recent.filter(
        run__poll__leased_until=None, called_at__gte=F("run__poll__last_tried_at")
    )
    if keys := list(missed.values_list("pk", flat=True)):
        _wake(now, keys)


def _wake(now: dt.datetime, keys: list[int]) -> None:
    Poll.objects.filter(
        pk__in=keys, failures=0, due_at__gt=now, leased_until=None, lane__in=Poll.MOVING
    ).update(due_at=now)


def _digest(given: str) -> bytes:
    return hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
