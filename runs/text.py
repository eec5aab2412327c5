"""The one place where untrusted text and JSON become storable, the same on every database.

PostgreSQL refuses NUL and lone surrogates, SQLite takes them; `json` accepts NaN, `msgspec` does
not. What is changed here is changed for both; the bytes as they came are kept in `Payload`.
"""

import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any

import msgspec

NUL_SHOWN = "\u2400"  # SYMBOL FOR NULL
REPLACED = "\ufffd"
_TROUBLE = re.compile("[\x00\ud800-\udfff]")
_encoder = msgspec.json.Encoder(decimal_format="number")
LONGEST = 2**63 - 1


class NotJSON(ValueError):
    """The bytes are not JSON that can be read within limits; the message says why."""


def clean(text: str) -> str:
    """`text` without NUL and lone surrogates, each replaced by a visible character."""
    if text.isascii() and "\x00" not in text:
        return text
    return _TROUBLE.sub(lambda found: NUL_SHOWN if found[0] == "\x00" else REPLACED, text)


def fit(text: str, length: int) -> str:
    """`text` for a column of `length` characters; an ellipsis tells that it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def whole(number: int) -> int | None:
    """`number` if a 64-bit column can hold it."""
    return number if -LONGEST <= number <= LONGEST else None


def moment(text: str) -> dt.datetime | None:
    """An ISO 8601 time in UTC; a time without a zone is taken as UTC. None if it is none."""
    try:
        parsed = dt.datetime.fromisoformat(text.strip())
        if parsed.tzinfo is None:
            return parsed.replace(tzinfo=dt.UTC)
        return parsed.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def utf8(body: bytes) -> bytes:
    """`body` as valid UTF-8 without a byte order mark; invalid bytes become U+FFFD."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode("utf-8")
    return body


def repaired(body: bytes) -> bytes:
    """JSON that strict parsers refuse (lone surrogates, NaN, Infinity), written anew.

    Numbers keep their digits. Raises NotJSON for what is not JSON at all, or too deep to read.
    """
    try:
        value = json.loads(body, parse_constant=str, parse_float=Decimal, parse_int=Decimal)
        return _encoder.encode(_clean_deep(value))
    except RecursionError as error:
        raise NotJSON("it is nested too deeply") from error
    except (ValueError, ArithmeticError) as error:
        raise NotJSON("it is not JSON") from error


def _clean_deep(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case list():
            return [_clean_deep(item) for item in value]
        case dict():
            return {clean(key): _clean_deep(item) for key, item in value.items()}
        case _:
            return value
