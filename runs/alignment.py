"""Which stored rows the items of a new list are. Pure.

Case.dev promises neither stable ids nor an append-only list. Items with an id that is unique on
both sides are matched by it; the others by their place, if nothing speaks against it. Rows that
no item matches have vanished; a vanished row that is matched again is back.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import msgspec


class Stored(msgspec.Struct, frozen=True):
    pk: int
    position: int
    identifier: str | None
    mark: Hashable
    vanished: bool


class Item(msgspec.Struct, frozen=True):
    """`mark` is what an item keeps for life besides its id, such as type and time."""

    identifier: str | None
    mark: Hashable


class Alignment(msgspec.Struct, frozen=True):
    """Positions count from 1 and are those of the new list."""

    matched: dict[int, int]  # position -> pk of the stored row
    new: list[int]  # positions without a row
    vanished: list[int]  # pks of rows, present until now, without an item


def align(stored: Sequence[Stored], items: Sequence[Item]) -> Alignment:
    """Match `items`, in list order, to the rows `stored`."""
    row_of_id = _by_unique_id(stored)
    count = Counter(item.identifier for item in items)
    matched: dict[int, int] = {}
    for position, item in enumerate(items, start=1):
        if item.identifier and count[item.identifier] == 1 and item.identifier in row_of_id:
            matched[position] = row_of_id[item.identifier].pk
    taken = set(matched.values())
    by_place = _by_place(stored, taken)
    for position, item in enumerate(items, start=1):
        row = by_place.get(position)
        if position not in matched and row and _may_be_same(row, item):
            matched[position] = row.pk
            taken.add(row.pk)
    return Alignment(
        matched=matched,
        new=[place for place in range(1, len(items) + 1) if place not in matched],
        vanished=[row.pk for row in stored if not row.vanished and row.pk not in taken],
    )


def _by_unique_id(stored: Sequence[Stored]) -> dict[str, Stored]:
    """Present rows win over vanished ones of the same id; ids held twice match nothing."""
    result: dict[str, Stored] = {}
    for vanished in (False, True):
        rows = [row for row in stored if row.vanished is vanished and row.identifier]
        count = Counter(row.identifier for row in rows)
        for row in rows:
            if row.identifier and count[row.identifier] == 1:
                result.setdefault(row.identifier, row)
    return result


def _by_place(stored: Sequence[Stored], taken: set[int]) -> dict[int, Stored]:
    """Rows that no id matched, by position; a present row wins over a vanished one."""
    rows = [row for row in stored if row.pk not in taken]
    return {row.position: row for row in sorted(rows, key=lambda row: not row.vanished)}


def _may_be_same(row: Stored, item: Item) -> bool:
    """Ids may be missing, repeated, or made anew with each answer; then the mark decides."""
    same_id = row.identifier is None or item.identifier in (None, row.identifier)
    return same_id or row.mark == item.mark
