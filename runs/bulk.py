"""Writing thousands of rows of plain values: several times faster than Django's own bulk methods,
and on SQLite nobody else can write meanwhile.

For columns of numbers, texts and times in UTC; nothing else is made fit for the database.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import DateTimeField, Model


def insert(model: type[Model], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert `rows`, each with a value for every column but the key, named as the attribute."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = ", ".join(_quoted(str(field.column)) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    table = _quoted(model._meta.db_table)
    _execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", fields, rows)


def update(model: type[Model], rows: Iterable[Model], names: Sequence[str]) -> None:
    """Write the attributes `names` of `rows`, one statement a row."""
    key = model._meta.pk
    fields: list[Any] = [*(model._meta.get_field(name) for name in names), key]
    changes = ", ".join(f"{_quoted(str(field.column))} = %s" for field in fields[:-1])
    table, key_name = _quoted(model._meta.db_table), _quoted(str(key.column))
    _execute(f"UPDATE {table} SET {changes} WHERE {key_name} = %s", fields, map(vars, rows))


def _execute(statement: str, fields: Iterable[Any], rows: Iterable[Mapping[str, Any]]) -> None:
    adapt = connections[DEFAULT_DB_ALIAS].ops.adapt_datetimefield_value
    columns = [(field.attname, isinstance(field, DateTimeField)) for field in fields]
    values = [
        [adapt(row[name]) if is_time else row[name] for name, is_time in columns] for row in rows
    ]
    if values:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.executemany(statement, values)


def _quoted(name: str) -> str:
    quoted: str = connections[DEFAULT_DB_ALIAS].ops.quote_name(name)
    return quoted
