"""How long Case.dev asks us to wait. Every form that was seen or is plausible, none trusted."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SPAN = re.compile(rf"(?:{_PART.pattern})+")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after(
    headers: Mapping[str, str], now: dt.datetime, *, is_rate_limit: bool = True
) -> float | None:
    """Seconds to wait, from the most exact header that makes sense; None if none does.

    Order: `retry-after-ms`, `retry-after` (seconds or an HTTP date), and after a 429
    `x-ratelimit-reset-requests`, which Case.dev sends with a unit ("45s"), but on every answer.
    """
    forms: list[tuple[str, Callable[[str], float | None]]] = [
        ("retry-after-ms", _milliseconds),
        ("retry-after", _span),
        ("retry-after", lambda value: _date(value, now)),
    ]
    if is_rate_limit:
        forms.append(("x-ratelimit-reset-requests", _span))
    for name, read in forms:
        seconds = read(headers.get(name, "").strip())
        if seconds is not None:
            return seconds
    return None


def _span(value: str) -> float | None:
    """ "45s", "1m30s", "200ms", or a bare number of seconds."""
    if _SPAN.fullmatch(value):
        return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(value))
    return float(value) if _NUMBER.fullmatch(value) else None


def _milliseconds(value: str) -> float | None:
    return float(value) / 1000 if _NUMBER.fullmatch(value) else None


def _date(value: str, now: dt.datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max((moment - now).total_seconds(), 0.0)
