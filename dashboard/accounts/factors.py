"""Who must have a second factor, and how somebody without one is led to it.

`REQUIRE_MFA` asks it of administrators on every page and of whoever makes a share link;
`REQUIRE_MFA=everyone` of all. A factor counts when it was shown in this very session: by signing
in with it, by setting it up, or by confirming it.
"""

from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
# Where to go on after a factor was set up, in the session.
ONWARD = "after_second_factor"


class Reason(StrEnum):
    ADMIN = "admin"
    SHARE = "share"
    EVERYONE = "everyone"

    @property
    def sentence(self) -> str:
        return SENTENCES[self]


SENTENCES = {
    Reason.ADMIN: "Administrators need a second factor before they go on: whoever steals your "
    "password could open every run and every account.",
    Reason.SHARE: "To share a run you need a second factor: a link leaves the house, and nobody "
    "but you should be able to make one in your name.",
    Reason.EVERYONE: "This installation asks a second factor of everybody before they go on.",
}
# What making a share link needs; see access.py.
TO_SHARE = "dashboard.add_sharelink"


def reason_on_every_page(user: Any) -> Reason | None:
    """Why this account may open no page without a second factor, if so."""
    if not settings.REQUIRE_MFA:
        return None
    if settings.MFA_FOR_EVERYONE:
        return Reason.EVERYONE
    is_admin = user.is_superuser or user.is_staff or user.has_perm("auth.change_user")
    return Reason.ADMIN if is_admin else None


def reason_to_use(permission: str) -> Reason | None:
    return Reason.SHARE if settings.REQUIRE_MFA and permission == TO_SHARE else None


def lead(request: HttpRequest, reason: Reason | None) -> HttpResponseRedirect | None:
    """None if nothing is asked or it was shown; else the way to confirm a factor or to get one."""
    if reason is None:
        return None
    onward = request.get_full_path() if request.method in ("GET", "HEAD") else request.path
    if is_set_up(request.user):
        if _was_shown(request):
            return None
        confirm = reverse(confirmation(request.user))
        return HttpResponseRedirect(f"{confirm}?{urlencode({'next': onward})}")
    request.session[ONWARD] = onward
    return HttpResponseRedirect(f"{reverse('mfa_index')}?{urlencode({'for': reason})}")


def is_set_up(user: Any) -> bool:
    return bool(is_mfa_enabled(user, FACTORS))


def confirmation(user: Any) -> str:
    """The name of the page that asks for the factor that this account has."""
    has_app = is_mfa_enabled(user, [Authenticator.Type.TOTP])
    return "mfa_reauthenticate" if has_app else "mfa_reauthenticate_webauthn"


def note_shown(request: HttpRequest) -> None:
    """Whoever has just set a factor up has shown it."""
    record_authentication(request, request.user, "mfa", type="set up")


def _was_shown(request: HttpRequest) -> bool:
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" for record in records)
