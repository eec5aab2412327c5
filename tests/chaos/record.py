"""The record as plain values that can be compared: between databases, and before and after."""

import json
from typing import Any

import dj_database_url
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model

from runs.models import Payload, Revision, Run, Step, UsageEntry
from tests import postgresql


def another_postgresql() -> DatabaseWrapper:
    """A server of its own with the tables of the record, to be put in the place of the default."""
    settings = connections.databases["default"] | dj_database_url.parse(postgresql.start())
    settings |= {"OPTIONS": {}, "CONN_HEALTH_CHECKS": True}
    wrapper = DatabaseWrapper(settings, "default")
    ours = connections["default"]
    connections["default"] = wrapper
    try:
        executor = MigrationExecutor(wrapper)
        executor.migrate([key for key in executor.loader.graph.leaf_nodes() if key[0] == "runs"])
    finally:
        connections["default"] = ours
    return wrapper


OWN = {"id", "run", "run_id", "pk"}  # keys of rows: told by each database for itself


def dump(run: Run) -> str:
    """All that is stored of `run`, as JSON text, without the keys of rows."""
    told: dict[str, Any] = {"run": _row(Run.objects.get(pk=run.pk))}
    for model, order in (
        (Step, ("position", "vanished_at", "step_id")),
        (UsageEntry, ("position", "vanished_at", "entry_id")),
        (Revision, ("replaced_version", "of", "position")),
    ):
        rows = model._default_manager.filter(run=run).order_by(*order)
        told[model.__name__] = [_row(row) for row in rows]
    told["Payload"] = [
        {"kind": one.kind, "text": one.text.hex(), "error": one.error}
        for one in Payload.objects.filter(run=run).order_by("kind")
    ]
    return json.dumps(told, cls=DjangoJSONEncoder, sort_keys=True, indent=1)


def visible(run: Run) -> dict[str, Any]:
    """What the API last said, as far as it is shown: steps and entries that did not vanish."""
    row = Run.objects.get(pk=run.pk)
    steps = Step.objects.filter(run=run, vanished_at=None).order_by("position")
    entries = UsageEntry.objects.filter(run=run, vanished_at=None).order_by("position")
    return {
        "status": row.status,
        "counts": (row.step_count, row.tool_call_count, row.entry_count),
        "cost": row.cost_micros,
        "steps": list(
            steps.values_list("position", "step_id", "type", "content", "tool_input", "tool_output")
        ),
        "entries": list(entries.values_list("position", "entry_id", "kind", "cost_micros")),
    }


def _row(row: Model) -> dict[str, Any]:
    values = {}
    for field in row._meta.concrete_fields:
        if field.name not in OWN and not field.primary_key and not field.is_relation:
            value = getattr(row, field.attname)
            values[field.name] = value.hex() if isinstance(value, bytes | memoryview) else value
    return values
