"""Single rows, read and written by statements that are made once a process.

The ORM makes each statement anew, which for a small answer that changed took several times as long
as the statement itself. Values are fitted by the models' own fields, both ways.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Model, QuerySet

from runs.models import Fingerprint, Outline, Poll, Run

type Fit = Callable[[Any], Any]

PREPARE_AFTER = 2  # times that a connection has sent a statement
# Seconds after which the server ends a transaction of which nothing more is heard: a process that
# was stopped in the middle of one would keep its rows from all others for as long as it stands.
IDLE_MOST = 30
LASTS_MOST = 120  # and one that goes on: many times what the largest answer should take


@contextmanager
def pipelined() -> Iterator[None]:
    """Send statements to PostgreSQL without waiting for what becomes of each; whoever reads an
    answer waits for all before it, and so does the commit. An error may come as late as that.

    Around a whole transaction. COPY and cursors of the server are not possible meanwhile.
    """
    if connection.vendor != "postgresql":
        yield
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def cursor() -> CursorWrapper:
    """A cursor for statements that come again and again.

    On PostgreSQL their values are sent beside them. Django's spells values out in the statement,
    bytes in hexadecimal, which takes four times as long for a body of megabytes; and what differs
    each time must be read and planned each time, which for a small poll is most of the work.
    """
    found = connection.cursor()
    if connection.vendor == "postgresql":
        from psycopg import Cursor

        if connection.connection.prepare_threshold is None and _leads_to_server(found):
            connection.connection.prepare_threshold = PREPARE_AFTER
        found.cursor = Cursor(connection.connection)
    return found


def _leads_to_server(found: CursorWrapper) -> bool:
    """Whether a statement prepared on this connection will still be known to whoever answers next.
    A pooler may hand each transaction to another connection of its own; it tells of itself by
    another process number than that of the server behind it. Asked once a connection."""
    way = connection.connection
    if not hasattr(way, "leads_to_server"):
        if is_pipelined():
            return False
        found.execute("SELECT pg_backend_pid()")
        (pid,) = found.fetchone()
        way.leads_to_server = pid == way.info.backend_pid
        if way.leads_to_server:
            found.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_MOST}s'")
            # Between statements that are sent without waiting it does not count as idle.
            if way.info.server_version >= 170_000:
                found.execute(f"SET transaction_timeout = '{LASTS_MOST}s'")
    return bool(way.leads_to_server)


def end_if_idle() -> None:
    """Have PostgreSQL end the transaction that has just begun if nothing more is heard of it, on
    connections that were given no such limit (see `cursor`), and behind a pooler too."""
    if connection.vendor == "postgresql":
        with connection.cursor() as asked:
            asked.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_MOST}s'")


def is_pipelined() -> bool:
    on_postgresql = connection.vendor == "postgresql" and connection.connection is not None
    return on_postgresql and bool(connection.connection.pgconn.pipeline_status)


def one_by_one[Row](rows: "QuerySet[Any, Row]") -> Iterable[Row]:
    """Few of them in memory at once, where that is possible."""
    return rows if is_pipelined() else rows.iterator()


def held(run: int, fence: int) -> Run | None:
    """The run with its fingerprint and its outline, and its poll locked until the transaction
    ends; None if the poll's fence is another by now."""
    with cursor() as asked:
        asked.execute(_held_statement(), (run, fence))
        row = asked.fetchone()
    if row is None:
        return None
    found, *beside = (_built(model, row, start) for model, start in _places())
    for name, part in zip(("fingerprint", "outline"), beside, strict=True):
        Run._meta.get_field(name).set_cached_value(found, part)  # type: ignore
    return found  # type: ignore[return-value]


def values(model: type[Model], names: Sequence[str], **known: Any) -> tuple[Any, ...] | None:
    """The columns `names` of the row that has the columns `known`; None if there is no such row.
    For what is unique."""
    statement = _select(model, tuple(names), tuple(known))
    with cursor() as asked:
        asked.execute(statement, tuple(known.values()))
        row = asked.fetchone()
    if row is None:
        return None
    fits = _fits(model, tuple(names), connection.vendor)
    return tuple(fit(value) if fit else value for fit, value in zip(fits, row, strict=True))


def has_gone(model: type[Model], run: int) -> bool:
    """Whether any item of the run has vanished."""
    with cursor() as asked:
        asked.execute(_gone_statement(model), (run,))
        return asked.fetchone() is not None


def counted(model: type[Model], run: int, column: str) -> tuple[int, int | None]:
    """How many items of the run have not vanished, and the sum of their `column`; None if none
    has one. The database adds: the sum must fit into 64 bits."""
    with cursor() as asked:
        asked.execute(_counting(model, column), (run,))
        count, total = asked.fetchone()
    return count, None if total is None else int(total)


def moments(model: type[Model], run: int, column: str) -> list[dt.datetime | None]:
    """`column`, which holds times, of all items of the run that have not vanished, in no order."""
    (fit,) = _fits(model, (column,), connection.vendor)
    with cursor() as asked:
        asked.execute(_telling(model, column), (run,))
        told = [value for (value,) in asked.fetchall()]
    return list(map(fit, told)) if fit else told


def change(model: type[Model], key: int, changed: Mapping[str, Any]) -> None:
    """Write columns, named as the attributes, of the row `key`."""
    fields = [_field(model, name) for name in changed]
    row = [
        field.get_db_prep_save(value, connection)
        for field, value in zip(fields, changed.values(), strict=True)
    ]
    with cursor() as asked:
        asked.execute(_update(model, tuple(changed)), (*row, key))


