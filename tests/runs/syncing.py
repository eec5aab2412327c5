"""One run, and what answers make of it."""

import datetime as dt
import json
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Model

from runs import sync
from runs.models import Revision, Run, Step

NOW = dt.datetime(2025, 1, 15, 10, 31, tzinfo=dt.UTC)


def new_run(**fields: Any) -> Run:
    return Run.objects.create(
        **{"run_id": "run_1", "listed_at": NOW, "first_seen_at": NOW, "changed_at": NOW} | fields
    )


def take(run: Run, body: bytes, seconds: float = 0) -> sync.Change:
    """Sync the run as it is in the database, and bring `run` up to date."""
    with transaction.atomic():
        change = sync.apply(Run.objects.get(pk=run.pk), body, NOW + dt.timedelta(seconds=seconds))
    run.refresh_from_db()
    assert change.version == run.version
    return change


def dump() -> dict[str, list[dict[str, Any]]]:
    """Every row of the record."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for model in apps.get_app_config("runs").get_models():
        tables[model.__name__] = [_row(item) for item in model._default_manager.order_by("pk")]
    return tables


def _row(item: Model) -> dict[str, Any]:
    values = {field.attname: getattr(item, field.attname) for field in item._meta.concrete_fields}
    return {
        name: bytes(value) if isinstance(value, memoryview) else value
        for name, value in values.items()
    }


def notes(run: Run) -> list[str]:
    return [item["text"] for item in run.contradictions]


def steps(run: Run) -> dict[int, Step]:
    """Present steps by position."""
    return {one.position: one for one in run.steps.filter(vanished_at=None)}


def ids(run: Run) -> list[str | None]:
    return [one.step_id for one in run.steps.filter(vanished_at=None).order_by("position")]


def pks(run: Run) -> dict[str | None, int]:
    return {one.step_id: one.pk for one in run.steps.all()}


def body_of(revision: Revision) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(revision.body)
    return found
