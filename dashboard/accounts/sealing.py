"""Seals what must be read again, and so cannot be hashed: the secrets of authenticator apps."""

import base64
import logging
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

logger = logging.getLogger(__name__)


def seal(text: str) -> str:
    return _box().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """The text; if the key that sealed it is gone, a random one that nobody can guess.

    An empty text, or an exception caught further up, would be a secret that everybody knows.
    """
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        logger.warning("a second factor was sealed by another SECRET_KEY and is of no use now")
        return base64.b32encode(secrets.token_bytes(20)).decode()


def _box() -> MultiFernet:
    """New texts are sealed by SECRET_KEY; those of SECRET_KEY_FALLBACKS can still be read."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_derived(str(key))) for key in keys])


def _derived(key: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"runsheet second factors")
    return base64.urlsafe_b64encode(derive.derive(key.encode()))