def add(model: type[Model], columns: Mapping[str, Any]) -> None:
    """Insert a row of `columns`, named as the attributes."""
    row = [
        _field(model, name).get_db_prep_save(value, connection) for name, value in columns.items()
    ]
    with cursor() as asked:
        asked.execute(_insert(model, tuple(columns)), row)


def put(row: Model, unique: Sequence[str]) -> None:
    """Insert `row`, or write it over the one that is there with the same columns `unique`."""
    model = type(row)
    fields = [field for field in model._meta.concrete_fields if field.attname != "id"]
    sent = [
        field.get_db_prep_save(getattr(row, field.attname), connection=connection)
        for field in fields
    ]
    with cursor() as asked:
        asked.execute(_upsert(model, tuple(unique)), sent)


@lru_cache(maxsize=1)
def _held_statement() -> str:
    run, fingerprint, outline, poll = map(_table, (Run, Fingerprint, Outline, Poll))
    columns = ", ".join(
        f"{_table(model)}.{_quoted(str(field.column))}"
        for model, _ in _places()
        for field in model._meta.concrete_fields
    )
    statement = (
        f"SELECT {columns} FROM {poll} JOIN {run} ON {run}.id = {poll}.run_id"
        f" LEFT JOIN {fingerprint} ON {fingerprint}.run_id = {poll}.run_id"
        f" LEFT JOIN {outline} ON {outline}.run_id = {poll}.run_id"
        f" WHERE {poll}.run_id = %s AND {poll}.fence = %s"
    )
    return statement + (f" FOR UPDATE OF {poll}" if connection.vendor == "postgresql" else "")


@lru_cache(maxsize=1)
def _places() -> list[tuple[type[Model], int]]:
    """Models, each with the place of its first column in a row of all."""
    models: tuple[type[Model], ...] = (Run, Fingerprint, Outline)
    counts = [len(model._meta.concrete_fields) for model in models]
    return [(model, sum(counts[:place])) for place, model in enumerate(models)]


def _built(model: type[Model], row: Sequence[Any], start: int) -> Model | None:
    """An instance out of the columns of `row` from `start` on; None if its key is null."""
    names = tuple(field.attname for field in model._meta.concrete_fields)
    sent = row[start : start + len(names)]
    if sent[0] is None:
        return None
    fits = _fits(model, names, connection.vendor)
    fitted = [fit(value) if fit else value for fit, value in zip(fits, sent, strict=True)]
    return model.from_db(connection.alias, names, fitted)


@lru_cache(maxsize=64)
def _fits(model: type[Model], names: tuple[str, ...], vendor: str) -> list[Fit | None]:
    """What makes values of the driver into values of the columns; None where they are already."""
    return [_fit(_field(model, name)) for name in names]


def _fit(field: "Field[Any, Any]") -> Fit | None:
    column = field.get_col(field.model._meta.db_table)
    steps = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
    if not steps:
        return None

    def fit(value: Any) -> Any:
        for step in steps:
            value = step(value, column, connection)
        return value

    return fit


@lru_cache(maxsize=64)
def _select(model: type[Model], names: tuple[str, ...], known: tuple[str, ...]) -> str:
    columns = ", ".join(map(partial(_column, model), names))
    wanted = " AND ".join(f"{_column(model, name)} = %s" for name in known)
    return f"SELECT {columns} FROM {_table(model)} WHERE {wanted}"


@lru_cache(maxsize=8)
def _gone_statement(model: type[Model]) -> str:
    return f"SELECT 1 FROM {_table(model)} WHERE run_id = %s AND vanished_at IS NOT NULL LIMIT 1"


@lru_cache(maxsize=8)
def _counting(model: type[Model], column: str) -> str:
    return (
        f"SELECT COUNT(*), SUM({_column(model, column)}) FROM {_table(model)}"
        " WHERE run_id = %s AND vanished_at IS NULL"
    )


@lru_cache(maxsize=8)
def _telling(model: type[Model], column: str) -> str:
    return (
        f"SELECT {_column(model, column)} FROM {_table(model)}"
        " WHERE run_id = %s AND vanished_at IS NULL"
    )


@lru_cache(maxsize=256)
def _update(model: type[Model], names: tuple[str, ...]) -> str:
    changes = ", ".join(f"{_column(model, name)} = %s" for name in names)
    key = _quoted(str(model._meta.pk.column))
    return f"UPDATE {_table(model)} SET {changes} WHERE {key} = %s"


@lru_cache(maxsize=8)
def _insert(model: type[Model], names: tuple[str, ...]) -> str:
    columns = ", ".join(map(partial(_column, model), names))
    marks = ", ".join(["%s"] * len(names))
    return f"INSERT INTO {_table(model)} ({columns}) VALUES ({marks})"


@lru_cache(maxsize=8)
def _upsert(model: type[Model], unique: tuple[str, ...]) -> str:
    fields = [field for field in model._meta.concrete_fields if field.attname != "id"]
    columns = [_quoted(str(field.column)) for field in fields]
    by = [_column(model, name) for name in unique]
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in by)
    marks = ", ".join(["%s"] * len(columns))
    return (
        f"INSERT INTO {_table(model)} ({', '.join(columns)}) VALUES ({marks})"
        f" ON CONFLICT ({', '.join(by)}) DO UPDATE SET {changes}"
    )


@lru_cache(maxsize=256)
def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return fields[name]


def _column(model: type[Model], name: str) -> str:
    return _quoted(str(_field(model, name).column))


def _table(model: type[Model]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str) -> str:
    quoted: str = connection.ops.quote_name(name)
    return quoted
