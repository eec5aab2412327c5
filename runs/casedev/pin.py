"""A key belongs to the host that it was first used with.

Whoever can change one setting, or mistypes it, would else have the key sent wherever that points.
"""

import hmac

from django.conf import settings
from django.utils import timezone

from runs.casedev import places
from runs.models import KeyHost
from runs.secret import Secret


def refusal(base_url: str, key: str | Secret, confirmed: str) -> str:
    """Why the key is not sent to `base_url`, as a sentence; "" if it may, which is then remembered.

    `confirmed`: the host that somebody has confirmed. The demo's stand-in on this machine is
    neither asked about nor remembered. Raises django.db.DatabaseError.
    """
    host = places.host_of(base_url)
    if not key or places.is_this_machine(base_url):
        return ""
    known, _ = KeyHost.objects.get_or_create(
        fingerprint=fingerprint(Secret(key)), defaults={"host": host, "since": timezone.now()}
    )
    if known.host == host:
        return ""
    if confirmed.strip().lower() == host:
        KeyHost.objects.filter(pk=known.pk).update(host=host, since=timezone.now())
        return ""
    return (
        f"CASEDEV_BASE_URL now names {host}, but CASEDEV_API_KEY has been used with {known.host}; "
        f"if the key shall be sent to {host}, set CASEDEV_CONFIRM_HOST={host} once."
    )


def fingerprint(key: Secret) -> bytes:
    """Tells keys apart, and tells nobody who lacks SECRET_KEY anything about them."""
    return hmac.digest(
        settings.SECRET_KEY.encode(), b"key of Case.dev:" + key.reveal().encode(), "sha256"
    )
