"""What every page shows: whose runs these are, and how fresh."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from runs import freshness


def site(request: HttpRequest) -> dict[str, Any]:
    """Lazy, so that a page that shows no freshness (an error, a login) asks no database."""
    now = timezone.now()
    return {
        "is_simulated": settings.CASEDEV_IS_SIMULATED,
        "now": now,
        "site": SimpleLazyObject(lambda: freshness.site(now)),
    }
