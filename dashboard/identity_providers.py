"""Services that people may sign in through, as the environment names them (README, "Settings")."""

import re
from typing import Any

from dashboard import environment

GOOGLE = "https://accounts.google.com"
MICROSOFT = "https://login.microsoftonline.com/{tenant}/v2.0"
TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
ROLES = ("viewer", "member")


def apps(may_be_plain: bool) -> list[dict[str, Any]]:
    """As allauth's SOCIALACCOUNT_PROVIDERS takes them.

    `may_be_plain`: an issuer on this machine may be spoken to without TLS.
    """
    found = []
    if client := _client("OIDC", "OIDC_ISSUER"):
        issuer = environment.text("OIDC_ISSUER")  # to the letter: a slash at its end is part of it
        environment.url("OIDC_ISSUER", "", {"https", "http"} if may_be_plain else {"https"})
        if issuer.startswith("http:") and not environment.is_loopback(issuer):
            environment.refuse("OIDC_ISSUER must start with https://.")
        name = environment.text("OIDC_NAME", "single sign-on")
        found.append(_app("oidc", "other", name, issuer, client))
    if client := _client("GOOGLE", "GOOGLE_CLIENT_ID"):
        if not domains():
            environment.refuse(
                "OIDC_DOMAINS must be set with GOOGLE_CLIENT_ID: anybody can have a Google account."
            )
        found.append(_app("google", "google", "Google", GOOGLE, client))
    if client := _client("MICROSOFT", "MICROSOFT_TENANT"):
        tenant = environment.text("MICROSOFT_TENANT").lower()
        if not TENANT.fullmatch(tenant):
            environment.refuse("MICROSOFT_TENANT must be the id of a tenant (8-4-4-4-12 digits).")
        issuer = MICROSOFT.format(tenant=tenant)
        found.append(_app("microsoft", "microsoft", "Microsoft", issuer, client))
    return found


def domains() -> list[str]:
    found = environment.text("OIDC_DOMAINS").lower().replace("@", "").split(",")
    named = [part.strip() for part in found if part.strip()]
    for part in named:
        if not DOMAIN.fullmatch(part):
            environment.refuse(f"OIDC_DOMAINS holds {part!r}; it must be domains, by commas.")
    return named


def default_role() -> str:
    role = environment.text("OIDC_DEFAULT_ROLE")
    if role and role not in ROLES:
        environment.refuse("OIDC_DEFAULT_ROLE must be viewer or member; an admin is made by hand.")
    return role


def _client(prefix: str, key: str) -> tuple[str, str] | None:
    """Id and secret; None if nothing of the service is set."""
    values = {name: environment.text(name) for name in (key, f"{prefix}_CLIENT_ID")}
    secret = environment.text(f"{prefix}_CLIENT_SECRET")
    if not any(values.values()) and not secret:
        return None
    for name, value in {**values, f"{prefix}_CLIENT_SECRET": secret}.items():
        if not value:
            environment.refuse(f"{name} must be set with the other settings of {prefix}.")
    return values[f"{prefix}_CLIENT_ID"], secret


def _app(
    provider_id: str, kind: str, name: str, issuer: str, client: tuple[str, str]
) -> dict[str, Any]:
    return {
        "provider_id": provider_id,
        "name": name,
        "client_id": client[0],
        "secret": client[1],
        "settings": {"server_url": issuer, "kind": kind, "oauth_pkce_enabled": True},
    }
