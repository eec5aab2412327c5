"""The record as plain values that can be compared: between databases, and before and after."""

import json
from functools import lru_cache
from typing import Any

import dj_database_url
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model

from runs.models import Payload, Revision, Run, Step, UsageEntry
from tests import postgresql


def another_postgresql(*, whole: bool = False) -> DatabaseWrapper:
    """A server of its own with the tables of the record, or of the `whole` product, to be put in
    the place of the default. Connections to it are kept for as long as the product keeps them."""
    settings = connections.databases["default"] | dj_database_url.parse(postgresql.start())
    settings |= {"CONN_MAX_AGE": 60}
    # Tests' servers write behind: a crash would take back what was committed just before.
    settings |= {"OPTIONS": {"options": "-c synchronous_commit=on"}, "CONN_HEALTH_CHECKS": True}
    wrapper = DatabaseWrapper(settings, "default")
    ours = connections["default"]
    connections["default"] = wrapper
    try:
        executor = MigrationExecutor(wrapper)
        leaves = executor.loader.graph.leaf_nodes()
        executor.migrate([key for key in leaves if whole or key[0] == "runs"])
    finally:
        connections["default"] = ours
    return wrapper


def let_last() -> None:
    """Let this transaction, in which a row runs all of its cases, last for longer than the product
    lets its own (runs.direct.LASTS_MOST). Call after the first statement of `direct`."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_timeout = 0")


OWN = {"id", "run", "run_id", "pk"}  # keys of rows: told by each database for itself
SHOWN = {
    Step: ("position", "step_id", "type", "content", "tool_input", "tool_output"),
    UsageEntry: ("position", "entry_id", "kind", "cost_micros"),
}


def dump(run: Run) -> str:
    """All that is stored of `run`, as JSON text, without the keys of rows."""
    told: dict[str, Any] = {"run": rows(Run, "id", run)[0]}
    for model, order in (
        (Step, ("position", "vanished_at", "step_id")),
        (UsageEntry, ("position", "vanished_at", "entry_id")),
        (Revision, ("replaced_version", "of", "position")),
    ):
        # Sorted here: the databases differ in where they put null.
        told[model.__name__] = sorted(
            rows(model, "run_id", run), key=lambda row: [str(row[name]) for name in order]
        )
    payloads = Payload.objects.filter(run=run).order_by("kind")
    told["Payload"] = [
        {"kind": one.kind, "text": one.text.hex(), "error": one.error} for one in payloads
    ]
    return json.dumps(told, cls=DjangoJSONEncoder, sort_keys=True, indent=1)


def visible(run: Run) -> dict[str, Any]:
    """What the API last said, as far as it is shown: steps and entries that did not vanish."""
    row = rows(Run, "id", run)[0]
    steps, entries = (
        sorted(
            (
                tuple(one[name] for name in names)
                for one in rows(model, "run_id", run)
                if one["vanished_at"] is None
            ),
            key=lambda shown: shown[0],
        )
        for model, names in SHOWN.items()
    )
    return {
        "status": row["status"],
        "counts": (row["step_count"], row["tool_call_count"], row["entry_count"]),
        "cost": row["cost_micros"],
        "steps": steps,
        "entries": entries,
    }


def rows(model: type[Model], by: str, run: Run) -> list[dict[str, Any]]:
    """Rows as the ORM would give them, without the keys of rows and without the ORM, most of
    whose time goes into making the statement; here it is made once."""
    statement, names, converters = _reading(model, by, connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, (run.pk,))
        found = cursor.fetchall()
    compiler = model._default_manager.all().query.get_compiler(connection=connection)
    return [
        {name: _plain(value) for name, value in zip(names, row, strict=True)}
        for row in compiler.apply_converters(found, converters)
    ]


@lru_cache(maxsize=32)
def _reading(model: type[Model], by: str, vendor: str) -> tuple[str, list[str], dict[int, Any]]:
    fields = [
        field
        for field in model._meta.concrete_fields
        if field.name not in OWN and not field.primary_key and not field.is_relation
    ]
    columns = [field.get_col(model._meta.db_table) for field in fields]
    names = ", ".join(f'"{field.column}"' for field in fields)
    compiler = model._default_manager.all().query.get_compiler(connection=connection)
    statement = f'SELECT {names} FROM "{model._meta.db_table}" WHERE "{by}" = %s'
    return statement, [field.name for field in fields], compiler.get_converters(columns)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes | memoryview) else value
