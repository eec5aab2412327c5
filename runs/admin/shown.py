"""How the admin shows what is stored: as it is, cut where long, and never as markup.

Absent, zero and empty stay three things here too: "not reported", "0", "none".
"""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

MICROS = 1_000_000  # in one dollar
LONG = 4_000  # characters that a page shows of one value
ABSENT = "not reported"

type Column = Callable[[Any], str]


def dollars(micros: int) -> str:
    """Exact to the micro-dollar, with at least two places: 185_100 is "$0.1851"."""
    whole, rest = divmod(abs(micros), MICROS)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{'\N{MINUS SIGN}' if micros < 0 else ''}${whole:,}.{places}"


def moment(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def octets(number: int) -> str:
    return f"{number:,} B" if number < 1_000 else f"{number / 1_000:,.1f} kB"


def muted(word: str) -> SafeString:
    return format_html('<span class="quiet">{}</span>', word)


def cut(text: str) -> SafeString:
    """Text as a block, cut where it is long."""
    if len(text) <= LONG:
        return block(text)
    return head(text[:LONG], len(text.encode("utf-8", "surrogatepass")))


def head(text: str, whole: int) -> SafeString:
    """The beginning of something that is `whole` bytes long."""
    note = f"cut: the first {len(text):,} characters of {octets(whole)}"
    return format_html('{}<p class="quiet">{}</p>', block(text), note)


def block(text: str) -> SafeString:
    return format_html('<pre class="told">{}</pre>', text)


def told(name: str, value: Any, absent: str = ABSENT) -> str:
    """The value of the field `name`; its name tells the unit."""
    match value:
        case None:
            return muted(absent)
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("_micros"):
            return dollars(value)
        case int() if name.endswith("_ms"):
            return f"{value:,} ms"
        case int():
            return f"{value:,}"
        case dt.datetime():
            return moment(value)
        case "" | [] | {}:
            return muted("none")
        case list() | dict():
            return cut(json.dumps(value, indent=1, ensure_ascii=False))
        case str() if len(value) > 120 or "\n" in value:
            return cut(value)
    return str(value)


def shown(name: str, label: str = "", absent: str = ABSENT) -> Column:
    """A column, or a line of a page, for the field `name`."""

    plain = name.removesuffix("_micros").removesuffix("_ms").replace("_", " ")

    @admin.display(description=label or plain, ordering=name)
    def column(record: Model) -> str:
        return told(name, getattr(record, name), absent)

    column.__name__ = name  # the help text of the field comes by it
    return column


def lines(*names: str, absent: str = ABSENT) -> list[Column]:
    """`shown` for each name."""
    return [shown(name, absent=absent) for name in names]


def section(title: str, *parts: str | list[Column]) -> tuple[str, Any]:
    """One entry of `fieldsets`; a bare name is left to Django, which links foreign keys."""
    fields: list[str | Column] = []
    for part in parts:
        fields += [part] if isinstance(part, str) else part
    return title, {"fields": tuple(fields)}
