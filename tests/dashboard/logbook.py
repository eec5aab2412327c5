"""The audit log as tests read it, fill it, and take its guards away."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import StringIO

from django.core.management import call_command
from django.db import connection, transaction

from dashboard.audit import acts, chain
from dashboard.audit.models import Act, AuditEntry, AuditHead


def entries(since: int = 0) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(number__gt=since).order_by("number"))


def head() -> int:
    return AuditHead.objects.get().number


@contextmanager
def added() -> Iterator[list[AuditEntry]]:
    """What the block writes, once it is over."""
    before = head()
    found: list[AuditEntry] = []
    yield found
    found += entries(before)


def fill(count: int) -> None:
    for number in range(count):
        acts.record(Act.LOOK, run=f"run_{number % 7}", page="run", detail=f"look {number}")


def drop_triggers() -> None:
    with connection.cursor() as cursor:
        for name in chain.TRIGGERS:
            table = "dashboard_audit_head" if name.startswith("audit_head") else "dashboard_audit"
            on = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {name}{on}")


def raise_triggers() -> None:
    """As the migration does, so that what is found is the tamper and not the missing trigger."""
    made = import_module("dashboard.migrations.0006_audit_log").TRIGGERS[connection.vendor]
    with connection.cursor() as cursor:
        for statement in made:
            if statement.startswith("CREATE TRIGGER"):
                cursor.execute(statement)


@contextmanager
def log_closed() -> Iterator[None]:
    """No row can be added: the head is gone, and the trigger takes no row without it."""
    drop_triggers()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dashboard_audit RENAME TO dashboard_audit_away")
        yield
        cursor.execute("ALTER TABLE dashboard_audit_away RENAME TO dashboard_audit")
    raise_triggers()


class _Undone(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
            raise _Undone
    except _Undone:
        pass


def verified(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_audit", *words, stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()
