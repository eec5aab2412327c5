"""For machines that watch this one: is the process up, and can the whole do its work?"""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import valkey
from runs import notices
from runs.models import Poll, Upstream

# A worker finishes a round of polls about once a second, if only to find nothing due.
DEAF_AFTER = 30  # seconds
LATE_AFTER = 60  # seconds


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
    """`round_age` and `lag` are in seconds; None if unknown, or if polling is suspended."""

    database: bool
    broker: bool
    round_age: int | None
    lag: int | None

    @classmethod
    def made_now(cls) -> "Checks":
        broker, last_beat = valkey.answers(settings.REDIS_URL), notices.last_beat()
        round_age = None if last_beat is None else max(0, int(time.time()) - last_beat)
        try:
            return cls(True, broker, round_age, poll_lag(timezone.now()))
        except DatabaseError:
            return cls(False, broker, round_age, None)

    @property
    def worker(self) -> bool:
        return self.round_age is not None and self.round_age <= DEAF_AFTER

    @property
    def polls(self) -> bool:
        return self.database and (self.lag is None or self.lag <= LATE_AFTER)

    @property
    def are_all_good(self) -> bool:
        return self.database and self.broker and self.worker and self.polls

    def as_json(self) -> dict[str, Any]:
        return {
            "ready": self.are_all_good,
            "database": {"ok": self.database},
            "broker": {"ok": self.broker},
            "worker": {"ok": self.worker, "last_round_seconds_ago": self.round_age},
            "polls": {"ok": self.polls, "late_by_seconds": self.lag},
        }


def poll_lag(now: dt.datetime) -> int | None:
    """By how many whole seconds the most overdue poll is late; None while Case.dev is down.

    Then nothing is polled on purpose, and taking this machine out of service would help nobody.
    """
    upstream = Upstream.objects.filter(pk=Upstream.SOLE).first()
    if upstream is not None and upstream.state != Upstream.State.UP:
        return None
    due_at = Poll.objects.due(now).order_by("due_at").values_list("due_at", flat=True).first()
    return 0 if due_at is None else max(0, int((now - due_at).total_seconds()))
