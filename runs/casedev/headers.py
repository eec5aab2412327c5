"""How long Case.dev asks us to wait. Every form that was seen or is plausible, none trusted."""

import datetime as dt
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Seconds to wait, from the most exact header that makes sense; None if none does.

    Order: `retry-after-ms`, `retry-after` (seconds or an HTTP date), then
    `x-ratelimit-reset-requests`, which Case.dev sends with a unit ("45s").
    """
    for name, read in (
        ("retry-after-ms", _milliseconds),
        ("retry-after", _seconds),
        ("retry-after", lambda value: _date(value, now)),
        ("x-ratelimit-reset-requests", _span),
    ):
        seconds = read(headers.get(name, "").strip())
        if seconds is not None and seconds >= 0:
            return seconds
    return None


def _seconds(value: str) -> float | None:
    return float(value) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value) else None


def _milliseconds(value: str) -> float | None:
    seconds = _seconds(value)
    return None if seconds is None else seconds / 1000


def _date(value: str, now: dt.datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max((moment - now).total_seconds(), 0.0)


def _span(value: str) -> float | None:
    """ "45s", "1m30s", "200ms", or a bare number of seconds."""
    parts = _SPAN.findall(value)
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    return _seconds(value)
