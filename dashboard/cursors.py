"""Pages of a list by keyset: a page starts after the last row of the one before.

No offset, so the thousandth page costs what the first does, and a run that is found meanwhile
shifts nothing. Rows without a value for the sort key come last, the newest row first; the two
parts are asked one after the other, since an index can serve each but not both in one order.
"""

import base64
import datetime as dt
import json
from typing import NamedTuple

from django.db.models import F, Q, QuerySet

from runs.models import Run

LONGEST = 400
BIGGEST = 2**63 - 1

type Key = dt.datetime | dt.timedelta | int | None


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
            case dt.timedelta():
                key = self.key // dt.timedelta(microseconds=1)
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
    kind: type[dt.datetime | dt.timedelta | int]
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
        return dt.timedelta(microseconds=packed) if self.kind is dt.timedelta else packed

    def page(self, runs: QuerySet[Run], after: Cursor | None, length: int, at: dt.datetime) -> Page:
        """The `length` rows that follow `after`, and the cursor for those that follow them."""
        found: list[Run] = []
        if after is None or after.key is not None:
            found = list(self._with_key(runs, after)[: length + 1])
        if len(found) <= length and self.may_be_absent:
            found += self._without_key(runs, after)[: length + 1 - len(found)]
        shown = found[:length]
        if len(found) <= length:
            return Page(shown, None)
        last = shown[-1]
        return Page(shown, Cursor(self.column, getattr(last, self.column), last.pk, at))

    def _with_key(self, runs: QuerySet[Run], after: Cursor | None) -> QuerySet[Run]:
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

    def _without_key(self, runs: QuerySet[Run], after: Cursor | None) -> QuerySet[Run]:
        runs = runs.filter(**{f"{self.column}__isnull": True}).order_by("-pk")
        if after is not None and after.key is None:
            runs = runs.filter(pk__lt=after.pk)
        return runs


def _moment(text: object) -> dt.datetime:
    moment = dt.datetime.fromisoformat(str(text))
    # Far enough from the ends of the calendar that no time zone leads over them.
    if moment.tzinfo is None or not 1900 < moment.year < 9000:
        raise ValueError
    return moment
