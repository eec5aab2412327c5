"""The chain: each row's digest is SHA-256 of the digest before it and of the row's own content.

Content is a JSON array in UTF-8 without blanks: number, time ("2026-11-24 15:31:21.123456", UTC),
act, result, person, link, name, run, page, detail, address. The digest before the first row is 32
zero bytes. Whoever can write to the database past its triggers can also make the whole chain anew;
what finds that is a digest kept elsewhere: `verify_audit --expect-head`, and the line that the
first row of each day writes to the log.
"""

import datetime as dt
import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import msgspec
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from dashboard.audit.models import AuditEntry, AuditHead

logger = logging.getLogger(__name__)

START = bytes(32)
COLUMNS = (
    *("number", "at", "act", "result", "person", "link", "name", "run", "page", "detail"),
    "address",
)
HEAD = "SELECT number, at, digest FROM dashboard_audit_head"
INSERT = f"INSERT INTO dashboard_audit ({', '.join(COLUMNS)}, digest)"
VALUES = f"{INSERT} VALUES ({', '.join(['%s'] * (len(COLUMNS) + 1))})"
# On PostgreSQL in one statement, which makes the digest too: whoever appends waits for all who
# append before, and each way to the database and back would be waited for as well.
AT_ONCE = f"""
WITH head AS ({HEAD} FOR UPDATE), added AS (
    {INSERT}
    SELECT number + 1, %s::timestamptz, %s, %s, %s::bigint, %s::bigint, %s, %s, %s, %s, %s,
        sha256(digest || convert_to('[' || (number + 1) || %s, 'UTF8'))
    FROM head RETURNING number, digest
)
SELECT added.number, added.digest, head.number, head.at, head.digest FROM added, head
"""
TRIGGERS = {
    *("audit_head_sole", "audit_head_kept", "audit_head_follows"),
    *("audit_next", "audit_added", "audit_unchanged", "audit_kept"),
}
_CHUNK = 20_000  # rows read at a time

# Many threads that wait for SQLite's one lock sleep longer than they need to.
_turn = threading.Lock()


def digest(before: bytes, content: list[Any] | tuple[Any, ...]) -> bytes:
    """`content`: the columns of a row in order, its time as text."""
    return hashlib.sha256(before + msgspec.json.encode(content)).digest()


def time_text(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(" ", "microseconds").removesuffix("+00:00")


def append(entry: AuditEntry) -> None:
    """Write `entry` behind the last row; its number, time and digest are set here.

    One short transaction, or part of the caller's, which it takes along if it fails. Without the
    ORM, since all who write wait for each other here. Raises django.db.DatabaseError.
    """
    entry.at = timezone.now()
    rest = [time_text(entry.at), *(getattr(entry, column) for column in COLUMNS[2:])]
    last = _at_once(entry, rest) if connection.vendor == "postgresql" else _in_steps(entry, rest)
    if last.at is not None and rest[0][:10] != str(last.at)[:10]:
        hexadecimal = bytes(last.digest).hex()
        logger.info("audit log of %s ends with %d:%s", str(last.at)[:10], last.number, hexadecimal)


class Last(NamedTuple):
    """The row before the one that was appended."""

    number: int
    at: dt.datetime | str | None
    digest: bytes


def _at_once(entry: AuditEntry, rest: list[Any]) -> Last:
    """`rest`: the columns of the row behind its number."""
    tail = "," + msgspec.json.encode(rest).decode()[1:]
    with connection.cursor() as cursor:
        cursor.execute(AT_ONCE, [entry.at, *rest[1:], tail])
        written = cursor.fetchone()
    if written is None:
        raise DatabaseError("the audit log has no head")
    entry.number, entry.digest, *last = written
    return Last(*last)


def _in_steps(entry: AuditEntry, rest: list[Any]) -> Last:
    with _in_turn(), transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(HEAD)
        last = Last(*(cursor.fetchone() or (0, None, START)))
        entry.number = last.number + 1
        entry.digest = digest(bytes(last.digest), [entry.number, *rest])
        cursor.execute(VALUES, [entry.number, *rest, entry.digest])
    return last


def _in_turn() -> AbstractContextManager[Any]:
    # Whoever is in a transaction may hold what the others wait for, and so waits for nobody.
    return nullcontext() if connection.in_atomic_block else _turn


def token(head: AuditHead) -> str:
    """What names the end of the chain: `<number>:<digest in hexadecimal>`."""
    return f"{head.number}:{bytes(head.digest).hex()}"


class Broken(Exception):
    """The log is not as it was written; the message says where, for people."""


def verify(expected: str = "") -> AuditHead:
    """The head of an unbroken chain. Broken names the first row that is wrong.

    `expected`: what `token` once gave, and what the log must still contain.
    """
    _check_triggers()
    with transaction.atomic():  # rows and head of one moment
        return _verify_rows(*_parsed(expected))


def _verify_rows(expected_number: int, expected_digest: bytes) -> AuditHead:
    number, before = 0, START
    for *content, found in _rows():
        number += 1
        if content[0] != number:
            raise Broken(f"row {number} is missing: row {content[0]} comes in its place.")
        before = digest(before, content)
        if before != bytes(found):
            raise Broken(f"row {number} does not fit its digest and the row before it.")
        if number == expected_number and before != expected_digest:
            raise Broken(f"row {number} is not the one that was expected there.")
    head = AuditHead.objects.filter(pk=AuditHead.SOLE).first()
    if head is None or AuditHead.objects.count() != 1:
        raise Broken("the log's head is missing, or there is more than one.")
    if (head.number, bytes(head.digest)) != (number, before):
        raise Broken(f"row {number + 1} is missing: the log's head is at row {head.number}.")
    if expected_number > number:
        raise Broken(f"row {number + 1} is missing: row {expected_number} was once the last.")
    return head


def _rows() -> Iterator[tuple[Any, ...]]:
    """All rows in order, times as the text that is hashed: without the ORM, in constant memory."""
    at = "at || ''"  # the bare column would be read as a time
    if connection.vendor == "postgresql":
        at = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    columns = ", ".join([COLUMNS[0], at, *COLUMNS[2:], "digest"])
    query = (
        f"SELECT {columns} FROM dashboard_audit WHERE number > %s ORDER BY number LIMIT {_CHUNK}"
    )
    last = -(2**63)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(query, [last])
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < _CHUNK:
            return
        last = rows[-1][0]


def _check_triggers() -> None:
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled = 'O'"
    with connection.cursor() as cursor:
        cursor.execute(query)
        missing = TRIGGERS - {name for (name,) in cursor.fetchall()}
    if missing:
        raise Broken(f"the database does not hold its trigger {min(missing)}: rows are unguarded.")


def _parsed(expected: str) -> tuple[int, bytes]:
    """ValueError for what `token` never gave."""
    if not expected:
        return 0, START
    number, _, digits = expected.partition(":")
    found = bytes.fromhex(digits)
    if len(found) != 32:
        raise ValueError("a digest has 64 hexadecimal digits")
    return int(number), found
