"""A run as one JSON document: `format`, `exported_at`, `run`, `steps`, `entries`, `read`.

`read` comes last and says what was read: how many steps and entries, and the version of the run
at the end. A document without it is no whole one; if the version is not the one that `run` tells,
the run moved on meanwhile.
"""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils import timezone

from dashboard.exports import shapes
from dashboard.exports.pieces import Piece
from dashboard.exports.tables import TEXTS_AT_ONCE
from runs import agents
from runs.models import Run, Step, UsageEntry

FORMAT = "runsheet-run-1"
AT_ONCE = 500
FLUSH = 256 * 1024


def pieces(run: Run) -> Iterator[Piece]:
    poll = getattr(run, "poll", None)
    name = agents.names([run.agent_id]).get(run.agent_id or "")
    head = {
        "format": FORMAT,
        "exported_at": timezone.now(),
        "run": shapes.of_run(run, name, poll.last_ok_at if poll else None),
    }
    yield Piece(shapes.encoded(head)[:-1], 0)
    counts = {}
    for key, rows, of_row in (
        ("steps", Step.objects.filter(run_id=run.pk), shapes.of_step),
        ("entries", UsageEntry.objects.filter(run_id=run.pk), shapes.of_entry),
    ):
        yield Piece(f',"{key}":['.encode(), 0)
        counts[key] = 0
        for piece in _listed(rows, of_row):
            counts[key] += piece.rows
            yield piece
        yield Piece(b"\n]", 0)
    version = Run.objects.filter(pk=run.pk).values_list("version", flat=True).first()
    yield Piece(b',"read":' + shapes.encoded(counts | {"version": version}) + b"}\n", 0)


def count(run: Run) -> int:
    of_run = {"run_id": run.pk}
    return Step.objects.filter(**of_run).count() + UsageEntry.objects.filter(**of_run).count()


def _listed(rows: Any, of_row: Any) -> Iterator[Piece]:
    """A line a row, as few in memory as their texts allow."""
    position = pk = 0
    at_once, is_first = 20, True
    while True:
        after = Q(position=position, pk__gt=pk) | Q(position__gt=position)
        found = list(rows.filter(after).order_by("position", "pk")[:at_once])
        if not found:
            return
        lines = [shapes.encoded(of_row(row)) for row in found]
        octets = sum(map(len, lines))
        # The next part as long as this one lets hope.
        at_once = max(1, min(AT_ONCE, len(found) * TEXTS_AT_ONCE // max(octets, 1)))
        position, pk = found[-1].position, found[-1].pk
        del found
        yield Piece((b"\n" if is_first else b",\n") + b",\n".join(lines), len(lines))
        is_first = False
