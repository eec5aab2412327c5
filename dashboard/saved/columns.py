"""Which columns the list of runs shows, and in what order: asked for in the address (as by a saved
view), else as the person keeps it, else the default.

`row_items` and `templates/runs/head.html` draw each by its name; `exports.tables` writes the same.
"""

from collections.abc import Iterable
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import transaction

from dashboard.audit import acts
from dashboard.audit.models import Act
from dashboard.saved.models import ListColumns


class ListColumn(NamedTuple):
    label: str
    css: str  # the classes of its cells
    sort: str = ""  # of filters.SORTS
    written: tuple[str, ...] = ()  # the labels of the columns of a file that hold the same


REQUEST = "request"  # leads to the run, so it is always shown
COLUMNS = {
    "status": ListColumn("Status", "state", written=("Status", "Remark")),
    REQUEST: ListColumn("Request", "words", written=("Request",)),
    "agent": ListColumn("Agent", "agent", written=("Agent", "Agent id")),
    "model": ListColumn("Model", "model", written=("Model",)),
    "created": ListColumn("Created", "figure created", "newest", ("Created (UTC)",)),
    "started": ListColumn("Started", "figure start", "started", ("Started (UTC)",)),
    "ended": ListColumn("Ended", "figure ended", "ended", ("Ended (UTC)",)),
    "took": ListColumn("Took", "figure took", "longest", ("Elapsed (ms)",)),
    "steps": ListColumn("Steps", "figure steps", "steps", ("Steps",)),
    "calls": ListColumn("Tool calls", "figure calls", written=("Tool calls",)),
    "cost": ListColumn("Cost", "figure cost", "cost", ("Cost (US$)", "Cost (micro-dollars)")),
    "asof": ListColumn("As of", "figure asof", written=("As of (UTC)",)),
    "id": ListColumn("Run id", "id"),
}
DEFAULT = ("status", REQUEST, "agent", "started", "took", "steps", "cost")


def read(text: str) -> tuple[str, ...]:
    """Those of COLUMNS that `text` names, each once, as "status,request,cost"; () if none."""
    named = tuple(dict.fromkeys(name for name in text.split(",") if name in COLUMNS))
    if not named or REQUEST in named:
        return named
    return (REQUEST, *named)


def of(person: int, asked: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What the list of `person` shows, who asks for the columns `asked` or for none."""
    if asked:
        return asked
    kept = ListColumns.objects.filter(user=person).values_list("columns", flat=True).first()
    return read(kept or "") or DEFAULT


def keep(user: User, columns: Iterable[str]) -> None:
    """The default, or nothing at all, is as if nothing had been kept."""
    chosen = read(",".join(columns))
    with transaction.atomic():
        if chosen in ((), DEFAULT):
            ListColumns.objects.filter(user=user).delete()
        else:
            ListColumns.objects.update_or_create(user=user, defaults={"columns": ",".join(chosen)})
        told = f"columns: {', '.join(chosen or DEFAULT)}"
        acts.record(Act.VIEW, page="columns", detail=told, by=user)
