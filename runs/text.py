"""The one place where untrusted text and JSON become storable, the same on every database.

PostgreSQL refuses NUL and lone surrogates, SQLite takes them; many encoders write NaN, and JSON
does not know it. What is changed here is changed for both; the bytes as they came are kept in
`Payload`.
"""

import datetime as dt
import re

NUL_SHOWN = "\u2400"  # SYMBOL FOR NULL
REPLACED = "\ufffd"
_TROUBLE = re.compile("[\x00\ud800-\udfff]")
# A string of JSON (group 1), or what some encoders write where JSON knows no number.
_STRING_OR_NAN = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|-?(?:NaN|Infinity)', re.DOTALL)
# Within a string: both halves of a character, one half alone (group 1), any other escape.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
MOST = 10**15  # a billion dollars in micro-dollars: sums of thousands fit a 64-bit column


def clean(text: str) -> str:
    """`text` without NUL and lone surrogates, each replaced by a visible character."""
    if "\x00" not in text and (text.isascii() or _has_no_half(text)):
        return text
    return _TROUBLE.sub(lambda found: NUL_SHOWN if found[0] == "\x00" else REPLACED, text)


def _has_no_half(text: str) -> bool:
    """Whether there is no lone surrogate: in a tenth of the time of a pattern."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fit(text: str, length: int) -> str:
    """`text` for a column of `length` characters; an ellipsis tells that it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def whole(number: int) -> int | None:
    """`number` if a column can hold it, and a sum of thousands like it."""
    return number if -MOST <= number <= MOST else None


def moment(text: str) -> dt.datetime | None:
    """An ISO 8601 time in UTC; a time without a zone is taken as UTC. None if it is none."""
    try:
        parsed = dt.datetime.fromisoformat(text.strip())
        if parsed.tzinfo is None:
            return parsed.replace(tzinfo=dt.UTC)
        return parsed if parsed.tzinfo is dt.UTC else parsed.astimezone(dt.UTC)
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


def mended(body: bytes) -> bytes:
    """`body` with what common encoders write and JSON does not know made JSON: NaN and Infinity
    become strings, escaped lone surrogates U+FFFD. No other byte changes, so what was stored of
    the same run before stays as it is."""
    return _STRING_OR_NAN.sub(_mended_token, body)


def _mended_token(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return b'"%b"' % found[0]
    if b"\\u" not in found[1]:
        return found[1]
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], found[1])
