"""A table as CSV: UTF-8 with a byte order mark (without it Excel takes it for another encoding),
commas, lines that end in CR LF. Texts stand in quotes, numbers do not, and what is absent is
nothing at all between two commas."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator

from dashboard.exports.cells import Cell, Row, as_text, time_text
from dashboard.exports.pieces import Piece
from dashboard.exports.tables import Table

BYTE_ORDER_MARK = "\ufeff"


def pieces(table: Table) -> Iterator[Piece]:
    yield Piece(_written([[column.label for column in table.columns]], BYTE_ORDER_MARK), 0)
    for batch in table.batches:
        yield Piece(_written(batch), len(batch))


def _written(rows: Iterable[Row], before: str = "") -> bytes:
    out = io.StringIO()
    out.write(before)
    writer = csv.writer(out, quoting=csv.QUOTE_STRINGS)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def _plain(cell: Cell) -> object:
    if isinstance(cell, str):
        return as_text(cell)
    return time_text(cell) if isinstance(cell, dt.datetime) else cell
