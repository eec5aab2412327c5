"""OpenID Connect, held tighter than allauth does by default.

The issuer must be the very one that was set, also in its own metadata; the ID token's signature is
always verified; it must carry the nonce of this browser's request; a person is known by issuer and
subject, so that another issuer under the same name brings nobody else's account.
(OpenID Connect Core 1.0, 3.1.3.7; OpenID Connect Discovery 1.0, 4.3.)
"""

import hashlib
import secrets
from typing import Any

import jwt
from allauth.account.models import EmailAddress
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest

# Signatures by a key pair: with the others a public key could be taken for a shared secret.
ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
KEPT = ("iss", "sub", "email", "email_verified", "name", "preferred_username", "hd")


def nonce_for(verifier: str) -> str:
    """The PKCE verifier is this browser's secret; the nonce is derived, so that nothing more has
    to be remembered, and says nothing about it."""
    return hashlib.sha256(f"nonce of {verifier}".encode()).hexdigest()


class IssuerAdapter(OpenIDConnectOAuth2Adapter):
    verifier = ""

    @property
    def openid_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().openid_config
        if config.get("issuer") != self.get_provider().issuer:
            raise OAuth2Error("the metadata name another issuer")
        return config

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        if settings.PUBLIC_URL:
            return str(settings.PUBLIC_URL + self.get_provider().get_callback_url())
        return str(super().get_callback_url(request, app))

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> Any:
        self.verifier = pkce_code_verifier or ""
        return super().get_access_token_data(request, app, client, pkce_code_verifier)

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        claims = self._decode_id_token(app, kwargs["response"].get("id_token"))
        if "email" not in claims and self.openid_config.get("userinfo_endpoint"):
            more = self._fetch_user_info(token.token)
            claims = {**more, **claims} if more.get("sub") == claims["sub"] else claims
        return self.get_provider().sociallogin_from_response(request, {"id_token": claims})

    def _decode_id_token(self, app: Any, id_token: Any) -> dict[str, Any]:
        try:
            if jwt.get_unverified_header(id_token)["alg"] not in ALGORITHMS:
                raise OAuth2Error("the ID token is signed in a way that proves nothing")
            claims: dict[str, Any] = jwtkit.verify_and_decode(
                credential=id_token,
                keys_url=self.openid_config["jwks_uri"],
                issuer=self.get_provider().issuer,
                audience=app.client_id,
                lookup_kid=jwtkit.lookup_kid_jwk,
            )
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise OAuth2Error("the ID token cannot be read") from error
        expected = nonce_for(self.verifier)
        if not self.verifier or not secrets.compare_digest(str(claims.get("nonce")), expected):
            raise OAuth2Error("the ID token answers another request")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise OAuth2Error("the ID token names nobody")
        return claims


class Issuer(OpenIDConnectProvider):
    oauth2_adapter_class = IssuerAdapter

    @property
    def issuer(self) -> str:
        return str(self.app.settings["server_url"])

    @property
    def server_url(self) -> str:
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"

    def get_pkce_params(self) -> dict[str, str]:
        """PKCE (S256) with every issuer; what is returned beside the verifier goes along."""
        params: dict[str, str] = super().get_pkce_params()
        return params | {"nonce": nonce_for(params["code_verifier"])}

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        return {}  # and not what stands in the address

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return list(self.get_scope())

    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        """Verified is what is `true`: an issuer's text "false" would be true of Python."""
        claims = data["id_token"]
        if not isinstance(claims.get("email"), str) or "@" not in claims["email"]:
            return []
        is_verified = claims.get("email_verified") is True
        return [EmailAddress(email=claims["email"], verified=is_verified, primary=True)]

    def extract_uid(self, data: dict[str, Any]) -> str:
        place = hashlib.sha256(self.issuer.encode()).hexdigest()[:16]
        subject = data["id_token"]["sub"]
        if len(subject) > 150:
            subject = hashlib.sha256(subject.encode()).hexdigest()
        return f"{place}:{subject}"

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """Of what the issuer tells, only what the pages show and the rules ask."""
        claims = data["id_token"]
        return {"id_token": {name: claims[name] for name in KEPT if name in claims}}


def refusal(login: SocialLogin) -> str:
    """Why the settings do not let this person in, as a sentence; empty if they do.

    An address counts only when its issuer calls it verified. Google gives accounts to addresses
    of any domain, so there the domain's own claim `hd` must name it. Microsoft says of no address
    whether it is verified; there the tenant, which is part of the issuer, decides instead.
    """
    kind = login.provider.app.settings["kind"]
    if not settings.OIDC_DOMAINS or kind == "microsoft":
        return ""
    claims = login.account.extra_data["id_token"]
    if kind == "google":
        allowed = claims.get("hd") in settings.OIDC_DOMAINS
    else:
        allowed = any(
            address.verified and address.email.rpartition("@")[2].lower() in settings.OIDC_DOMAINS
            for address in login.email_addresses
        )
    return "" if allowed else "This installation is not open to your organisation's accounts."
