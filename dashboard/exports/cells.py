"""What a cell may hold, and how text is kept from becoming a formula.

Absent, empty and zero stay three things: absent is a cell without anything, empty is an empty
text (`""` in CSV), zero is 0. Numbers stay numbers, times are UTC.

Spreadsheets take a text for a formula by its first character, some also in its full-width form or
after blanks and characters that nobody sees. In CSV such a text gets an apostrophe before it; so
does one that begins with an apostrophe, so that taking off one apostrophe before one of these
characters always gives back what was said. A workbook says of each cell that it is text, and
needs no apostrophe.
"""

import datetime as dt
import unicodedata
from decimal import Decimal
from typing import Literal, NamedTuple

type Cell = str | int | Decimal | dt.datetime | None
type Row = list[Cell]
type Kind = Literal["text", "number", "money", "time"]

MICROS = 1_000_000

# What begins a formula in some spreadsheet, plain and in its other forms.
_LEADS = frozenset("=+-@|%'\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212\uff07\t\r\n")
# Blanks and what cannot be seen, which some take away before they look.
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_FILLERS = frozenset("\u034f\u115f\u1160\u3164\uffa0\ufe0e\ufe0f")


class Column(NamedTuple):
    label: str
    kind: Kind = "text"
    width: int = 14  # in characters, as workbooks count


def as_text(text: str) -> str:
    """`text` as no spreadsheet takes it for a formula."""
    for character in text:
        if character in _LEADS:
            return f"'{text}"
        if unicodedata.category(character) not in _UNSEEN and character not in _FILLERS:
            return text
    return text


def dollars(micros: int | None) -> Decimal | None:
    """Micro-dollars as exact dollars with six decimals."""
    return None if micros is None else (Decimal(micros) / MICROS).quantize(Decimal("0.000001"))


def time_text(moment: dt.datetime) -> str:
    """In UTC, as far as it was told: "2026-11-24 10:42:07" or with ".123" or ".123456"."""
    moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    if not moment.microsecond:
        return moment.isoformat(" ", "seconds")
    exact = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    return moment.isoformat(" ", exact)
