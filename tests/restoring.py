"""Backups as a test makes them and goes back to them."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from dashboard import sharing
from dashboard.backups.container import Reader
from runs import poller
from runs.models import Poll
from tests.runs.polling import Api


def backup(target: Path) -> Reader:
    call_command("backup", to=str(target), stderr=io.StringIO())
    return Reader(target)


def stop_others() -> None:
    """The tests' own site keeps connections from earlier tests; whoever restores stops the web."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )


def restore(source: Path, **options: Any) -> str:
    poller.rest()  # its threads would go on with the database that is replaced
    stop_others()
    said = io.StringIO()
    call_command("restore", str(source), stdout=said, **options)
    return said.getvalue()


def opens(token: str) -> bool:
    return sharing.opened_by(token) is not None


def polled(api: Api) -> None:
    Poll.objects.exclude(due_at=None).update(due_at=timezone.now() - dt.timedelta(seconds=1))
    api.poll()
