"""Whose streams may go on: asked for everybody at once, a few times a minute."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from dashboard import sharing


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody signed in (account, session, what a new password changes), or a link's holder."""

    user_pk: int | None = None
    session_key: str = ""
    session_hash: str = ""
    link_pk: int | None = None
    ordinal: int | None = None  # which view of the link, for one whose views are counted


def signed_in(request: HttpRequest) -> Viewer:
    """Whoever the middleware has let in; `request.user` has been looked up by then."""
    user = request.user
    assert user.is_authenticated
    return Viewer(
        user_pk=user.pk,
        session_key=request.session.session_key or "",
        session_hash=user.get_session_auth_hash(),
    )


def still_allowed(viewers: Iterable[Viewer]) -> set[Viewer]:
    """Those who could still open their page now. At most one query a table, for all together."""
    viewers = set(viewers)
    holders = {viewer for viewer in viewers if viewer.link_pk is not None}
    members = viewers - holders
    allowed = set()
    if holders:
        limits = sharing.limits(viewer.link_pk for viewer in holders if viewer.link_pk)
        allowed = {
            viewer
            for viewer in holders
            if viewer.link_pk in limits and sharing.admits(viewer.ordinal, limits[viewer.link_pk])
        }
    if members:
        hashes = _hashes({viewer.user_pk for viewer in members if viewer.user_pk})
        sessions = _sessions({viewer.session_key for viewer in members}, timezone.now())
        allowed |= {
            viewer
            for viewer in members
            if viewer.session_key in sessions and hashes.get(viewer.user_pk) == viewer.session_hash
        }
    return allowed


def _hashes(user_pks: set[int]) -> dict[int | None, str]:
    """Of accounts that still have a role."""
    users = User.objects.with_perm("runs.view_run").filter(pk__in=user_pks)
    return {user.pk: user.get_session_auth_hash() for user in users}


def _sessions(keys: set[str], now: dt.datetime) -> set[str]:
    live = Session.objects.filter(session_key__in=keys, expire_date__gt=now)
    return set(live.values_list("session_key", flat=True))
