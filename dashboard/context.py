"""What every page shows: whose data, and how fresh."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    return {"is_simulated": settings.CASEDEV_IS_SIMULATED}
