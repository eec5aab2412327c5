"""PostgreSQL: the rows of every table, by COPY, in one snapshot.

Not by pg_dump: it is seldom where the site runs, and refuses servers newer than itself. The tables
themselves are made by the migrations that the backup names, so that its rows fit them, whatever
migrations have come since; those follow once the rows are in.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from dashboard.backups.container import Manifest, Reader, Refused, Table, Writer

# Made by migrations, following another, or of no worth to anybody who has to sign in anew.
SKIPPED = {
    *("django_migrations", "dashboard_audit_head", "django_cache"),
    *("django_session", "usersessions_usersession"),
}
AUDIT = "dashboard_audit"


@contextmanager
def snapshot() -> Iterator[None]:
    """All that is read in the block is of one moment."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def tables() -> dict[str, Table]:
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "AND a.attgenerated = '' "
            "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace "
            "GROUP BY c.relname ORDER BY c.relname"
        )
        columns = dict(cursor.fetchall())
        for name in columns:
            if name not in SKIPPED:
                cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(name)}")
                found[name] = Table(cursor.fetchone()[0], list(columns[name]))
    return found


def write(writer: Writer, found: dict[str, Table]) -> None:
    """Call within `snapshot`, with what `tables` gave in it."""
    for name, table in found.items():
        writer.add(f"tables/{name}", _copied(name, table))


def _copied(name: str, table: Table) -> Iterator[bytes | memoryview]:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(name))
    with _raw() as cursor, cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy:
        yield from copy


@contextmanager
def _raw() -> Iterator[Any]:
    """psycopg's own cursor: Django's knows no COPY."""
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        yield cursor


def others() -> int:
    """Connections of other programs to this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        (count,) = cursor.fetchone()
    return int(count)


@contextmanager
def restored(reader: Reader) -> Iterator[None]:
    """The block works on what `reader` holds, in the place of what was there; if it fails,
    nothing has happened."""
    with transaction.atomic():
        if _has_tables_of(reader.manifest):
            empty()
        else:
            drop()
            _make_tables(reader.manifest)
        try:
            _load(reader)
        except (psycopg.ProgrammingError, psycopg.DataError) as error:
            # The parts are whole, by their sums: it is the list of them that tells of no table or
            # column that there could be.
            told = str(error).partition("\n")[0]
            raise Refused(f"Its list of tables is not as it was written: {told}.") from error
        yield


def _has_tables_of(manifest: Manifest) -> bool:
    """Whether the tables in place are the very ones that the backup needs: the usual case, and
    much the quicker one."""
    recorder = MigrationRecorder(connection)
    applied = {(app, name) for app, names in manifest.migrations.items() for name in names}
    return recorder.has_table() and set(recorder.applied_migrations()) == applied


def empty() -> None:
    """No row in any table, but the tables and what guards them as they are."""
    with connection.cursor() as cursor, _unguarded():
        names = set(connection.introspection.table_names(cursor))
        kept = {"django_migrations", f"{AUDIT}_head"}
        quoted = ", ".join(map(connection.ops.quote_name, sorted(names - kept)))
        cursor.execute(f"TRUNCATE {quoted} RESTART IDENTITY CASCADE")
        cursor.execute(f"UPDATE {AUDIT}_head SET number = 0, at = NULL, digest = %s", [bytes(32)])


def drop() -> None:
    """Not even a table is left, nor a function that migrations made."""
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(name)} CASCADE")
        cursor.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc p "
            "WHERE p.pronamespace = current_schema()::regnamespace AND p.proname ~ '^(audit|runs)' "
            "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
        )
        for (signature,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {signature} CASCADE")


def _make_tables(manifest: Manifest) -> None:
    """As they were when the backup was made, without a row."""
    executor = MigrationExecutor(connection)
    executor.migrate(_ends(manifest, executor.loader.graph))
    call_command("createcachetable", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        filled = [
            name
            for name in connection.introspection.table_names(cursor)
            if name not in SKIPPED and not name.startswith("dashboard_audit")
        ]
        quoted = ", ".join(map(connection.ops.quote_name, filled))
        cursor.execute(f"TRUNCATE {quoted} RESTART IDENTITY CASCADE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _ends(manifest: Manifest, graph: Any) -> list[tuple[str, str]]:
    """The last migrations of each app: those that no other of its app builds on."""
    known = {(app, name) for app, names in manifest.migrations.items() for name in names}
    return [
        key
        for key in sorted(known)
        if not any(
            child.key in known and child.key[0] == key[0] for child in graph.node_map[key].children
        )
    ]


def _load(reader: Reader) -> None:
    for name, table in reader.manifest.tables.items():
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), columns)
        guard = _unguarded() if name == AUDIT else nullcontext()
        with guard, _raw() as cursor, cursor.copy(into) as copy:
            for piece in reader.pieces(f"tables/{name}"):
                copy.write(piece)
        _count(name, table)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # foreign keys, while we can still say no
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    _move_sequences(reader.manifest)


@contextmanager
def _unguarded() -> Iterator[None]:
    """The triggers of the audit log take rows one by one, and COPY brings them all at once. What
    has come in is verified, with the triggers back in place, before anything is committed."""
    tables = (AUDIT, f"{AUDIT}_head")
    with connection.cursor() as cursor:
        for name in tables:
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        yield
        cursor.execute(
            f"UPDATE {AUDIT}_head SET number = last.number, at = last.at, digest = last.digest "
            f"FROM (SELECT * FROM {AUDIT} ORDER BY number DESC LIMIT 1) AS last"
        )
        for name in tables:
            cursor.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")


def _count(name: str, table: Table) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(name)}")
        (rows,) = cursor.fetchone()
    if rows != table.rows:
        raise Refused(f"{name} has {rows} rows after loading, but had {table.rows}.")


def _move_sequences(manifest: Manifest) -> None:
    """So that the next row gets a number that none has had."""
    with connection.cursor() as cursor:
        for name in manifest.tables:
            table = connection.ops.quote_name(name)
            for column in manifest.tables[name].columns:
                cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [table, column])
                (sequence,) = cursor.fetchone()
                if sequence:
                    quoted = connection.ops.quote_name(column)
                    cursor.execute(
                        f"SELECT setval(%s, coalesce(max({quoted}), 0) + 1, false) FROM {table}",
                        [sequence],
                    )
