"""Files of 100,000 rows: how long they take, and what a process holds for them beside what it held
before. The floor of the time reads the same rows of the database and writes them with csv alone."""

import csv
import io
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from django.contrib.auth.models import User
from django.http import QueryDict
from django.utils import timezone

from benchmarks import lists, sync
from benchmarks.figures import Bench, Figure, value
from benchmarks.processes import forget_peak, peak
from dashboard import filters
from dashboard.exports import form_csv, form_xlsx, tables
from dashboard.exports.pieces import Piece
from dashboard.exports.tables import Table
from runs.models import Run, UsageEntry

ROWS, QUICK = 100_000, 1_000
MEGABYTE = 2**20
MOST_HELD = 64  # megabytes, whatever the length of the file


def measure(bench: Bench) -> Iterator[Figure]:
    rows = QUICK if bench.quick else ROWS
    User.objects.create_superuser("bench")
    lists.fill(rows)
    run = _run_with_entries(rows)
    _taken(form_xlsx.pieces(_list()))  # what is imported once
    floors = {"list": _seconds(_bare_list), "costs": _seconds(lambda: _bare_costs(run))}
    for name, table, made in (
        ("list, CSV", _list, form_csv.pieces),
        ("costs, CSV", lambda: tables.costs(run), form_csv.pieces),
        ("costs, XLSX", lambda: tables.costs(run), form_xlsx.pieces),
    ):
        yield from _figures(f"{name}, {rows:,} rows", table, made, floors[name.split(",")[0]])


def _figures(
    what: str,
    table: Callable[[], Table],
    made: Callable[[Table], Iterator[Piece]],
    floor: float,
) -> Iterator[Figure]:
    before = forget_peak()
    octets, seconds = _taken(made(table()))
    yield Figure(
        what=what,
        ours=seconds,
        unit="s",
        floor=floor,
        floor_is="bare reading and writing",
        note=f"{octets / MEGABYTE:.1f} MB",
    )
    yield Figure(
        what=f"{what}: held at most beyond what was before",
        ours=max(peak() - before, 0) / MEGABYTE,
        unit="MB",
        targets=(value(MOST_HELD),),
    )


def _taken(pieces: Iterator[Piece]) -> tuple[int, float]:
    began = perf_counter()
    return sum(len(piece.octets) for piece in pieces), perf_counter() - began


def _seconds(act: Callable[[], None]) -> float:
    began = perf_counter()
    act()
    return perf_counter() - began


def _list() -> Table:
    now = timezone.now()
    return tables.runs(filters.read(QueryDict(""), now), now, lambda run: run.run_id)


def _run_with_entries(number: int) -> Run:
    run = sync.new_run()
    for start in range(0, number, 5_000):
        UsageEntry.objects.bulk_create(
            UsageEntry(
                run=run,
                position=position,
                kind="llm",
                service="llm",
                model="anthropic/claude-sonnet-4.6",
                timestamp=timezone.now(),
                prompt_tokens=1_200,
                completion_tokens=310,
                total_tokens=1_510,
                cost_micros=position,
                entry_id=f"entry_{position}",
            )
            for position in range(start + 1, min(start + 5_000, number) + 1)
        )
    return run


def _write(rows: Any) -> None:
    writer = csv.writer(io.StringIO())
    for row in rows:
        writer.writerow(row)


def _bare_list() -> None:
    names = ("run_id", "status", "agent_id", "listed_at", "started_at", "completed_at")
    _write(Run.objects.values_list(*names, "step_count", "cost_micros").iterator(500))


def _bare_costs(run: Run) -> None:
    entries = UsageEntry.objects.filter(run=run).order_by("position")
    _write(entries.values_list(*tables.ENTRY_FIELDS).iterator(500))
