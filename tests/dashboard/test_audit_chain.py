"""The chain of the audit log: whoever mends a row is refused by the database, or is found."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from dashboard.audit import acts, chain
from dashboard.audit.models import Act, AuditEntry, AuditHead, Immutable
from tests.dashboard.logbook import drop_triggers, fill, head, raise_triggers, undone, verified

pytestmark = pytest.mark.django_db


def test_an_untouched_log_is_found_whole_and_names_its_head() -> None:
    fill(5)
    code, said = verified()
    assert code == 0
    token = chain.token(AuditHead.objects.get())
    assert said.strip().endswith(f"rows, all as written. Head {token}")
    fill(3)
    assert verified("--expect-head", token)[0] == 0


def test_the_digest_can_be_made_by_anybody_from_the_description_alone() -> None:
    fill(2)
    first, second = AuditEntry.objects.order_by("-number")[:2][::-1]
    content = [
        *(second.number, f"{second.at:%Y-%m-%d %H:%M:%S.%f}", second.act, second.result),
        *(second.person, second.link, second.name, second.run, second.page, second.detail),
        second.address,
    ]
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    made = hashlib.sha256(bytes(first.digest) + text.encode()).digest()
    assert made == bytes(second.digest)


@pytest.mark.parametrize("text", ["é“漢\U0001f600", 'quote " and \\', "\x7f\x1b[2J\n", "\u202e"])
def test_odd_characters_keep_the_chain(text: str) -> None:
    acts.record(Act.LOOK, detail=text, run="run_1", page=text)
    assert verified()[0] == 0
    row = AuditEntry.objects.first()
    assert row is not None
    assert row.detail.isprintable()


# Tampers ------------------------------------------------------------------------------------------

INSERTED = """
INSERT INTO dashboard_audit
    (number, at, act, result, name, run, page, detail, address, digest)
SELECT %s, at, act, result, name, run, page, 'never happened', address, digest
FROM dashboard_audit ORDER BY number LIMIT 1
"""
COLUMNS = ("act", "result", "name", "run", "page", "detail", "address")
SET, DELETE = "UPDATE dashboard_audit SET", "DELETE FROM dashboard_audit"

type Statements = list[tuple[str, list[Any]]]


class Tampering:
    """Statements against a log that has the rows 1 ... `last`; what they hit is left to chance."""

    def __init__(self, chance: random.Random, last: int) -> None:
        self.chance, self.last = chance, last

    def row(self) -> int:
        return self.chance.randint(1, self.last)

    def change(self) -> Statements:
        column = self.chance.choice(COLUMNS)
        return [(f"{SET} {column} = %s WHERE number = %s", [f"x{self.row()}", self.row()])]

    def person(self) -> Statements:
        return [(f"{SET} person = 99 WHERE number = %s", [self.row()])]

    def digest(self) -> Statements:
        return [(f"{SET} digest = %s WHERE number = %s", [self.chance.randbytes(32), self.row()])]

    def delete(self) -> Statements:
        return [(f"{DELETE} WHERE number = %s", [self.row()])]

    def cut_the_end(self) -> Statements:
        return [(f"{DELETE} WHERE number > %s", [self.row() - 1])]

    def swap(self) -> Statements:
        first = self.row() % (self.last - 1) + 1
        return [
            (f"{SET} number = -1 WHERE number = %s", [first]),
            (f"{SET} number = %s WHERE number = %s", [first, first + 1]),
            (f"{SET} number = %s WHERE number = -1", [first + 1]),
        ]

    def insert(self) -> Statements:
        number = self.row()
        return [
            (f"{SET} number = number + 100000 WHERE number >= %s", [number]),
            (INSERTED, [number]),
            (f"{SET} number = number - 99999 WHERE number > 100000", []),
        ]

    def add(self) -> Statements:
        return [(INSERTED, [self.last + 1])]

    def head(self) -> Statements:
        return [("UPDATE dashboard_audit_head SET number = %s", [self.row() - 1])]

    def no_head(self) -> Statements:
        return [("DELETE FROM dashboard_audit_head", [])]

    def all(self) -> Statements:
        return [(DELETE, [])]

    def truncate(self) -> Statements:
        knows_it = connection.vendor == "postgresql"
        return [("TRUNCATE dashboard_audit" if knows_it else f"{DELETE} WHERE 1=1", [])]


# How often each is tried.
TRIES = {
    Tampering.change: 70,
    Tampering.person: 15,
    Tampering.digest: 15,
    Tampering.delete: 40,
    Tampering.cut_the_end: 15,
    Tampering.swap: 15,
    Tampering.insert: 15,
    Tampering.add: 5,
    Tampering.head: 5,
    Tampering.no_head: 1,
    Tampering.all: 3,
    Tampering.truncate: 1,
}


def tampers(chance: random.Random, last: int) -> Iterator[tuple[str, Statements]]:
    """200 of them, by name."""
    tampering = Tampering(chance, last)
    for way, times in TRIES.items():
        for _ in range(times):
            yield way.__name__, way(tampering)


def attempt(statements: Statements) -> bool:
    """Whether the database took all of it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement, values in statements:
                cursor.execute(statement, values)
    except DatabaseError:
        return False
    return True


