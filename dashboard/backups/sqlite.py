"""SQLite: the database file as it is at one moment, while others go on writing."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from dashboard.backups.container import CHUNK, Reader, Refused, Table

PART = "database.sqlite3"
BESIDE = ("-wal", "-shm", "-journal")


@contextmanager
def copied(scratch: Path) -> Iterator[Path]:
    """A copy in the folder `scratch`, which this process's connection reads in the block.

    Made in one step: SQLite starts a copy in several anew whenever somebody writes.
    """
    descriptor, name = tempfile.mkstemp(prefix=".backup-", dir=scratch)  # mode 0600
    os.close(descriptor)
    path = Path(name)
    try:
        connection.ensure_connection()
        copy = sqlite3.connect(path)
        try:
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            check(copy)
        finally:
            copy.close()
        with _using(path):
            yield path
    finally:
        remove(path)


@contextmanager
def _using(path: Path) -> Iterator[None]:
    """Within the block this thread's connection is one to the database in `path`."""
    place = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = str(path)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = place


def check(database: sqlite3.Connection) -> None:
    """Raises Refused unless the database's own check finds it whole."""
    (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Refused(f"The database is damaged: {found}.")


def tables() -> dict[str, Table]:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        quoted = {name: connection.ops.quote_name(name) for name in names}
        counts = {}
        for name in names:
            cursor.execute(f"SELECT count(*) FROM {quoted[name]}")
            counts[name] = Table(cursor.fetchone()[0])
    return counts


def pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


@contextmanager
def restored(reader: Reader) -> Iterator[None]:
    """The block works on a copy of what `reader` holds, which takes the database's place if the
    block succeeds; if it fails, nothing has happened."""
    place = Path(connection.settings_dict["NAME"])
    descriptor, name = tempfile.mkstemp(prefix=".restore-", dir=place.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in reader.pieces(PART):
                file.write(piece)
        with _using(draft):
            connection.ensure_connection()
            check(connection.connection)
            yield
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for ending in BESIDE:
            Path(f"{place}{ending}").unlink(missing_ok=True)
        draft.replace(place)
    finally:
        remove(draft)


def remove(path: Path) -> None:
    for ending in ("", *BESIDE):
        Path(f"{path}{ending}").unlink(missing_ok=True)
