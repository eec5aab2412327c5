"""What people choose, what Case.dev says, and what is told of it, as tests of notices say it."""

import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.notices import choices, events, outbox
from dashboard.notices.models import Message, Notice, NoticeChoice
from runs.models import Poll, Run
from tests.runs.polling import Api, make_due, now_details


def choose(user: User, **fields: Any) -> NoticeChoice:
    choice = choices.of(user)
    for name, value in fields.items():
        setattr(choice, name, value)
    choices.keep(choice, user)
    return choice


def polled(run: Run, **fields: Any) -> None:
    """Case.dev says this of the run now."""
    Poll.objects.exclude(pk=run.pk).update(due_at=None)
    make_due(run)
    now = timezone.now().isoformat()
    fields = {"startedAt": now, "steps": [], "entries": []} | fields
    assert Api(now_details(run.run_id, **fields)).poll() == 1
    run.refresh_from_db()


def look(seconds: float = 0) -> int:
    return events.look(timezone.now() + dt.timedelta(seconds=seconds))


def send() -> None:
    """As the worker does, once what came is counted together."""
    later = timezone.now() + outbox.SETTLE
    outbox.gather(later)
    outbox.digests(later)
    Message.objects.filter(due_at__gt=timezone.now()).update(due_at=timezone.now())
    outbox.send_due()


def told(user: User) -> list[str]:
    return list(Notice.objects.filter(user=user).order_by("pk").values_list("event", flat=True))


def usage(micros: int) -> dict[str, Any]:
    return {"summary": {"costMicros": micros}}


def form(**fields: Any) -> dict[str, Any]:
    return {"pace": "at-once", "hour": "8", "time_zone": "UTC", "limit": ""} | fields
