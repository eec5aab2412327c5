"""Share links: made, opened, counted, revoked.

A token is 256 random bits, given out once; the database holds only its SHA-256. Looking up by
digest says nothing through its timing: whoever can choose a digest's first bytes has still to
find a token that hashes to the rest.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable

import msgspec
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from dashboard.accounts import passwords
from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.disclosure import rules as ruling
from dashboard.disclosure import serializer, sources
from dashboard.disclosure.rules import Part, Rules, Terms
from dashboard.models import FrozenCopy, ShareLink, ShareLinkQuerySet, ShareView, SharingSwitch
from dashboard.visitors import Visitor
from runs.models import Run

TOKEN_BYTES = 32
SHORTEST_PASSPHRASE = 8
FREE_TRIES = 5  # of a passphrase; after that each wrong one doubles the wait
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(seconds=30), dt.timedelta(minutes=15)


def create(
    run: Run,
    by: User,
    purpose: str,
    days: int,
    *,
    recipient: str = "",
    passphrase: str = "",
    most_views: int | None = None,
    shows: Iterable[Part] = ruling.DEFAULT,
    rules: Rules | None = None,
    is_frozen: bool = False,
) -> tuple[ShareLink, str]:
    """A new link to `run`, and its token, which nobody can be told a second time.

    Raises ValueError for a lifetime outside 1 to 30 days, an empty purpose, a passphrase that is
    too short or common, or a number of views outside 1 to MOST_VIEWS.
    """
    if not 1 <= days <= ShareLink.LONGEST_DAYS:
        raise ValueError(f"A link lives from 1 to {ShareLink.LONGEST_DAYS} days, not {days}.")
    if not purpose.strip():
        raise ValueError("A link needs a purpose.")
    if passphrase and len(passphrase) < SHORTEST_PASSPHRASE:
        raise ValueError(f"A passphrase has at least {SHORTEST_PASSPHRASE} characters.")
    if passphrase and (refusal := passwords.refusal_of_passphrase(passphrase)):
        raise ValueError(refusal)
    if most_views is not None and not 1 <= most_views <= ShareLink.MOST_VIEWS:
        raise ValueError(f"A link opens from 1 to {ShareLink.MOST_VIEWS} times.")
    token, now = secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    terms = Terms(ruling.complete(shows), rules or Rules())
    with transaction.atomic():
        link = ShareLink.objects.create(
            run=run,
            token_digest=digest(token),
            purpose=purpose.strip(),
            recipient=recipient.strip(),
            created_by=by,
            created_at=now,
            expires_at=now + dt.timedelta(days=days),
            passphrase=make_password(passphrase) if passphrase else "",
            most_views=most_views,
            shows=sorted(terms.shows),
            rules=msgspec.to_builtins(terms.rules),
            is_frozen=is_frozen,
        )
        if is_frozen:
            body = sources.frozen(serializer.whole(run, terms))
            FrozenCopy.objects.create(link=link, body=body, made_at=now)
    return link, token


def digest(token: str) -> bytes:
    # A path may hold any character; a token that cannot be one simply matches nothing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


# Opening -----------------------------------------------------------------------------------------


def opened_by(token: str, without: Iterable[str] = ()) -> ShareLink | None:
    """The live link with this token, its run and poll joined; None for all others, whatever is
    wrong with them.

    One and the same query whether the token is unknown, expired, revoked, its creator without the
    right to share, or the site's switch turned. `without`: columns of the run not needed.
    """
    return _live(without).filter(token_digest=digest(token)).first()


def named(public_id: str, without: Iterable[str] = ()) -> ShareLink | None:
    """The live link with this public id, which alone gives no right to open it."""
    return _live(without).filter(public_id=public_id).first()


def by_key(pk: int, without: Iterable[str] = ()) -> ShareLink | None:
    """The live link in this row, for who has been let in before."""
    return _live(without).filter(pk=pk).first()


def _live(without: Iterable[str]) -> ShareLinkQuerySet:
    unread = ("run__poll__seen_digest", *(f"run__{name}" for name in without))
    live = ShareLink.objects.live(timezone.now())
    return live.select_related("run__poll").defer(*unread)


def open_links(pks: Iterable[int]) -> set[int]:
    """Those of `pks` that still open: one query for all open streams."""
    return set(limits(pks))


def limits(pks: Iterable[int]) -> dict[int, int | None]:
    """Of those of `pks` that still open, how many views each allows (None: any number)."""
    live = ShareLink.objects.live(timezone.now()).filter(pk__in=set(pks))
    return dict(live.values_list("pk", "most_views"))


def admits(ordinal: int | None, most_views: int | None) -> bool:
    """Whether the view with this number may go on, also after the maximum has been changed."""
    return most_views is None or (ordinal is not None and ordinal <= most_views)


def is_used_up(link: ShareLink) -> bool:
    return link.most_views is not None and link.openings >= link.most_views


def count_view(link: ShareLink) -> int | None:
    """Take one of the link's views: its number from 1, or None if none is left.

    Whoever races here, the row is counted up within one statement and only below its maximum.
    """
    with transaction.atomic():
        left = Q(most_views=None) | Q(openings__lt=F("most_views"))
        row = ShareLink.objects.filter(pk=link.pk)
        if not row.filter(left).update(openings=F("openings") + 1):
            return None
        return row.values_list("openings", flat=True).get()


def accepts(link: ShareLink, passphrase: str) -> bool | None:
    """Whether this is the link's passphrase; None if nobody may try now.

    A try is taken before it is checked, so that many at once are not more than one after another.
    """
    now = timezone.now()
    wrong = link.wrong_passphrases
    waits = dt.timedelta(0)
    if wrong + 1 >= FREE_TRIES:
        waits = min(FIRST_WAIT * 2 ** min(wrong + 1 - FREE_TRIES, 10), LONGEST_WAIT)
    free = Q(next_passphrase_at=None) | Q(next_passphrase_at__lte=now)
    row = ShareLink.objects.filter(pk=link.pk)
    taken = row.filter(free, wrong_passphrases=wrong).update(
        wrong_passphrases=wrong + 1, next_passphrase_at=now + waits
    )
    if not taken:
        return None
    if not check_password(passphrase, link.passphrase):
        return False
    row.update(wrong_passphrases=0, next_passphrase_at=None)
    return True


# Ending ------------------------------------------------------------------------------------------


def revoke(link: ShareLink, by: User) -> bool:
    """Close the link from the next request on; False if somebody already had."""
    unrevoked = ShareLink.objects.filter(pk=link.pk, revoked_at=None)
    with transaction.atomic():
        if not unrevoked.update(revoked_at=timezone.now(), revoked_by=by):
            return False
        acts.link_was_revoked(link, by)
    return True


def limit_views(link: ShareLink, most_views: int | None) -> None:
    """Change the maximum; views beyond it end, those that are open within seconds."""
    with transaction.atomic():
        ShareLink.objects.filter(pk=link.pk).update(most_views=most_views)
        acts.record(
            Act.SHARE_CHANGED,
            run=link.run.run_id,
            link=link.pk,
            detail=f"opens {'any number of' if most_views is None else most_views} times",
        )


def switch() -> SharingSwitch | None:
    """The site's switch; None while nobody has ever turned it."""
    return SharingSwitch.objects.select_related("changed_by").order_by("pk").first()


