"""What a run cost, summed from its usage entries, and whether the sums agree.

All costs are whole micro-dollars; None means not reported and is never taken for zero. An entry
that the API no longer lists (`vanished_at`) is in no sum.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

type By = Literal["kind", "service", "endpoint", "model"]

ERROR_FROM = 400  # status codes from here on tell of a failed call


class Costed(Protocol):
    """What a sum needs of an entry; `UsageEntry` has it all."""

    @property
    def kind(self) -> str: ...
    @property
    def service(self) -> str | None: ...
    @property
    def endpoint(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def status_code(self) -> int | None: ...
    @property
    def cost_micros(self) -> int | None: ...
    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def completion_tokens(self) -> int | None: ...
    @property
    def total_tokens(self) -> int | None: ...
    @property
    def timestamp(self) -> dt.datetime | None: ...
    @property
    def vanished_at(self) -> dt.datetime | None: ...


class Summarised(Protocol):
    """A run, as far as its summary goes."""

    @property
    def summary_cost_micros(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Entries against `usage.summary`. `difference_micros` is entries minus summary."""

    entries_micros: int | None
    summary_micros: int | None
    difference_micros: int | None
    adds_up: bool | None


@dataclass(frozen=True, slots=True)
class Total:
    """One group. `label` is None where entries name no service, endpoint or model."""

    label: str | None
    count: int
    errors: int
    cost_micros: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


def reconcile(run: Summarised, entries: Iterable[Costed]) -> Reconciliation:
    return compare(_sum(entry.cost_micros for entry in _present(entries)), run.summary_cost_micros)


def compare(entries_micros: int | None, summary_micros: int | None) -> Reconciliation:
    """The same from sums that are already known."""
    if entries_micros is None or summary_micros is None:
        return Reconciliation(entries_micros, summary_micros, None, None)
    difference = entries_micros - summary_micros
    return Reconciliation(entries_micros, summary_micros, difference, difference == 0)


def totals(entries: Iterable[Costed], by: By) -> list[Total]:
    """A total a group, the dearest first; groups without any reported cost come last."""
    groups: dict[str | None, list[Costed]] = {}
    for entry in _present(entries):
        groups.setdefault(getattr(entry, by) or None, []).append(entry)
    found = [_total(label, members) for label, members in groups.items()]
    return sorted(
        found, key=lambda t: (t.cost_micros is None, -(t.cost_micros or 0), -t.count, t.label or "")
    )


def total(entries: Iterable[Costed]) -> Total:
    """All entries as one group."""
    return _total(None, list(_present(entries)))


def cumulative(entries: Iterable[Costed]) -> list[tuple[dt.datetime, int]]:
    """The running total after each moment at which a cost arose, in the order of time.

    Entries without a time or a cost cannot be placed and are left out.
    """
    timed: dict[dt.datetime, int] = {}
    for entry in _present(entries):
        if entry.timestamp is not None and entry.cost_micros is not None:
            timed[entry.timestamp] = timed.get(entry.timestamp, 0) + entry.cost_micros
    points = []
    running = 0
    for moment in sorted(timed):
        running += timed[moment]
        points.append((moment, running))
    return points


def _present(entries: Iterable[Costed]) -> Iterable[Costed]:
    return (entry for entry in entries if entry.vanished_at is None)


def _total(label: str | None, members: list[Costed]) -> Total:
    return Total(
        label=label,
        count=len(members),
        errors=sum((entry.status_code or 0) >= ERROR_FROM for entry in members),
        cost_micros=_sum(entry.cost_micros for entry in members),
        prompt_tokens=_sum(entry.prompt_tokens for entry in members),
        completion_tokens=_sum(entry.completion_tokens for entry in members),
        total_tokens=_sum(entry.total_tokens for entry in members),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum of what was reported; None when nothing was."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
