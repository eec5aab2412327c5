"""What a run cost, summed from its usage entries, and whether the sums agree.

All costs are whole micro-dollars; None means not reported and is never taken for zero. An entry
that the API no longer lists (`vanished_at`) is in no sum.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

type By = Literal["kind", "service", "endpoint", "model"]

GROUPINGS: tuple[By, ...] = ("kind", "service", "endpoint", "model")
type _Numbers = tuple[int | None, ...]  # as in Total; None: not reported
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

    label: str | None = None
    count: int = 0
    errors: int = 0
    cost_micros: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Summed(NamedTuple):
    """All entries as one group, and groups by each name: the dearest first, and those without any
    reported cost last."""

    total: Total
    groups: dict[By, list[Total]]


def reconcile(run: Summarised, entries: Iterable[Costed]) -> Reconciliation:
    return compare(_sum(entry.cost_micros for entry in _present(entries)), run.summary_cost_micros)


def compare(entries_micros: int | None, summary_micros: int | None) -> Reconciliation:
    """The same from sums that are already known."""
    if entries_micros is None or summary_micros is None:
        return Reconciliation(entries_micros, summary_micros, None, None)
    difference = entries_micros - summary_micros
    return Reconciliation(entries_micros, summary_micros, difference, difference == 0)


def summed(entries: Iterable[Costed], by: Sequence[By] = GROUPINGS) -> Summed:
    """The entries are gone through once; what is alike in all of `by` is added up first."""
    alike: dict[tuple[str | None, ...], list[_Numbers]] = {}
    for entry in _present(entries):
        labels = tuple([getattr(entry, name) for name in by])
        alike.setdefault(labels, []).append(_numbers(entry))
    parts = {labels: _added(numbers) for labels, numbers in alike.items()}
    whole = _total(None, _added([*parts.values()])) if parts else Total()
    return Summed(whole, {name: _groups(parts, place) for place, name in enumerate(by)})


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


def _groups(parts: Mapping[tuple[str | None, ...], _Numbers], place: int) -> list[Total]:
    groups: dict[str | None, list[_Numbers]] = {}
    for labels, numbers in parts.items():
        groups.setdefault(labels[place] or None, []).append(numbers)
    found = [_total(label, _added(numbers)) for label, numbers in groups.items()]
    return sorted(
        found, key=lambda t: (t.cost_micros is None, -(t.cost_micros or 0), -t.count, t.label or "")
    )


def _numbers(entry: Costed) -> _Numbers:
    return (
        1,
        int((entry.status_code or 0) >= ERROR_FROM),
        entry.cost_micros,
        entry.prompt_tokens,
        entry.completion_tokens,
        entry.total_tokens,
    )


def _added(numbers: Sequence[_Numbers]) -> _Numbers:
    return numbers[0] if len(numbers) == 1 else tuple(map(_sum, zip(*numbers, strict=True)))


def _total(label: str | None, numbers: _Numbers) -> Total:
    count, errors, *others = numbers
    return Total(label, count or 0, errors or 0, *others)


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum of what was reported; None when nothing was."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
