"""A table as an Excel workbook, written row by row to a file on disk that nobody else can see.

Every text is written as text: none becomes a formula, a number or a link. Excel takes no more than
32,767 characters in a cell; what is longer is cut, and says so at its end. Numbers of more than 15
digits are written as text, since Excel would round them.
"""

import datetime as dt
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

import xlsxwriter

from dashboard.exports.cells import Cell, Column, Row
from dashboard.exports.pieces import Piece
from dashboard.exports.tables import Table

LONGEST_TEXT = 32_767
LARGEST_EXACT = 10**15
CHUNK = 256 * 1024
OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
FORMATS = {"money": "$#,##0.000000", "time": "yyyy-mm-dd hh:mm:ss.000", "number": "#,##0"}
# The first day that an Excel sheet can tell, and the last.
FIRST_DAY, LAST_DAY = dt.datetime(1900, 3, 1), dt.datetime(9999, 12, 31)


def pieces(table: Table) -> Iterator[Piece]:
    """Rows are told while they are written; the file itself comes at the end, since a workbook is
    an archive whose table of contents stands last."""
    with (
        tempfile.TemporaryDirectory(prefix="runsheet-") as folder,
        tempfile.TemporaryFile(dir=folder) as file,
    ):
        for rows in _write(table, file, folder):
            yield Piece(b"", rows)
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield Piece(chunk, 0)


def _write(table: Table, file: IO[bytes], folder: str) -> Iterator[int]:
    with xlsxwriter.Workbook(file, OPTIONS | {"tmpdir": folder}) as book:
        book.set_size(2400, 1400)
        formats = {kind: book.add_format({"num_format": form}) for kind, form in FORMATS.items()}
        sheet = book.add_worksheet(table.name.capitalize())
        sheet.freeze_panes(1, 1)
        for at, column in enumerate(table.columns):
            sheet.set_column(at, at, column.width)
        head = book.add_format({"bold": True, "bottom": 1})
        for at, column in enumerate(table.columns):
            sheet.write_string(0, at, column.label, head)
        number = 0
        for batch in table.batches:
            for row in batch:
                number += 1
                _write_row(sheet, number, row, table.columns, formats)
            yield len(batch)
        sheet.autofilter(0, 0, number, len(table.columns) - 1)


def _write_row(
    sheet: Any, number: int, row: Row, columns: tuple[Column, ...], formats: dict[str, Any]
) -> None:
    for at, (cell, column) in enumerate(zip(row, columns, strict=True)):
        match _fitted(cell):
            case None:
                continue
            case str(text):
                sheet.write_string(number, at, text)
            case dt.datetime() as moment:
                sheet.write_datetime(number, at, moment, formats["time"])
            case int() | Decimal() as figure:
                sheet.write_number(number, at, figure, formats[column.kind])


def _fitted(cell: Cell) -> Cell:
    """What Excel can hold of it."""
    if isinstance(cell, str) and len(cell) > LONGEST_TEXT:
        note = f"… [cut here by Excel's limit: {len(cell):,} characters in all, whole in the CSV]"
        return cell[: LONGEST_TEXT - len(note)] + note
    if isinstance(cell, dt.datetime):
        moment = cell.astimezone(dt.UTC).replace(tzinfo=None)
        return moment if FIRST_DAY <= moment <= LAST_DAY else moment.isoformat(" ")
    if isinstance(cell, int) and abs(cell) >= LARGEST_EXACT:
        return str(cell)
    return cell
