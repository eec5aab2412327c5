"""The pages of one's own account, where allauth's own would do otherwise.

Recovery codes are the answer to the act that made them, and shown by no page afterwards. What
would send mail is left to administrators: an installation without a mail server would answer with
an error, or worse, say that a letter is on its way.
"""

from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.account.views import LoginView, PasswordChangeView
from allauth.mfa.base.views import IndexView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialAccount, SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.views import ConnectionsView
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe
from requests import RequestException

from dashboard.accounts import factors, given, issuers, recovery
from dashboard.accounts import sessions as own_sessions


def services() -> list[dict[str, Any]]:
    """What one can sign in through besides a password."""
    providers: Any = settings.SOCIALACCOUNT_PROVIDERS
    return [*providers["openid_connect"]["APPS"]]


# Signing in ----------------------------------------------------------------------------------


class Login(LoginView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "services": services()}


@require_safe
@login_not_required
def closed(request: HttpRequest) -> HttpResponse:
    return render(request, "account/signup_closed.html")


@require_safe
@login_not_required
def reset_password(request: HttpRequest) -> HttpResponse:
    what = "Forgotten password"
    sentence = "An administrator of this installation can set a new password for you."
    return render(request, "account/ask_admin.html", {"what": what, "sentence": sentence})


@require_POST
@login_not_required
@never_cache
def leave(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Leads to the issuer by a page of its own: a redirect would be the answer to a form, and
    our policy lets no form end at another host."""
    adapter = _adapter(request, provider_id)
    try:
        answer: HttpResponse = OAuth2LoginView.adapter_view(adapter)(request)
    except (OAuth2Error, RequestException, KeyError, ValueError) as error:
        return _failed(request, adapter, error)
    if answer.status_code != 302:
        return answer
    context = {"address": answer["Location"], "name": adapter.get_provider().name}
    return render(request, "socialaccount/leaving.html", context)


@require_GET
@login_not_required
@never_cache
def come_back(request: HttpRequest, provider_id: str) -> HttpResponse:
    adapter = _adapter(request, provider_id)
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter)(request)
    except (OAuth2Error, RequestException, KeyError, ValueError) as error:
        return _failed(request, adapter, error)
    return answer


def _adapter(request: HttpRequest, provider_id: str) -> issuers.IssuerAdapter:
    adapter = issuers.IssuerAdapter(request, provider_id)
    try:
        adapter.get_provider()
    except SocialApp.DoesNotExist:
        raise Http404 from None
    return adapter


def _failed(request: HttpRequest, adapter: issuers.IssuerAdapter, error: Exception) -> HttpResponse:
    answer: HttpResponse = render_authentication_error(
        request, adapter.get_provider(), exception=error
    )
    return answer


# One's own account ---------------------------------------------------------------------------


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    context = {
        "roles": [group.name for group in request.user.groups.order_by("name")],
        "has_factor": factors.is_set_up(request.user),
        "reason": factors.reason_on_every_page(request.user)
        or (request.user.has_perm(factors.TO_SHARE) and factors.reason_to_use(factors.TO_SHARE)),
        "passkeys": Authenticator.objects.filter(
            user=request.user, type=Authenticator.Type.WEBAUTHN
        ).count(),
        "session_count": UserSession.objects.filter(user=request.user).count(),
        "connected": SocialAccount.objects.filter(user=request.user).count(),
        "services": services(),
    }
    return render(request, "account/account.html", context)


@require_safe
def change_email(request: HttpRequest) -> HttpResponse:
    what = "E-mail address"
    sentence = "An administrator of this installation can change your address."
    return render(request, "account/ask_admin.html", {"what": what, "sentence": sentence})


class ChangePassword(PasswordChangeView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        must_change = self.request.session.get(given.MUST_CHANGE, False)
        return {**super().get_context_data(**kwargs), "must_change": must_change}

    def form_valid(self, form: Any) -> HttpResponse:
        if form.cleaned_data["password1"] == form.cleaned_data["oldpassword"]:
            form.add_error("password1", "This is the password that you have now.")
            refused: HttpResponse = self.form_invalid(form)
            return refused
        answer: HttpResponse = super().form_valid(form)
        self.request.session.pop(given.MUST_CHANGE, None)
        own_sessions.end_all_of(self.request.user, but=self.request.session.session_key)
        return answer


@never_cache
def change_password(request: HttpRequest) -> HttpResponse:
    """Whoever comes through a service alone has no password here, and gets none: it would open
    the account still when the service no longer does."""
    assert isinstance(request.user, User)
    if not request.user.has_usable_password():
        what, sentence = "Password", "You sign in through a service and have no password here."
        return render(request, "account/ask_admin.html", {"what": what, "sentence": sentence})
    answer: HttpResponse = ChangePassword.as_view()(request)
    return answer


class Connections(ConnectionsView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "services": services()}


# Second factor -------------------------------------------------------------------------------


class SecondFactor(IndexView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET.get("for", "")
        reason = factors.Reason(asked) if asked in list(factors.Reason) else None
        return {**super().get_context_data(**kwargs), "reason": reason}


def codes_page(request: HttpRequest) -> HttpResponse:
    """The one answer that ever shows the codes, which come into being with it."""
    assert isinstance(request.user, User)
    codes = recovery.make_for(request.user)
    onward = request.session.pop(factors.ONWARD, None)
    return render(request, "mfa/recovery_codes/codes.html", {"codes": codes, "onward": onward})


def set_up(request: HttpRequest, answer: HttpResponse, has_new_codes: bool) -> HttpResponse:
    """A factor was set up: it counts for this session, and ends all that went without it."""
    factors.note_shown(request)
    own_sessions.end_all_of(request.user, but=request.session.session_key)
    if has_new_codes:
        return codes_page(request)
    onward = request.session.pop(factors.ONWARD, None)
    return HttpResponseRedirect(onward) if onward else answer


class ActivateTotp(ActivateTOTPView):
    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        return set_up(self.request, answer, self.did_generate_recovery_codes)


class AddPasskey(AddWebAuthnView):
    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        return set_up(self.request, answer, self.did_generate_recovery_codes)


class GenerateRecoveryCodes(GenerateRecoveryCodesView):
    def form_valid(self, form: Any) -> HttpResponse:
        super().form_valid(form)
        return codes_page(self.request)


@require_safe
def recovery_codes(request: HttpRequest) -> HttpResponse:
    return redirect("mfa_index")


@require_safe
def passkeys(request: HttpRequest) -> HttpResponse:
    return redirect("mfa_index")


# Sessions ------------------------------------------------------------------------------------


@require_safe
@never_cache
def sessions(request: HttpRequest) -> HttpResponse:
    UserSession.objects.create_from_request(request)
    found = UserSession.objects.purge_and_list(request.user)
    context = {
        "sessions": sorted(found, key=lambda session: session.last_seen_at, reverse=True),
        "idle_hours": settings.SESSION_COOKIE_AGE // 3600,
        "longest_days": settings.SESSION_LONGEST_SECONDS // 86400,
    }
    return render(request, "usersessions/usersession_list.html", context)


@require_POST
@reauthentication_required
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    session = get_object_or_404(UserSession, pk=pk, user=request.user)
    if session.is_current():
        return redirect("account_logout")
    session.end()
    messages.success(request, "The session is ended.")
    return redirect("usersessions_list")


@require_POST
@reauthentication_required
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    own_sessions.end_all_of(request.user, but=request.session.session_key)
    messages.success(request, "All other sessions are ended.")
    return redirect("usersessions_list")
