"""What is written to the database: rows, and bytes of its log."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings
from django.db import connection, models

_WRITES = re.compile(r"\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|UPDATE|DELETE\s+FROM)\s+\"?(\w+)", re.I)


def rows(act: Callable[[], object], but_of: type[models.Model]) -> int:
    """How many rows `act` inserts, changes and deletes in all tables but that of `but_of`: those
    that PostgreSQL counts. SQLite tells the statements that write, which are counted instead."""
    table = but_of._meta.db_table
    if connection.vendor == "sqlite":
        statements: list[str] = []
        connection.ensure_connection()
        connection.connection.set_trace_callback(statements.append)
        try:
            act()
        finally:
            connection.connection.set_trace_callback(None)
        return sum(name != table for name in written_to(statements))
    before = _counted(table)
    act()
    return _counted(table) - before


def written_to(statements: Iterable[str]) -> list[str]:
    """The table of each of `statements` that writes to one."""
    return [found[1] for statement in statements if (found := _WRITES.match(statement))]


def _counted(but_of: str) -> int:
    """Rows that were ever written. PostgreSQL tells of its own session's as soon as it is asked
    to, and of what others commit within a second; nobody else is there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
            " WHERE relname <> %s",
            [but_of],
        )
        return int(cursor.fetchone()[0])


def logged() -> int:
    """Bytes written ahead so far; what is measured between two calls is the difference."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
            return int(cursor.fetchone()[0])
        log = Path(str(settings.DATABASES["default"]["NAME"]) + "-wal")
        return log.stat().st_size


def empty_log() -> None:
    """SQLite writes over what it has copied into the database: such a file does not grow."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_autocheckpoint=0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