def turn_switch(is_closed: bool, by: User) -> None:
    with transaction.atomic():
        turned, _ = SharingSwitch.objects.update_or_create(
            pk=1,
            defaults={"is_closed": is_closed, "changed_at": timezone.now(), "changed_by": by},
        )
        acts.record(Act.SETTING, page="sharing", detail=str(turned), by=by)


# Views -------------------------------------------------------------------------------------------


def record_view(
    link: ShareLink, page: str, visitor: Visitor | None = None, *, is_opening: bool = False
) -> None:
    """Note that a person (or a robot, which was shown nothing) opened `page` of the link."""
    ShareView.objects.create(
        link=link,
        at=timezone.now(),
        page=page,
        address=visitor.place if visitor else "",
        agent=visitor.agent if visitor else "",
        is_robot=visitor.is_robot if visitor else False,
        is_opening=is_opening,
    )


def live_count(run: Run) -> int:
    """With how many live links `run` is shared now."""
    links = ShareLink.objects.filter(run=run)
    # Most runs have none; which of them live is asked of four tables.
    return ShareLink.objects.live(timezone.now()).filter(run=run).count() if links.exists() else 0


def full_url(token: str, request: HttpRequest) -> str:
    """What the recipient gets: at PUBLIC_URL if set, else at the address the sharer uses."""
    path = reverse("shared-run", args=[token])
    return settings.PUBLIC_URL + path if settings.PUBLIC_URL else request.build_absolute_uri(path)
