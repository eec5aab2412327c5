"""Pages of a list by keyset: a page starts after the last row of the one before.

No offset, so the thousandth page costs what the first does, and a run that is found meanwhile
shifts nothing. Rows without a value for the sort key come last, the newest row first; the two
parts are asked one after the other, since an index can serve each but not both in one order.

A page's keys are asked for first, and then its rows: the index of an order holds status and agent
too, so the way to fifty rows of some agent reads none of the others, which are wide.
"""

import base64
import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from django.db.models import F, Q, QuerySet

from runs.models import Run

LONGEST = 400
BIGGEST = 2**63 - 1

type Key = dt.datetime | int | None
type Shown = Callable[[QuerySet[Run]], QuerySet[Run]]


class CursorError(ValueError):
    """The text is no cursor, or one of another order."""


class Cursor(NamedTuple):
    """The last row of a page. `at` is the moment against which active runs were measured: the
    whole walk must use the same, or a running run would move from page to page."""

    column: str
    key: Key
    pk: int
    at: dt.datetime

    def encode(self) -> str:
        match self.key:
            case dt.datetime():
                key: str | int | None = self.key.isoformat()
            case _:
                key = self.key
        packed = json.dumps([self.column, key, self.pk, self.at.isoformat()], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


class Page(NamedTuple):
    runs: list[Run]
    next: Cursor | None


class Order(NamedTuple):
    """By `column` (or an annotation) whose values are of `kind`; ties by the row's number."""

    column: str
    kind: type[dt.datetime | int]
    is_descending: bool = True
    may_be_absent: bool = True

    def decode(self, text: str) -> Cursor:
        """Raises `CursorError`, whatever the text is."""
        if len(text) > LONGEST:
            raise CursorError
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            column, key, pk, at = json.loads(packed)
            cursor = Cursor(column, self._key(key), pk, _moment(at))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise CursorError from error
        if column != self.column or type(pk) is not int or not 0 < pk <= BIGGEST:
            raise CursorError
        return cursor

    def _key(self, packed: object) -> Key:
        if packed is None:
            return None
        if self.kind is dt.datetime:
            return _moment(packed)
        if type(packed) is not int or abs(packed) > BIGGEST:
            raise ValueError
        return packed

    def page(
        self,
        runs: QuerySet[Run],
        shown: Shown,
        after: Cursor | None,
        length: int,
        at: dt.datetime,
        bounds: Mapping[str, Key] | None = None,
    ) -> Page:
        """The `length` runs that follow `after`, as `shown` makes them, and the cursor for those
        that follow them.

        `bounds`: lookups of the column that all rows with a value for it are known to fulfil.
        """
        found: list[tuple[Key, int]] = []
        if after is None or after.key is not None:
            known = {f"{self.column}__{name}": key for name, key in (bounds or {}).items() if key}
            found = self.places(self.with_key(runs.filter(**known), after), length + 1)
        if len(found) <= length and self.may_be_absent:
            found += self.places(self.without_key(runs, after), length + 1 - len(found))
        return _page(self.column, found, shown, length, at)

    def places(self, runs: QuerySet[Run], number: int) -> list[tuple[Key, int]]:
        return list(runs.values_list(self.column, "pk")[:number])

    def with_key(self, runs: QuerySet[Run], after: Cursor | None) -> QuerySet[Run]:
        column, beyond = self.column, "lt" if self.is_descending else "gt"
        if self.is_descending:
            runs = runs.order_by(F(column).desc(), F("pk").desc())
        else:
            runs = runs.order_by(F(column).asc(), F("pk").asc())
        if self.may_be_absent:
            runs = runs.filter(**{f"{column}__isnull": False})
        if after is None:
            return runs
        # The first condition follows from the second; it lets an index find the start.
        return runs.filter(
            Q(**{f"{column}__{beyond}e": after.key}),
            Q(**{f"{column}__{beyond}": after.key}) | Q(**{f"pk__{beyond}": after.pk}),
        )

    def without_key(self, runs: QuerySet[Run], after: Cursor | None) -> QuerySet[Run]:
        # By the column too, although all have none: so an index on both is known to be in order.
        order = F(self.column).desc(), F("pk").desc()
        runs = runs.filter(**{f"{self.column}__isnull": True}).order_by(*order)
        if after is not None and after.key is None:
            runs = runs.filter(pk__lt=after.pk)
        return runs


LASTED = Order("lasted_micros", int)
LASTED_MOST = dt.timedelta(days=300 * 365)  # before which no run began, whatever a cursor says


def by_length(
    runs: QuerySet[Run], shown: Shown, after: Cursor | None, length: int, at: dt.datetime
) -> Page:
    """Runs by how long they took, those that go on by how long they had gone on at `at`.

    Both kinds come in the order of an index of their own, and are merged. Those without a start or
    an end come last.
    """
    found: list[tuple[Key, int]] = []
    if after is None or after.key is not None:
        ended = LASTED.places(LASTED.with_key(runs, after), length + 1)
        found = sorted([*ended, *_going(runs, after, length + 1, at)], reverse=True)[: length + 1]
    if len(found) <= length:
        rest = LASTED.without_key(runs.filter(going_since=None), after)
        found += LASTED.places(rest, length + 1 - len(found))
    return _page(LASTED.column, found, shown, length, at)


def _going(
    runs: QuerySet[Run], after: Cursor | None, number: int, at: dt.datetime
) -> list[tuple[Key, int]]:
    going = runs.filter(going_since__isnull=False)
    if after is not None:
        reached = dt.timedelta(microseconds=int(after.key))  # type: ignore[arg-type]
        begun = at - min(max(reached, dt.timedelta(0)), LASTED_MOST)
        going = going.filter(going_since__gte=begun)
        going = going.filter(Q(going_since__gt=begun) | Q(pk__lt=after.pk))
    places = going.order_by("going_since", "-pk").values_list("going_since", "pk")[:number]
    return [((at - since) // dt.timedelta(microseconds=1), pk) for since, pk in places if since]


def _page(
    column: str, found: Sequence[tuple[Key, int]], shown: Shown, length: int, at: dt.datetime
) -> Page:
    """`found`: one more than `length`, if there are more."""
    places = found[:length]
    rows = shown(Run.objects.filter(pk__among=[pk for _, pk in places]))
    runs = {run.pk: run for run in rows}
    told = [runs[pk] for _, pk in places if pk in runs]  # but for one that was deleted meanwhile
    if len(found) <= length:
        return Page(told, None)
    key, pk = places[-1]
    return Page(told, Cursor(column, key, pk, at))


def _moment(text: object) -> dt.datetime:
    moment = dt.datetime.fromisoformat(str(text))
    # Far enough from the ends of the calendar that no time zone leads over them.
    if moment.tzinfo is None or not 1900 < moment.year < 9000:
        raise ValueError
    return moment
