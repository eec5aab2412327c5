"""Which stored rows the items of a new list are. Pure.

Case.dev promises neither stable ids nor an append-only list. Items with an id that is unique on
both sides are matched by it; of the others those with a mark that is unique among them; what is
left by its place, if nothing speaks against it. Rows that no item matches have vanished; a
vanished row that is matched again is back.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

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
    pairing = _Pairing(stored, items)
    pairing.match_unique(lambda one: one.identifier or None)
    pairing.ids_hold = bool(pairing.matched)
    pairing.match_unique(lambda one: one.mark)
    pairing.match_places()
    matched = pairing.matched
    taken = set(matched.values())
    return Alignment(
        matched=matched,
        new=[place for place in range(1, len(items) + 1) if place not in matched],
        vanished=[row.pk for row in stored if not row.vanished and row.pk not in taken],
    )


class _Pairing:
    """Items and rows that are still without each other, by position and by pk."""

    def __init__(self, stored: Sequence[Stored], items: Sequence[Item]) -> None:
        self.rows = {row.pk: row for row in stored}
        self.items = dict(enumerate(items, start=1))
        self.matched: dict[int, int] = {}
        self.ids_hold = False

    def match_unique(self, key: Callable[[Stored | Item], Hashable]) -> None:
        """Match what has a `key` that no other item, and no other row, has."""
        row_of = self._rows_by_unique(key)
        count = Counter(key(item) for item in self.items.values())
        for position, item in list(self.items.items()):
            row = row_of.get(key(item))
            if row and count[key(item)] == 1 and self._may_be(row, item):
                self._match(position, row)

    def match_places(self) -> None:
        row_at = {row.position: row for row in self.rows.values() if row.vanished}
        row_at |= {row.position: row for row in self.rows.values() if not row.vanished}
        for position, item in list(self.items.items()):
            row = row_at.get(position)
            if row and self._may_be(row, item) and (row.mark == item.mark or not row.vanished):
                self._match(position, row)

    def _match(self, position: int, row: Stored) -> None:
        self.matched[position] = row.pk
        del self.items[position], self.rows[row.pk]

    def _rows_by_unique(self, key: Callable[[Stored | Item], Hashable]) -> dict[Hashable, Stored]:
        """Present rows win over vanished ones; what is held twice matches nothing."""
        result: dict[Hashable, Stored] = {}
        for vanished in (False, True):
            rows = [row for row in self.rows.values() if row.vanished is vanished]
            count = Counter(map(key, rows))
            for row in rows:
                if key(row) is not None and count[key(row)] == 1:
                    result.setdefault(key(row), row)
        return result

    def _may_be(self, row: Stored, item: Item) -> bool:
        """Ids may be missing, repeated, or made anew with each answer; then the mark decides."""
        if not row.identifier or not item.identifier or row.identifier == item.identifier:
            return True
        return not self.ids_hold and row.mark == item.mark
