"""The addresses of webhooks: whoever knows one can write into somebody's channel.

Sealed by SECRET_KEY in the database, never shown whole, in no log.
"""

import base64
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from runs.secret import Secret


class Unsealable(ValueError):
    """It was sealed by another SECRET_KEY."""


def seal(address: str) -> str:
    return _box().encrypt(address.encode()).decode()


def unseal(sealed: str) -> Secret:
    """Raises Unsealable."""
    try:
        return Secret(_box().decrypt(sealed.encode()).decode())
    except InvalidToken:
        raise Unsealable from None


def hint(sealed: str) -> str:
    """What its owner knows it by: "hooks.slack.com, ending in x7Qz"; "" if there is none."""
    if not sealed:
        return ""
    try:
        address = unseal(sealed).reveal()
    except Unsealable:
        return "an address that can no longer be read"
    return f"{urlsplit(address).netloc}, ending in {address[-4:]}"


def _box() -> MultiFernet:
    """New ones are sealed by SECRET_KEY; those of SECRET_KEY_FALLBACKS can still be read."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_derived(str(key))) for key in keys])


def _derived(key: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"runsheet webhooks of notices")
    return base64.urlsafe_b64encode(derive.derive(key.encode()))
