"""Writing thousands of rows of plain values: several times faster than Django's own bulk methods,
and on SQLite nobody else can write meanwhile. Both databases get the same values, by the driver's
own executemany or, where that is faster, by COPY.

For columns of numbers, texts and times in UTC; nothing else is made fit for the database.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import batched, chain, islice
from operator import itemgetter
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import DateTimeField, Model

from runs import direct

FEW = 20  # rows; more go to PostgreSQL by COPY, which has a price of its own
AT_ONCE = 200  # rows that SQLite is given, so that no more of them are held than these


def insert(model: type[Model], rows: Iterable[Mapping[str, Any]]) -> int:
    """Insert `rows`, each with a value for every column but the key, named as the attribute; how
    many they were.

    Many rows are taken one by one as PostgreSQL takes them, so that whoever makes them works at
    the same time as the server. While it makes them it must ask the database for nothing.
    """
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = ", ".join(_quoted(str(field.column)) for field in fields)
    table = _quoted(model._meta.db_table)
    rows = iter(rows)
    if connections[DEFAULT_DB_ALIAS].vendor == "postgresql" and not direct.is_pipelined():
        first = list(islice(rows, FEW + 1))
        if len(first) > FEW:
            values = map(_getter(fields), chain(first, rows))
            return _copy(f"COPY {table} ({names}) FROM STDIN", values)
        rows = iter(first)
    marks = ", ".join(["%s"] * len(fields))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
    count = 0
    for some in batched(rows, AT_ONCE):
        _execute(statement, _values(fields, some))
        count += len(some)
    return count


def update(
    model: type[Model],
    rows: Iterable[Model],
    names: Sequence[str],
    only_if: Sequence[str] = (),
    *,
    are_long: bool = False,
) -> int:
    """Write the attributes `names` of `rows`; how many were there.

    `only_if`: attributes that must still be in the database as they are in the row. `are_long`:
    there may be megabytes of text in them, which are sent row by row.
    """
    key = model._meta.pk
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    known: list[Any] = [key, *(model._meta.get_field(name) for name in only_if)]
    values = _values([*fields, *known], map(vars, rows))
    table = _quoted(model._meta.db_table)
    if connections[DEFAULT_DB_ALIAS].vendor == "postgresql" and len(values) > FEW and not are_long:
        return _update_at_once(table, fields, known, values)
    changes = ", ".join(f"{_quoted(str(field.column))} = %s" for field in fields)
    wanted = " AND ".join(f"{_quoted(str(field.column))} = %s" for field in known)
    return _execute(f"UPDATE {table} SET {changes} WHERE {wanted}", values)


def _update_at_once(
    table: str, fields: list[Any], known: list[Any], values: list[tuple[Any, ...]]
) -> int:
    """One statement for all rows, which is read and planned once."""
    connection = connections[DEFAULT_DB_ALIAS]
    every = [*fields, *known]
    lists = ", ".join(f"%s::{field.db_type(connection)}[]" for field in every)
    given = [f"given.v{place}" for place in range(len(every))]
    names = [_quoted(str(field.column)) for field in every]
    changes = ", ".join(f"{names[place]} = {given[place]}" for place in range(len(fields)))
    wanted = " AND ".join(
        f"{table}.{names[place]} = {given[place]}" for place in range(len(fields), len(every))
    )
    columns = ", ".join(f"v{place}" for place in range(len(every)))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {changes} FROM unnest({lists}) AS given({columns}) WHERE {wanted}",
            [list(column) for column in zip(*values, strict=True)],
        )
        return int(cursor.rowcount)


def _values(fields: Iterable[Any], rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    fields = list(fields)
    taken = list(map(_getter(fields), rows))
    times = [place for place, field in enumerate(fields) if isinstance(field, DateTimeField)]
    if connections[DEFAULT_DB_ALIAS].vendor == "postgresql" or not times:
        return taken  # the driver takes times as they are
    adapted = []
    for row in map(list, taken):
        for place in times:
            if row[place] is not None:
                row[place] = str(row[place].replace(tzinfo=None))  # as Django writes them
        adapted.append(tuple(row))
    return adapted


def _execute(statement: str, values: list[tuple[Any, ...]]) -> int:
    """Call within a transaction, or SQLite makes one of each row."""
    if not values:
        return 0
    with direct.cursor() as cursor:
        cursor.executemany(statement, values)
        return int(cursor.rowcount)


def _copy(statement: str, values: Iterable[tuple[Any, ...]]) -> int:
    count = 0
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor, cursor.copy(statement) as copy:
        for count, row in enumerate(values, start=1):  # noqa: B007 - the last is how many
            copy.write_row(row)
    return count


def _getter(fields: Iterable[Any]) -> Callable[[Any], tuple[Any, ...]]:
    return itemgetter(*(field.attname for field in fields))


def _quoted(name: str) -> str:
    quoted: str = connections[DEFAULT_DB_ALIAS].ops.quote_name(name)
    return quoted
