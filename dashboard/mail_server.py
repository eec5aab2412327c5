"""The mail server that notices are sent through, as EMAIL_URL names it (README, "Settings")."""

from email.utils import parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from dashboard import environment

SCHEMES = {"smtp", "smtps", "smtp+plain"}
TIMEOUT = 10  # seconds for each answer of the server


def mailers() -> dict[str, Any]:
    """As Django's MAILERS takes them; empty if no mail is sent."""
    url = environment.url("EMAIL_URL", "", SCHEMES)
    if not url:
        return {}
    parts = urlsplit(url)
    if parts.path or parts.query or parts.fragment:
        environment.refuse("EMAIL_URL must end with the host or the port.")
    if parts.scheme == "smtp+plain" and parts.password:
        environment.refuse("EMAIL_URL would send a password in the clear; use smtp:// or smtps://.")
    options = {
        "host": parts.hostname,
        "port": parts.port or {"smtp": 587, "smtps": 465, "smtp+plain": 25}[parts.scheme],
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_tls": parts.scheme == "smtp",
        "use_ssl": parts.scheme == "smtps",
        "timeout": TIMEOUT,
    }
    return {"default": {"OPTIONS": options}}


def sender(mailers: dict[str, Any]) -> str:
    """Whom mail comes from."""
    given = environment.text("EMAIL_FROM")
    if not mailers:
        return given
    name, address = parseaddr(given)
    if "@" not in address.strip("@") or any(not c.isprintable() for c in given):
        environment.refuse(
            "EMAIL_FROM must be set with EMAIL_URL, such as Runsheet <runsheet@example.org>."
        )
    return f"{name} <{address}>" if name else address


def secrets(mailers: dict[str, Any]) -> list[str]:
    """What no log may hold."""
    return [mailer["OPTIONS"]["password"] for mailer in mailers.values()]
