"""API tokens: made, found, used, revoked.

A token is 256 random bits behind a prefix by which scanners for lost secrets (and our own logs)
know it. It is told once; the database holds its SHA-256.
"""

import datetime as dt
import hashlib
import secrets

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard.api.models import ApiToken
from dashboard.audit import acts
from dashboard.audit.models import Act

PREFIX = "runsheet_"
TOKEN_BYTES = 32
USE_NOTED_EVERY = dt.timedelta(minutes=1)


class TooMany(ValueError):
    """The person has as many live tokens as one may have."""


def create(
    user: User, name: str, days: int, *, may_read: bool = True, may_add: bool = False
) -> tuple[ApiToken, str]:
    """A new token and its text, which nobody can be told a second time.

    Raises TooMany, and ValueError for no name, no scope, or a lifetime outside 1 to 365 days.
    """
    if not name.strip() or not (may_read or may_add):
        raise ValueError("A token needs a name and something that it may do.")
    if not 1 <= days <= ApiToken.LONGEST_DAYS:
        raise ValueError(f"A token lives from 1 to {ApiToken.LONGEST_DAYS} days, not {days}.")
    text, now = PREFIX + secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    with transaction.atomic():
        if ApiToken.objects.live(now).filter(user=user).count() >= ApiToken.MOST_LIVE:
            raise TooMany
        token = ApiToken.objects.create(
            user=user,
            name=name.strip(),
            digest=digest(text),
            may_read=may_read,
            may_add=may_add,
            created_at=now,
            expires_at=now + dt.timedelta(days=days),
        )
        told = f"“{token.name}”: {', '.join(token.scopes)}, {days} days"
        acts.record(Act.TOKEN_MADE, page=f"token {token.pk}", detail=told, by=user)
    return token, text


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def found(text: str) -> ApiToken | None:
    """The live token with this text, its owner joined; None whatever is wrong with it."""
    live = ApiToken.objects.live(timezone.now()).select_related("user")
    return live.filter(digest=digest(text)).first()


def note_use(token: ApiToken, place: str) -> None:
    """When and from where it was used last, to the minute: a tool may ask often."""
    now = timezone.now()
    is_recent = token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY
    if not is_recent or token.last_used_from != place:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now, last_used_from=place)


def revoke(token: ApiToken, by: User) -> bool:
    """From the next request on it opens nothing; False if somebody had revoked it before."""
    with transaction.atomic():
        unrevoked = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
        if not unrevoked.update(revoked_at=timezone.now(), revoked_by=by):
            return False
        told = f"“{token.name}” of {token.user.get_username()}"
        acts.record(Act.TOKEN_REVOKED, page=f"token {token.pk}", detail=told, by=by)
    return True
