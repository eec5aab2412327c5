"""What is set right in a restored database before anybody uses it.

Nobody who had lost a way in gets it back: what opened something in the backup goes on opening it
only if the replaced database said so too. Everybody signs in anew. Every run that had not ended is
asked about at once, with fences and versions that no worker or browser has met.
"""

import datetime as dt
import time

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Greatest, Least
from django.utils import timezone

from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.backups.carry import Account, Carried, named, revocable
from dashboard.models import ShareLink, SharingSwitch
from runs import spending
from runs.models import Discovery, Poll, Run, Upstream

# Added to the versions of runs that go on: an open page may have seen later ones than are kept.
VERSIONS_AHEAD = 1_000_000


class Settled(models.TextChoices):
    """How links were judged, for the message and the audit log."""

    COMPARED = "compared", "what the replaced database no longer opened is closed"
    CLOSED = "closed", "nothing tells what was revoked since, so all of them are closed"
    KEPT = "kept", "as in the backup, as was asked for"


def settle(carried: Carried | None, made_at: str, *, keep_links: bool) -> tuple[Settled, int]:
    """Returns how links were judged and how many ways in were closed."""
    now = timezone.now()
    _schedule(now, carried.fence if carried else 0)
    Session.objects.all().delete()
    UserSession.objects.all().delete()
    if carried:
        how, closed = Settled.COMPARED, _compare(carried, now)
    elif keep_links:
        how, closed = Settled.KEPT, 0
    else:
        how, closed = Settled.CLOSED, _close_all(now)
    detail = f"backup made {made_at}; {closed} links and tokens closed ({how.value})"
    acts.record(Act.SETTING, page="restore", detail=detail)
    return how, closed


def _schedule(now: dt.datetime, fence: int) -> None:
    """Fences count polls, at most a few a second: milliseconds since 1970 are ahead of each that
    was ever given out, here and in every restore before."""
    ahead = max(fence, time.time_ns() // 1_000_000) + 1
    Poll.objects.update(fence=Greatest(F("fence"), Value(ahead)), leased_until=None)
    goes_on = Poll.objects.exclude(run__status__in=Run.TERMINAL)
    goes_on.update(
        due_at=now,
        lane=Poll.Lane.ACTIVE,
        failures=0,
        sync_failures=0,
        quarantined_at=None,
        last_error="",
    )
    Run.objects.exclude(poll__due_at=None).update(version=F("version") + VERSIONS_AHEAD)
    spending.rebuild()  # a version tells whether a run was ever read
    # The whole list is walked again: runs were made since that this database has never seen.
    Discovery.objects.update(
        fence=Greatest(F("fence"), Value(ahead)),
        leased_until=None,
        due_at=None,
        cursor="",
        walked_at=None,
        failures=0,
        last_error="",
    )
    Upstream.objects.update(state=Upstream.State.UP, since=None, failures=0, probe_at=None)


def _close_all(now: dt.datetime) -> int:
    unrevoked = (model._default_manager.filter(revoked_at=None) for model in revocable())
    return sum(rows.update(revoked_at=now) for rows in unrevoked)


def _compare(carried: Carried, now: dt.datetime) -> int:
    closed = 0
    for model, digest in revocable().items():
        valid = carried.valid.get(model._meta.label, set())
        unrevoked = model._default_manager.filter(revoked_at=None)
        lost = [pk for pk, key in unrevoked.values_list("pk", digest) if bytes(key) not in valid]
        closed += model._default_manager.filter(pk__in=lost).update(revoked_at=now)
    _tighten_links(carried)
    _tighten_accounts(carried)
    for factor in Authenticator.objects.select_related("user"):
        if named(factor) not in carried.factors:
            factor.delete()
    if carried.is_closed and not SharingSwitch.objects.update(is_closed=True, changed_at=now):
        SharingSwitch.objects.create(pk=1, is_closed=True, changed_at=now)
    return closed


def _tighten_links(carried: Carried) -> None:
    """Views that were used up stay so, and limits that were set since."""
    for link in ShareLink.objects.filter(revoked_at=None):
        later = carried.links[bytes(link.token_digest)]
        limits = [most for most in (link.most_views, later.most_views) if most is not None]
        ShareLink.objects.filter(pk=link.pk).update(
            openings=Greatest(F("openings"), Value(later.openings)),
            wrong_passphrases=Greatest(F("wrong_passphrases"), Value(later.wrong_passphrases)),
            most_views=min(limits, default=None),
            expires_at=Least(F("expires_at"), Value(later.expires_at)),
        )


def _tighten_accounts(carried: Carried) -> None:
    """An account that is gone since, or disabled, stays so; roles that it lost stay lost; a
    password that was changed since holds."""
    for user in User.objects.all():
        later = carried.accounts.get(user.get_username())
        if later is None:
            User.objects.filter(pk=user.pk).update(is_active=False)
        else:
            _tighten_account(user, later)


def _tighten_account(user: User, later: Account) -> None:
    User.objects.filter(pk=user.pk).update(
        is_active=user.is_active and later.is_active,
        is_staff=user.is_staff and later.is_staff,
        is_superuser=user.is_superuser and later.is_superuser,
        password=later.password,
    )
    lost = user.groups.exclude(name__in=later.roles)
    if lost:
        user.groups.remove(*lost)
