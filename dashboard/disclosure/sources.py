"""Where the pages of a link get what they show: the record, through the serializer, or a copy."""

import datetime as dt
import zlib
from collections.abc import Iterable
from typing import Protocol

import msgspec

from dashboard.disclosure import rules, serializer
from dashboard.disclosure.rules import Part, Terms
from dashboard.disclosure.shown import Disclosure, EntryShown, LogShown, RunShown, StepShown
from dashboard.models import FrozenCopy, ShareLink
from runs.models import Run, Step


class Source(Protocol):
    @property
    def shows(self) -> frozenset[Part]: ...

    @property
    def frozen_at(self) -> dt.datetime | None: ...

    def run(self) -> RunShown: ...

    def output(self) -> str | None: ...

    def steps(self, after: int, count: int) -> list[StepShown]:
        """Steps behind position `after`; none if the link shows no timeline."""

    def step(self, position: int) -> StepShown | None: ...

    def entries(self, after: int, count: int) -> list[EntryShown]: ...

    def logs(self) -> tuple[LogShown, ...]: ...


class FromRecord:
    """Read and redacted anew for each page."""

    frozen_at = None

    def __init__(self, run: Run, terms: Terms) -> None:
        self._run, self._terms = run, terms
        self._shown: RunShown | None = None

    @property
    def shows(self) -> frozenset[Part]:
        return self._terms.shows

    def run(self) -> RunShown:
        self._shown = self._shown or serializer.run_shown(self._run, self._terms)
        return self._shown

    def output(self) -> str | None:
        return serializer.output_shown(self._run, self._terms)

    def steps(self, after: int, count: int) -> list[StepShown]:
        if Part.TIMELINE not in self._terms:
            return []
        rows = self._run.steps.present().filter(position__gt=after).order_by("position")
        return self._steps(rows[:count])

    def changed_since(self, version: int, count: int) -> list[StepShown]:
        """The first steps, by position, that came or changed after `version` of the run."""
        if Part.TIMELINE not in self._terms:
            return []
        rows = self._run.steps.present().changed_since(version).order_by("position")
        return self._steps(rows[:count])

    def _steps(self, rows: Iterable[Step]) -> list[StepShown]:
        return [serializer.step_shown(step, self._terms, self._run) for step in rows]

    def step(self, position: int) -> StepShown | None:
        found = self.steps(position - 1, 1)
        return found[0] if found and found[0].position == position else None

    def entries(self, after: int, count: int) -> list[EntryShown]:
        if Part.COST not in self._terms:
            return []
        rows = self._run.entries.filter(vanished_at=None, position__gt=after).order_by("position")
        return [serializer.entry_shown(entry, self._terms) for entry in rows[:count]]

    def logs(self) -> tuple[LogShown, ...]:
        return serializer.logs_shown(self._run, self._terms)


class FromCopy:
    """As it was; the record is not looked at."""

    def __init__(self, copy: Disclosure, frozen_at: dt.datetime) -> None:
        self._copy, self.frozen_at = copy, frozen_at

    @property
    def shows(self) -> frozenset[Part]:
        return self._copy.shows

    def run(self) -> RunShown:
        return self._copy.run

    def output(self) -> str | None:
        return self._copy.output

    def steps(self, after: int, count: int) -> list[StepShown]:
        return [step for step in self._copy.steps if step.position > after][:count]

    def step(self, position: int) -> StepShown | None:
        return next((step for step in self._copy.steps if step.position == position), None)

    def entries(self, after: int, count: int) -> list[EntryShown]:
        return [entry for entry in self._copy.entries if entry.position > after][:count]

    def logs(self) -> tuple[LogShown, ...]:
        return self._copy.logs


def of(link: ShareLink) -> Source:
    """`link` with its run and poll joined, unless it is frozen."""
    if link.is_frozen:
        copy = FrozenCopy.objects.get(link=link)
        return FromCopy(_DECODER.decode(zlib.decompress(copy.body)), copy.made_at)
    return FromRecord(link.run, rules.terms(link.shows, link.rules))


def frozen(disclosure: Disclosure) -> bytes:
    """As `FrozenCopy.body` holds it."""
    return zlib.compress(msgspec.json.encode(disclosure), 6)


_DECODER = msgspec.json.Decoder(Disclosure)
