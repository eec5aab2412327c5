"""The steps, the costs and the list of runs as tables: the rows of the page, in its order.

A table's batches are read one after another, each by its key and not by an open cursor, so that a
slow browser holds nothing in the database.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.db.models import Q

from dashboard import filters, rows, timeline
from dashboard.audience import STAFF
from dashboard.exports.cells import Column, Row, dollars
from dashboard.saved.columns import COLUMNS
from dashboard.sizes import Octets
from dashboard.step_lines import Line
from dashboard.templatetags.runsheet import opening, remark_on
from dashboard.timeline import Asked
from runs import agents, stalls
from runs.models import Run, Step, UsageEntry

TEXTS_AT_ONCE = 2_000_000  # bytes of steps' texts in memory, unless one step alone has more
ENTRIES_AT_ONCE = 500
RUNS_AT_ONCE = 500


class Table(NamedTuple):
    """`total` is how many rows there will be, None where counting would cost more than it tells."""

    name: str
    columns: tuple[Column, ...]
    batches: Iterator[Sequence[Row]]
    total: int | None


# Steps ---------------------------------------------------------------------------------------

STEP_COLUMNS = (
    Column("Step", "number", 7),
    Column("Type"),
    Column("Tool", width=20),
    Column("What it did", width=60),
    Column("State", width=9),
    Column("Time (UTC)", "time", 23),
    Column("Duration (ms)", "number"),
    Column("Silence before (ms)", "number"),
    Column("Answered in step", "number"),
    Column("Answers step", "number"),
    Column("Content", width=60),
    Column("Input (JSON)", width=40),
    Column("Output (JSON)", width=60),
    Column("Labels", width=20),
    Column("Step id", width=24),
    Column("No longer reported since (UTC)", "time", 23),
)
TEXTS = ("content", "tool_input", "tool_output", "step_id")


def steps(run: Run, now: dt.datetime, asked: Asked | None = None) -> Table:
    """All steps that the timeline shows for the same question, vanished ones where they stood."""
    asked = replace(asked or Asked(), at=None, before=None, after=0)
    first = timeline.page(run, STAFF, now, asked)["window"]
    return Table("steps", STEP_COLUMNS, _step_batches(run, now, asked, first), first.matching)


def _step_batches(
    run: Run, now: dt.datetime, asked: Asked, window: timeline.Window
) -> Iterator[list[Row]]:
    """From window to window of the timeline itself, so that a file shows what the page shows."""
    while window.lines:
        told = {line.pk: line for line in window.lines}
        for group in _by_size(list(told)):
            texts = {row[0]: row[1:] for row in _texts(group)}
            yield [_step_row(told[pk], *texts[pk]) for pk in group if pk in texts]
        window = timeline.page(run, STAFF, now, replace(asked, after=window.last))["window"]


def _by_size(pks: list[int]) -> Iterator[list[int]]:
    """`pks` in groups whose texts fit in memory together."""
    sizes = Step.objects.filter(pk__in=pks).values_list(
        "pk", Octets("content"), Octets("tool_input"), Octets("tool_output")
    )
    size_of = {pk: sum(size or 0 for size in texts) for pk, *texts in sizes}
    group: list[int] = []
    held = 0
    for pk in pks:
        if group and held + size_of.get(pk, 0) > TEXTS_AT_ONCE:
            yield group
            group, held = [], 0
        group.append(pk)
        held += size_of.get(pk, 0)
    if group:
        yield group


def _texts(pks: list[int]) -> Any:
    return Step.objects.filter(pk__in=pks).values_list("pk", *TEXTS)


def _step_row(
    line: Line, content: str | None, given: str | None, output: str | None, step_id: str | None
) -> Row:
    return [
        line.position,
        line.type,
        line.tool,
        line.caption.plain if line.caption else None,
        line.state or None,
        line.timestamp,
        line.duration_ms,
        None if line.gap is None else line.gap // dt.timedelta(milliseconds=1),
        line.answer,
        line.question,
        content,
        given,
        output,
        ", ".join(line.labels) or None,
        step_id,
        line.vanished_at,
    ]


# Costs ---------------------------------------------------------------------------------------

ENTRY_COLUMNS = (
    Column("Entry", "number", 7),
    Column("Time (UTC)", "time", 23),
    Column("Kind", width=7),
    Column("Service"),
    Column("Method", width=9),
    Column("Endpoint", width=40),
    Column("Status", "number", 8),
    Column("Model", width=28),
    Column("Prompt tokens", "number"),
    Column("Completion tokens", "number"),
    Column("Tokens", "number"),
    Column("Cost (US$)", "money"),
    Column("Cost (micro-dollars)", "number"),
    Column("Entry id", width=24),
    Column("Metadata (JSON)", width=40),
    Column("No longer reported since (UTC)", "time", 23),
)
ENTRY_FIELDS = (
    *("position", "timestamp", "kind", "service", "method", "endpoint", "status_code", "model"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cost_micros", "entry_id"),
    *("metadata", "vanished_at"),
)


def costs(run: Run) -> Table:
    total = UsageEntry.objects.filter(run=run).count()
    return Table("costs", ENTRY_COLUMNS, _entry_batches(run), total)


def _entry_batches(run: Run) -> Iterator[list[Row]]:
    position, pk = 0, 0
    entries = UsageEntry.objects.filter(run_id=run.pk).order_by("position", "pk")
    while True:
        after = Q(position=position, pk__gt=pk) | Q(position__gt=position)
        found = list(entries.filter(after).values_list("pk", *ENTRY_FIELDS)[:ENTRIES_AT_ONCE])
        if not found:
            return
        yield [_entry_row(*values) for _, *values in found]
        pk, position = found[-1][:2]


def _entry_row(*values: Any) -> Row:
    *first, micros, entry_id, metadata, vanished_at = values
    return [*first, dollars(micros), micros, entry_id, metadata, vanished_at]


# The list ------------------------------------------------------------------------------------

RUN_COLUMNS = (
    Column("Run", width=24),
    Column("Status"),
    Column("Remark"),
    Column("Request"),
    Column("Agent"),
    Column("Agent id"),
    Column("Model"),
    Column("Created (UTC)", "time"),
    Column("Started (UTC)", "time"),
    Column("Ended (UTC)", "time"),
    Column("Elapsed (ms)", "number"),
    Column("Steps", "number"),
    Column("Tool calls", "number"),
    Column("Cost (US$)", "money"),
    Column("Cost (micro-dollars)", "number"),
    Column("As of (UTC)", "time"),
    Column("Address"),
)


def run_columns(shown: tuple[str, ...] | None) -> list[int]:
    """Which of RUN_COLUMNS a file of the list has: id and address of each run, and between them
    what the list shows, in its order; all for None."""
    places = {column.label: at for at, column in enumerate(RUN_COLUMNS)}
    if shown is None:
        return list(places.values())
    written = [label for name in shown for label in COLUMNS[name].written]
    return [places[label] for label in ("Run", *written, "Address")]


def runs(
    asked: filters.Asked,
    now: dt.datetime,
    address_of: Callable[[Run], str],
    shown: tuple[str, ...] | None = None,
) -> Table:
    """All that the list shows for the same question, from its first page to its last, in the
    columns `shown`; None for all that there are."""
    chosen = run_columns(shown)
    counted = filters.how_many(filters.matching(asked))
    total = counted if counted <= filters.MOST_COUNTED else None
    batches = (
        [[row[at] for at in chosen] for row in batch]
        for batch in _run_batches(asked, now, address_of)
    )
    return Table("runs", tuple(RUN_COLUMNS[at] for at in chosen), batches, total)


def _run_batches(
    asked: filters.Asked, now: dt.datetime, address_of: Callable[[Run], str]
) -> Iterator[list[Row]]:
    asked.after = None
    while True:
        page = filters.page(filters.matching(asked), rows.for_rows, asked, RUNS_AT_ONCE, now)
        names = agents.names(run.agent_id for run in page.runs)
        stalls.prepare(page.runs, now)
        yield [_run_row(run, now, names, address_of(run)) for run in page.runs]
        if page.next is None:
            return
        asked.after = page.next


def _run_row(run: Run, now: dt.datetime, names: dict[str, str], address: str) -> Row:
    elapsed = run.elapsed(now)
    remark = remark_on(run, now)
    as_of = run.poll.last_ok_at if hasattr(run, "poll") else None
    is_read = as_of is not None or run.step_count > 0
    prompt: str | None = run.opening  # type: ignore[attr-defined]
    return [
        run.run_id,
        run.status,
        remark.word if remark else None,
        None if prompt is None else opening(prompt),
        names.get(run.agent_id or ""),
        run.agent_id,
        run.effective_model,
        run.listed_at,
        run.started_at,
        run.completed_at,
        None if elapsed is None else elapsed // dt.timedelta(milliseconds=1),
        run.step_count if is_read else None,
        run.tool_call_count if is_read else None,
        dollars(run.cost_micros),
        run.cost_micros,
        as_of,
        address,
    ]