def test_of_200_tampers_each_is_refused_and_found_where_nothing_refuses_it() -> None:
    fill(max(0, 40 - head()))
    last = head()
    tried = list(tampers(random.Random(5), last))
    assert len(tried) == 200
    taken = [name for name, statements in tried if name != "add" and attempt_undone(statements)]
    assert taken == []
    assert verified()[0] == 0

    missed = []
    for name, statements in tried:
        with undone():
            drop_triggers()
            was_taken = attempt(statements)
            raise_triggers()
            code, said = verified()
            if not was_taken or code != 1 or "broken" not in said:
                missed.append((name, statements, was_taken, said))
    assert missed == []
    assert verified()[0] == 0


def attempt_undone(statements: Statements) -> bool:
    with undone():
        was_taken = attempt(statements)
    return was_taken


def test_the_first_broken_row_is_named() -> None:
    fill(max(0, 20 - head()))
    with undone():
        drop_triggers()
        attempt([("UPDATE dashboard_audit SET run = 'x' WHERE number IN (9, 12)", [])])
        raise_triggers()
        assert "row 9 does not fit" in verified()[1]
    with undone():
        drop_triggers()
        attempt([("DELETE FROM dashboard_audit WHERE number IN (7, 11)", [])])
        raise_triggers()
        assert "row 7 is missing" in verified()[1]
    with undone():
        drop_triggers()
        assert "does not hold its trigger" in verified()[1]


def test_a_log_made_anew_as_a_whole_is_found_by_a_head_kept_elsewhere() -> None:
    fill(max(0, 20 - head()))
    kept = chain.token(AuditHead.objects.get())
    with undone():
        drop_triggers()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM dashboard_audit WHERE number > 10")
            before = bytes(AuditEntry.objects.get(number=10).digest)
            cursor.execute("UPDATE dashboard_audit_head SET number = 10, digest = %s", [before])
        raise_triggers()
        assert verified()[0] == 0  # nothing in the database itself tells
        assert verified("--expect-head", kept)[0] == 1
        fill(30)
        assert verified("--expect-head", kept)[0] == 1


@pytest.mark.parametrize("given", ["x", "1:abcd", "1", "one:" + "00" * 32])
def test_a_head_that_none_can_be_is_a_mistake_of_whoever_typed_it(given: str) -> None:
    with pytest.raises(CommandError, match="--expect-head"):
        call_command("verify_audit", "--expect-head", given)


def test_the_models_refuse_before_the_triggers_have_to() -> None:
    fill(1)
    row = AuditEntry.objects.first()
    assert row is not None
    tries: list[Callable[[], Any]] = [
        row.save,
        row.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(name="x"),
        lambda: AuditEntry.objects.filter(pk=1).bulk_update([row], ["name"]),
    ]
    for attempted in tries:
        with pytest.raises(Immutable):
            attempted()
