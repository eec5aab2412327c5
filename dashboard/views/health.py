"""For machines that watch this one: is the process up, and can the whole do its work?"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import valkey, vitals
from runs import notices


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up. Asks nobody, so that a slow database does not get it restarted."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 if runs are being polled and can be shown, else 503; open to all, so no details."""
    checks = Checks.made_now()
    return JsonResponse(checks.as_json(), status=200 if checks.are_all_good else 503)


@dataclass(frozen=True)
class Checks:
    """`round_age` and `lag` are in seconds; None if unknown, or if polling is suspended. `waiting`:
    messages that no worker has taken."""

    database: bool
    broker: bool
    round_age: int | None
    lag: int | None
    waiting: int | None = None

    @classmethod
    def made_now(cls) -> "Checks":
        broker, age = valkey.answers(settings.REDIS_URL), vitals.round_age()
        waiting = notices.waiting() if broker else None
        try:
            return cls(True, broker, age, vitals.poll_lag(timezone.now()), waiting)
        except DatabaseError:
            return cls(False, broker, age, None, waiting)

    @property
    def worker(self) -> bool:
        return self.round_age is not None and self.round_age <= vitals.DEAF_AFTER

    @property
    def beat(self) -> bool:
        """False when rounds have ceased and no message waits that a worker could be to blame for:
        then nobody sends any."""
        return self.worker or self.waiting != 0

    @property
    def polls(self) -> bool:
        return self.database and (self.lag is None or self.lag <= vitals.LATE_AFTER)

    @property
    def are_all_good(self) -> bool:
        return self.database and self.broker and self.worker and self.beat and self.polls

    def as_json(self) -> dict[str, Any]:
        return {
            "ready": self.are_all_good,
            "database": {"ok": self.database},
            "broker": {"ok": self.broker},
            "worker": {"ok": self.worker, "last_round_seconds_ago": self.round_age},
            "beat": {"ok": self.beat, "messages_waiting": self.waiting},
            "polls": {"ok": self.polls, "late_by_seconds": self.lag},
        }
