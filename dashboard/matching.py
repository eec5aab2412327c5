"""Which usage entries are about which calls, as far as that is beyond doubt.

The API tells no cost of a step. An entry counts as that of a call only if its metadata name the
step's own id, or if it was written while that call alone was at work and every word of its
address stands in what the call was given. Nothing is guessed, and no sum is made of it: what
matches is shown beside the step and called matched. A step's costs may lie in other entries.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db.models.functions import Left

from dashboard.passages import Matched
from runs.models import Run, Step, UsageEntry

INPUT_READ = 2_000
METADATA_READ = 500
BEFORE, BEHIND = 200, 50  # calls that may have been at work meanwhile are so near
SLACK = dt.timedelta(seconds=1)  # some times are told in whole seconds
MOST_ENTRIES = 3_000  # of the time of one page; above it nothing is matched

_WORD = re.compile(r"[^\W_]+(?:_[A-Za-z0-9]+)*", re.ASCII)
_VERSION = re.compile(r"v\d+\Z")
_STEP_KEYS = r'"(?:stepId|step_id|toolCallId|tool_call_id|callId)"\s*:\s*"([^"\\]{1,200})"'
_NAMED = re.compile(_STEP_KEYS)


class Call(NamedTuple):
    position: int
    step_id: str | None
    start: dt.datetime
    end: dt.datetime
    words: frozenset[str]


def costs(run: Run, first: int, last: int) -> dict[int, Matched]:
    """Matched costs of the calls from position `first` to `last`, by position."""
    if not run.entry_count:
        return {}
    calls = list(_calls(run, first - BEFORE, last + BEHIND))
    asked = [call for call in calls if first <= call.position <= last]
    if not asked:
        return {}
    entries = _entries(run, asked)
    if len(entries) > MOST_ENTRIES:
        return {}
    found: defaultdict[int, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for entry in entries:
        if match := _call_of(entry, calls):
            found[match[0]].append((entry, match[1]))
    return {
        position: Matched(
            micros=sum(entry["cost_micros"] for entry, _ in matches),
            entries=tuple(entry["position"] for entry, _ in matches),
            by="id" if all(by == "id" for _, by in matches) else "time",
        )
        for position, matches in found.items()
        if first <= position <= last
    }


def _call_of(entry: dict[str, Any], calls: Sequence[Call]) -> tuple[int, str] | None:
    named = set(_NAMED.findall(entry["meta"] or ""))
    if named:
        by_id = [call.position for call in calls if call.step_id in named]
        return (by_id[0], "id") if len(by_id) == 1 else None
    wanted = address_words(entry["endpoint"] or "")
    if not wanted or entry["kind"] != UsageEntry.Kind.API:
        return None
    at = entry["timestamp"]
    able = [call for call in calls if wanted <= call.words]
    # What was asked for is written after the call began, so the one before owns the moment
    # between two. Only where times are too coarse for that does the slack count.
    during = [call for call in able if call.start < at <= call.end]
    near = during or [call for call in able if call.start - SLACK <= at <= call.end + SLACK]
    return (near[0].position, "time") if len(near) == 1 else None


def address_words(endpoint: str) -> frozenset[str]:
    """The parts of a path but for versions: "/vault/v_1/objects" is {"vault", "v_1", "object"}."""
    path = endpoint.partition("?")[0]
    parts = (part for part in path.split("/") if part and not _VERSION.match(part))
    return frozenset(_singular(part.lower()) for part in parts)


def call_words(tool: str | None, given: str | None) -> frozenset[str]:
    """All words of a call; `casedev_vault_search` is also three words."""
    text = f"{tool or ''} {given or ''}"
    words = {word.lower() for word in _WORD.findall(text)}
    words |= {word.lower() for word in re.split(r"[^A-Za-z0-9]+", tool or "")}
    words |= {word.lower() for word in re.findall(r"[\w-]+", text, re.ASCII)}
    return frozenset(_singular(word) for word in words)


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") else word


def _calls(run: Run, first: int, last: int) -> Iterable[Call]:
    rows = (
        run.steps.present()
        .filter(position__gte=first, position__lte=last, type=Step.Type.TOOL_CALL)
        .exclude(timestamp=None)
        .order_by("position")
        .values_list(
            *("position", "step_id", "timestamp", "duration_ms", "tool_name"),
            Left("tool_input", INPUT_READ),
        )
    )
    for position, step_id, start, duration, tool, given in rows:
        # Without a duration nobody knows when it ended: it may be at work still.
        span = dt.timedelta(minutes=30) if duration is None else dt.timedelta(milliseconds=duration)
        end = start + max(span, dt.timedelta(0))
        yield Call(position, step_id, start, end, call_words(tool, given))


def _entries(run: Run, calls: Sequence[Call]) -> list[dict[str, Any]]:
    start = min(call.start for call in calls) - SLACK
    end = max(call.end for call in calls) + SLACK
    rows = (
        run.entries.filter(vanished_at=None, timestamp__gte=start, timestamp__lte=end)
        .exclude(cost_micros=None)
        .order_by("position")
        .values(
            *("position", "kind", "endpoint", "timestamp", "cost_micros"),
            meta=Left("metadata", METADATA_READ),
        )
    )
    return list(rows[: MOST_ENTRIES + 1])
