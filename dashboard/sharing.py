"""Share links: made, opened, revoked.

A token is 256 random bits, given out once; the database holds only its SHA-256. Looking up by
digest says nothing through its timing: whoever can choose a digest's first bytes has still to
find a token that hashes to the rest.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import ShareLink, ShareView
from runs.models import Run

TOKEN_BYTES = 32


def create(run: Run, by: User, purpose: str, days: int) -> tuple[ShareLink, str]:
    """A new link to `run`, and its token, which nobody can be told a second time.

    Raises ValueError for a lifetime outside 1 to 30 days or an empty purpose.
    """
    if not 1 <= days <= ShareLink.LONGEST_DAYS:
        raise ValueError(f"A link lives from 1 to {ShareLink.LONGEST_DAYS} days, not {days}.")
    if not purpose.strip():
        raise ValueError("A link needs a purpose.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    now = timezone.now()
    link = ShareLink.objects.create(
        run=run,
        token_digest=digest(token),
        purpose=purpose.strip(),
        created_by=by,
        created_at=now,
        expires_at=now + dt.timedelta(days=days),
    )
    return link, token


def digest(token: str) -> bytes:
    # A path may hold any character; a token that cannot be one simply matches nothing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def opened_by(token: str, without: Iterable[str] = ()) -> ShareLink | None:
    """The live link with this token, its run and poll joined; None for all others, whatever is
    wrong with them.

    One and the same query whether the token is unknown, expired, revoked or its creator's account
    disabled. `without`: columns of the run that are not needed.
    """
    unread = ("token_digest", "run__poll__seen_digest", *(f"run__{name}" for name in without))
    return (
        ShareLink.objects.live(timezone.now())
        .select_related("run__poll")
        .defer(*unread)
        .filter(token_digest=digest(token))
        .first()
    )


def open_links(pks: Iterable[int]) -> set[int]:
    """Those of `pks` that still open: one query for all open streams."""
    live = ShareLink.objects.live(timezone.now()).filter(pk__in=set(pks))
    return set(live.values_list("pk", flat=True))


def revoke(link: ShareLink, by: User) -> bool:
    """Close the link from the next request on; False if somebody already had."""
    unrevoked = ShareLink.objects.filter(pk=link.pk, revoked_at=None)
    return bool(unrevoked.update(revoked_at=timezone.now(), revoked_by=by))


def record_view(link: ShareLink, page: str) -> None:
    """Note that a person opened `page` ("timeline", "cost", ...) of the link."""
    ShareView.objects.create(link=link, at=timezone.now(), page=page)


def live_count(run: Run) -> int:
    """With how many live links `run` is shared now."""
    return ShareLink.objects.live(timezone.now()).filter(run=run).count()


def full_url(token: str, request: HttpRequest) -> str:
    """What the recipient gets: at PUBLIC_URL if set, else at the address the sharer uses."""
    path = reverse("shared-run", args=[token])
    return settings.PUBLIC_URL + path if settings.PUBLIC_URL else request.build_absolute_uri(path)
