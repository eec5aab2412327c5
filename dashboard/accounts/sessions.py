"""How long a session lives: until nobody has used it for a while, and never beyond a last day.

Both ends are kept in the session row's own date, which pages and open streams ask alike.
"""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.models import Session
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import rotate_token

logger = logging.getLogger(__name__)

STARTED, SEEN = "signed_in_at", "seen_at"  # seconds since 1970
# What a page asks for by itself shows no person: it keeps no session alive.
UNATTENDED = {"run-live", "runs-live", "export-progress"}


def listen() -> None:
    user_logged_in.connect(begin, dispatch_uid="dashboard.accounts.sessions")


def begin(request: HttpRequest | None, **_: Any) -> None:
    """Django has given the session a new key by now."""
    if request is not None:
        request.session[STARTED] = int(time.time())
        _live_on(request.session, int(time.time()))


def is_over(request: HttpRequest) -> bool:
    """Whether its last day has come, however busy it is."""
    return _last_moment(request.session) <= time.time()


def keep_alive(request: HttpRequest) -> None:
    """Note that a person was here; at most every few minutes, since each note is a write.

    It is written here and now, and not with the answer: what cannot be written, as on a full disk,
    costs nobody the page, and is noted with a later one.
    """
    session, now = request.session, int(time.time())
    match = request.resolver_match
    is_unattended = match is not None and match.url_name in UNATTENDED
    if is_unattended or now - session.get(SEEN, 0) < min(300, settings.SESSION_COOKIE_AGE // 10):
        return
    before, was_modified = dict(session.items()), session.modified
    session.setdefault(STARTED, now)  # a session from before an update of the product
    _live_on(session, now)
    try:
        with transaction.atomic():
            session.save()
            UserSession.objects.create_from_request(request)
    except (DatabaseError, UpdateError) as error:
        logger.warning(
            "when a session was last used could not be noted: %s", error.__context__ or error
        )
        for key in {*session.keys()} - {*before}:
            del session[key]
        session.update(before)
    else:
        request.session_lives_on = True  # type: ignore[attr-defined]
    session.modified = was_modified


def send_cookie(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Let the browser keep the cookie for as long as `keep_alive` has let the session live on."""
    session = request.session
    if getattr(request, "session_lives_on", False) and not session.modified:
        response.set_cookie(
            settings.SESSION_COOKIE_NAME,
            session.session_key or "",
            max_age=session.get_expiry_age(),
            domain=settings.SESSION_COOKIE_DOMAIN,
            path=settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE or False,
            httponly=settings.SESSION_COOKIE_HTTPONLY,
            samesite=settings.SESSION_COOKIE_SAMESITE,  # type: ignore[arg-type]
        )
    return response


def renewing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For a view in which a person proves anew who they are: with that the session goes on under
    another key, and the one before opens nothing (OWASP ASVS 5.0, 7.2.4)."""

    @wraps(view)
    def renewed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        before = get_authentication_records(request, request.user)
        answer = view(request, *args, **kwargs)
        after = get_authentication_records(request, request.user)
        if after != before and after[-1].get("reauthenticated"):
            renew_key(request)
        return answer

    return renewed


def renew_key(request: HttpRequest) -> None:
    """What is kept of the session stays, in the list of sessions too."""
    old = request.session.session_key
    request.session.cycle_key()
    rotate_token(request)
    key = request.session.session_key
    UserSession.objects.filter(session_key=old).update(session_key=key)


def end_all_of(user: Any, but: str | None = None) -> int:
    """End every session of `user` except the one with the key `but`; how many they were."""
    keys = set(UserSession.objects.filter(user=user).values_list("session_key", flat=True))
    keys.discard(but or "")
    UserSession.objects.filter(session_key__in=keys).delete()
    return Session.objects.filter(session_key__in=keys).delete()[0]


def _live_on(session: SessionBase, now: int) -> None:
    session[SEEN] = now
    left = int(_last_moment(session)) - now
    session.set_expiry(max(1, min(settings.SESSION_COOKIE_AGE, left)))


def _last_moment(session: SessionBase) -> float:
    return float(session.get(STARTED, time.time())) + settings.SESSION_LONGEST_SECONDS
