"""allauth's seams: who may have an account, how factors are kept, who comes from outside."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.shortcuts import render

from dashboard.accounts import issuers, sealing


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by an admin; nobody signs up by themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SecondFactorAdapter(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return sealing.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(encrypted_text)

    def get_totp_issuer(self) -> str:
        return f"Runsheet ({_host()})"

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:
        return f"Passkey {Authenticator.objects.filter(user=user, type=type).count() + 1}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Passkeys belong to the public name of the site, whatever name a request was sent to."""
        return {"id": _host(), "name": "Runsheet"}


def _host() -> str:
    if settings.PUBLIC_URL:
        return urlsplit(settings.PUBLIC_URL).hostname or ""
    return str(context.request.get_host().partition(":")[0])


class ServiceAdapter(DefaultSocialAccountAdapter):
    """People who come through OpenID Connect: let in by rule, and known by issuer and subject."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse whom the settings do not let in, and whoever's address has an account already.

        An address never signs anybody in: whoever can make an issuer say "boss@firm.example"
        would be the boss. A person signs in and then connects the service themselves.
        """
        sentence = issuers.refusal(sociallogin)
        is_new = not sociallogin.is_existing
        if not sentence and is_new and sociallogin.state.get("process") != "connect":
            sentence = _taken(sociallogin)
        if sentence:
            page = "socialaccount/refused.html"
            raise ImmediateHttpResponse(render(request, page, {"sentence": sentence}, status=403))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True  # pre_social_login has decided

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: Any) -> Any:
        """An address that the issuer does not call verified is not taken down at all."""
        verified = [address for address in sociallogin.email_addresses if address.verified]
        sociallogin.email_addresses = verified
        email = verified[0].email if verified else ""
        return super().populate_user(request, sociallogin, {**data, "email": email})

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Any:
        user = super().save_user(request, sociallogin, form)
        if settings.OIDC_DEFAULT_ROLE:
            user.groups.add(Group.objects.get(name=settings.OIDC_DEFAULT_ROLE))
        return user


def _taken(sociallogin: SocialLogin) -> str:
    addresses = [address.email for address in sociallogin.email_addresses]
    if not any(User.objects.filter(email__iexact=address).exists() for address in addresses):
        return ""
    return (
        "There is an account with your e-mail address already. Sign in to it with its password, "
        "then connect this service under Account."
    )
