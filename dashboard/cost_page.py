"""The costs of a run: what they sum up to, by what, over what time, and every entry.

Sums are made from all entries that Case.dev still reports; a page shows WINDOW of them.
"""

import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from django.db.models.functions import Left, Length

from dashboard import fields
from dashboard.audience import Audience
from dashboard.rendering import chart, payload
from dashboard.rendering.payload import Payload
from dashboard.sizes import Octets
from runs import costs
from runs.costs import By, Total
from runs.models import Run, UsageEntry

WINDOW = 250
GROUPS_SHOWN = 8
METADATA_READ = 4_000
METADATA_VALUES = 60
KEPT_RUNS = 12

# Label, path, column, and the column of the entries that should sum to it.
SUMMARY = (
    ("Cost", "usage.summary.costMicros", "summary_cost_micros", "cost_micros"),
    ("Input tokens", "usage.summary.totalInputTokens", "total_input_tokens", "prompt_tokens"),
    (
        "Output tokens",
        "usage.summary.totalOutputTokens",
        "total_output_tokens",
        "completion_tokens",
    ),
    ("Tokens", "usage.summary.totalTokens", "total_tokens", "total_tokens"),
)
DIRECT = (
    ("Model", "usage.model", "usage_model"),
    ("Input tokens", "usage.inputTokens", "input_tokens"),
    ("Output tokens", "usage.outputTokens", "output_tokens"),
    ("Tool calls", "usage.toolCalls", "tool_calls"),
    ("Duration", "usage.durationMs", "duration_ms"),
)


class Figures(NamedTuple):
    """An entry as far as sums go."""

    kind: str
    service: str | None
    endpoint: str | None
    model: str | None
    status_code: int | None
    cost_micros: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    timestamp: dt.datetime | None
    vanished_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    by: By
    label: str
    shown: list[Total]
    folded: list[Total]
    top: int  # micro-dollars of the dearest group: the full length of a bar


@dataclass(frozen=True, slots=True)
class Sums:
    """All that the entries of a run add up to, while they are `as_of`."""

    as_of: tuple[int | None, ...]
    count: int
    total: Total
    groupings: list[Grouping]
    chart: chart.Chart | None
    untimed: int  # entries with a cost but no time, which no curve can place
    uncosted: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of the summary beside what the entries sum to; `gap` is entries minus summary."""

    field: fields.Field
    summed: int | None
    is_money: bool

    @property
    def gap(self) -> int | None:
        said = self.field.value
        return None if said is None or self.summed is None else self.summed - said


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table."""

    row: UsageEntry
    metadata: Payload
    is_error: bool


_kept: OrderedDict[tuple[int, dt.datetime], Sums] = OrderedDict()
_lock = Lock()


def totals(run: Run, audience: Audience, now: dt.datetime) -> dict[str, Any]:
    """Context of `runs/_cost.html#totals`."""
    known = sums(run) if run.entry_count is not None else None
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "cost": costs.compare(run.entries_cost_micros, run.summary_cost_micros),
        "sums": known,
        "compared": [
            Compared(
                fields.field(run, label, path, column),
                getattr(known.total, summed) if known else None,
                summed == "cost_micros",
            )
            for label, path, column, summed in SUMMARY
        ],
        "direct": [fields.field(run, *names) for names in DIRECT],
        "has_downstream": _has_downstream(run),
    }


def entries(
    run: Run, audience: Audience, now: dt.datetime, at: int | None = None
) -> dict[str, Any]:
    """Context of `runs/_cost.html#entries`: the window of entries that holds position `at`."""
    start = ((max(at or 1, 1) - 1) // WINDOW) * WINDOW + 1
    rows = list(_rows(run, start))
    last = run.entry_count or 0
    return {
        "run": run,
        "audience": audience,
        "now": now,
        "entries": rows,
        "first": start,
        "last": min(start + WINDOW - 1, last),
        "total": last,
        "earlier": start - WINDOW if start > 1 else None,
        "later": start + WINDOW if start + WINDOW <= last else None,
        "entries_absence": fields.absence(
            run, "usage.entries", None if run.entry_count is None else run.entry_count or ""
        ),
    }


def sums(run: Run) -> Sums:
    """They are made anew when an entry changes, and not when a step does."""
    key = run.pk, run.first_seen_at
    as_of = run.entries_version, run.entry_count, run.entries_cost_micros
    with _lock:
        known = _kept.get(key)
    if known is None or known.as_of != as_of:
        known = _summed(run, as_of)
    with _lock:
        _kept[key] = known
        _kept.move_to_end(key)
        while len(_kept) > KEPT_RUNS:
            _kept.popitem(last=False)
    return known


def _summed(run: Run, as_of: tuple[int | None, ...]) -> Sums:
    names = Figures._fields[:-1]
    rows = run.entries.filter(vanished_at=None).order_by("position").values_list(*names)
    figures = [Figures(*row) for row in rows]
    total, groups = costs.summed(figures)
    return Sums(
        as_of=as_of,
        count=run.entry_count or 0,
        total=total,
        groupings=[_grouping(by, found) for by, found in groups.items()],
        chart=chart.draw(costs.cumulative(figures)),
        untimed=sum(f.timestamp is None and f.cost_micros is not None for f in figures),
        uncosted=sum(f.cost_micros is None for f in figures),
    )


def _grouping(by: By, groups: list[Total]) -> Grouping:
    top = max((group.cost_micros or 0 for group in groups), default=0)
    # A fold for one or two groups would be longer than they are.
    shown = GROUPS_SHOWN if len(groups) > GROUPS_SHOWN + 2 else len(groups)
    return Grouping(by, f"By {by}", groups[:shown], groups[shown:], top)


def _has_downstream(run: Run) -> bool:
    """Whether the summary counts more tokens than the run's own model calls used."""
    pairs = (
        (run.total_input_tokens, run.input_tokens),
        (run.total_output_tokens, run.output_tokens),
    )
    return any(a is not None and b is not None and a > b for a, b in pairs)


def _rows(run: Run, start: int) -> list[Entry]:
    rows = (
        run.entries.filter(position__range=(start, start + WINDOW - 1))
        .defer("metadata")
        .annotate(
            metadata_text=Left("metadata", METADATA_READ),
            metadata_size=Octets("metadata"),
            metadata_length=Length("metadata"),
        )
        .order_by("position", "pk")
    )
    return [
        Entry(
            row,
            payload.of_json(
                row.metadata_text, row.metadata_size or 0, row.metadata_length, METADATA_VALUES
            ),
            row.is_error,
        )
        for row in rows
    ]
