"""The ways in which real answers differ from one another (API facts: steps, usage, drift).

The documentation leaves much open, and fields came and went between SDK versions. Each such
difference is one field here, with the documented or likeliest behaviour as its default.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec


class Variant(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename="camel",
):
    """How one run (or the whole simulator) speaks. JSON names are camelCase."""

    steps: Literal["live", "at_end"] = "live"
    tool_calls: Literal["one_step", "two_step"] = "one_step"
    tool_output: Literal["scripted", "object", "array", "number", "null", "text"] = "scripted"
    nulls: Literal["explicit", "absent"] = "explicit"
    usage: Literal["full", "absent", "no_summary", "no_entries", "null_while_running"] = "full"
    fields: Literal["newer", "seed", "oldest"] = "newer"
    late_costs: Literal["none", "arrive", "grow"] = "none"
    late_costs_seconds: float = 15.0  # real seconds after the terminal status, at any speed
    outcome: Literal[
        "scripted",
        "queued",
        "failed_logs_only",
        "failed_null_result",
        "cancelled_queued",
        "cancelled_running",
    ] = "scripted"
    unknown: Literal["none", "values", "status"] = "none"


DOCUMENTED = Variant()
DEFAULT = "default"  # the name that undoes all others
NAMES: dict[str, dict[str, str]] = {
    "live": {"steps": "live"},
    "at_end": {"steps": "at_end"},
    "one_step": {"toolCalls": "one_step"},
    "two_step": {"toolCalls": "two_step"},
    "output_object": {"toolOutput": "object"},
    "output_array": {"toolOutput": "array"},
    "output_number": {"toolOutput": "number"},
    "output_null": {"toolOutput": "null"},
    "output_text": {"toolOutput": "text"},
    "absent_keys": {"nulls": "absent"},
    "usage_absent": {"usage": "absent"},
    "no_summary": {"usage": "no_summary"},
    "no_entries": {"usage": "no_entries"},
    "usage_null_while_running": {"usage": "null_while_running"},
    "newer": {"fields": "newer"},
    "seed": {"fields": "seed"},
    "oldest": {"fields": "oldest"},
    "late_costs_arrive": {"lateCosts": "arrive"},
    "late_costs_grow": {"lateCosts": "grow"},
    "queued_for_ever": {"outcome": "queued"},
    "failed_logs_only": {"outcome": "failed_logs_only"},
    "failed_null_result": {"outcome": "failed_null_result"},
    "cancelled_queued": {"outcome": "cancelled_queued"},
    "cancelled_running": {"outcome": "cancelled_running"},
    "unknown_values": {"unknown": "values"},
    "unknown_status": {"unknown": "status"},
}


class VariantError(ValueError):
    """A variant that does not exist; the message says which and what there is."""


def variant(value: object = None, base: Variant = DOCUMENTED) -> Variant:
    """Read a variant given as one name, several names, a JSON object, or nothing (= `base`).

    Raises `VariantError` for unknown names, keys or values.
    """
    match value:
        case None:
            return base
        case Variant():
            return value
        case str():
            return variant([value], base)
        case dict():
            return _changed(base, value)
        case _ if isinstance(value, Iterable):
            return _named(value, base)
    raise VariantError(f"cannot read a variant from {type(value).__name__}")


def _named(names: Iterable[object], base: Variant) -> Variant:
    result = base
    for name in names:
        if name == DEFAULT:
            result = Variant()
            continue
        if not isinstance(name, str) or name not in NAMES:
            raise VariantError(f"unknown variant {name!r}; there are {', '.join(sorted(NAMES))}")
        result = _changed(result, NAMES[name])
    return result


def _changed(base: Variant, changes: dict[str, Any]) -> Variant:
    try:
        return msgspec.convert({**msgspec.to_builtins(base), **changes}, Variant)
    except msgspec.ValidationError as error:
        raise VariantError(str(error)) from error
