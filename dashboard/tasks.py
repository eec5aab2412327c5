"""Celery tasks of the site: hints that it may be time to do something, as in `runs.tasks`."""

import datetime as dt

from celery import shared_task

from dashboard.notices import events, outbox


@shared_task(name="dashboard.notice_changes")
def notice_changes() -> None:
    """Write notices of what happened to runs that people follow, and have messages of them sent."""
    now = dt.datetime.now(dt.UTC)
    events.look(now)
    outbox.gather(now)
    outbox.digests(now)
    if outbox.is_any_due(now):
        send_notices.apply_async(expires=5)


@shared_task(name="dashboard.send_notices")
def send_notices() -> None:
    outbox.send_due()
