"""Which places of a run hold the steps that are asked for: read a window at a time, by index.

A place is a position; where a step vanished and another stands, it counts twice. Nothing here
grows with the run: each kind of step (`runs.tally.Kind`) is a range of the index
`timeline_filters`, and those of a filter are merged.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import connection
from django.db.models import QuerySet

from dashboard import outline as outlines
from dashboard.outline import Brief
from runs.models import Run, Step
from runs.tally import OTHERS, Kind, Tally

MOST_RANGES = 60  # merged in one query; beyond, the steps themselves are looked through


class Places(Protocol):
    @property
    def count(self) -> int: ...

    def after(self, position: int, number: int) -> list[int]:
        """The next `number` places behind `position`, in order."""

    def before(self, position: int, number: int) -> list[int]:
        """The last `number` places before `position`, in order."""

    def steps(self, places: Sequence[int]) -> list[Brief]:
        """The steps of a window."""


@dataclass(frozen=True, slots=True)
class Every:
    """All steps; those no longer reported stand where they stood."""

    run: Run
    tally: Tally

    @property
    def count(self) -> int:
        return self.tally.total + self.tally.gone

    def _parts(self) -> list[QuerySet[Step]]:
        parts: list[QuerySet[Step]] = [self.run.steps.present()]
        return [*parts, self.run.steps.gone()] if self.tally.gone else parts

    def after(self, position: int, number: int) -> list[int]:
        return merged(self._parts(), position, number)

    def before(self, position: int, number: int) -> list[int]:
        return merged_back(self._parts(), position, number)

    def steps(self, places: Sequence[int]) -> list[Brief]:
        if not places:
            return []
        span = {"position__range": (places[0], places[-1])}
        found = outlines.briefs(self.run.steps.present().filter(**span))
        if self.tally.gone:
            found += outlines.briefs(self.run.steps.gone().filter(**span))
        return outlines.in_order(found)


@dataclass(frozen=True, slots=True)
class Few:
    """Rows that only a condition tells, such as steps that are no longer reported."""

    rows: QuerySet[Step]

    @property
    def count(self) -> int:
        return self.rows.count()

    def after(self, position: int, number: int) -> list[int]:
        return merged([self.rows], position, number)

    def before(self, position: int, number: int) -> list[int]:
        return merged_back([self.rows], position, number)

    def steps(self, places: Sequence[int]) -> list[Brief]:
        if not places:
            return []
        return outlines.briefs(self.rows.filter(position__range=(places[0], places[-1])))


@dataclass(frozen=True, slots=True)
class OfKinds:
    """Steps of some kinds, each a range of the index."""

    run: Run
    kinds: tuple[Kind, ...]
    count: int

    def _parts(self) -> list[QuerySet[Step]]:
        return [
            # `in`, since "not failed" is no range of an index to SQLite.
            self.run.steps.present().filter(
                type=kind.type, tool_name=kind.tool, failed__in=[kind.failed]
            )
            for kind in self.kinds
        ]

    def after(self, position: int, number: int) -> list[int]:
        return merged(self._parts(), position, number)

    def before(self, position: int, number: int) -> list[int]:
        return merged_back(self._parts(), position, number)

    def steps(self, places: Sequence[int]) -> list[Brief]:
        return outlines.at(self.run, places)


@dataclass(frozen=True, slots=True)
class Listed:
    """Steps whose positions are known already."""

    run: Run
    positions: Sequence[int]

    @property
    def count(self) -> int:
        return len(self.positions)

    def after(self, position: int, number: int) -> list[int]:
        start = bisect_right(self.positions, position)
        return list(self.positions[start : start + number])

    def before(self, position: int, number: int) -> list[int]:
        stop = bisect_left(self.positions, position)
        return list(self.positions[max(stop - number, 0) : stop])

    def steps(self, places: Sequence[int]) -> list[Brief]:
        return outlines.at(self.run, places)


def of_kinds(
    run: Run, tally: Tally, types: Sequence[str], tools: Sequence[str], *, failed: bool
) -> Places:
    """Reported steps of one of `types`, with one of `tools`; empty: of any."""
    kinds = {
        kind: count
        for kind, count in tally.kinds.items()
        if (not types or kind.type in (*types, OTHERS))
        and (not tools or (kind.tool or "") in (*tools, OTHERS))
        and (not failed or kind.failed)
    }
    is_vague = any(OTHERS in (kind.type, kind.tool) for kind in kinds)
    if not is_vague and len(kinds) <= MOST_RANGES:
        return OfKinds(run, tuple(kinds), sum(kinds.values()))
    return Few(narrowed(run.steps.present(), types, tools, failed=failed))


def narrowed(
    steps: QuerySet[Step], types: Sequence[str], tools: Sequence[str], *, failed: bool
) -> QuerySet[Step]:
    if types:
        steps = steps.filter(type__in=types)
    if tools:
        steps = outlines.with_tools(steps, tools)
    return steps.filter(failed=True) if failed else steps


def merged(parts: Sequence[QuerySet[Step]], position: int, number: int) -> list[int]:
    """The first `number` positions behind `position` over all `parts`."""
    return _merged(
        [part.filter(position__gt=position).order_by("position") for part in parts], number
    )


def merged_back(parts: Sequence[QuerySet[Step]], position: int, number: int) -> list[int]:
    found = [part.filter(position__lt=position).order_by("-position") for part in parts]
    return _merged(found, number, is_back=True)


def _merged(parts: Sequence[QuerySet[Step]], number: int, *, is_back: bool = False) -> list[int]:
    # By hand: Django merges no parts that have an end on SQLite.
    statements: list[str] = []
    values: list[Any] = []
    for part in parts:
        statement, given = part.values_list("position")[:number].query.sql_with_params()
        statements.append(f"SELECT * FROM ({statement}) AS part_{len(statements)}")
        values += given
    if not statements:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(statements), values)
        found = sorted(position for (position,) in cursor.fetchall())
    return found[-number:] if is_back else found[:number]
