"""Contexts of a recipient's pages: made of what a source gives, and of nothing else."""

import datetime as dt
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from dashboard.disclosure import lines
from dashboard.disclosure.rules import Part
from dashboard.disclosure.shown import StepShown
from dashboard.disclosure.sources import Source
from dashboard.door import Door

WINDOW = 100  # steps at a time
PREVIEWED = 40  # with all that opens below them
ENTRIES = 250

# Tab, path behind the base, the parts of which one must be shown.
TABS: tuple[tuple[str, str, frozenset[Part]], ...] = (
    ("read", "read/", frozenset({Part.TIMELINE})),
    ("cost", "cost/", frozenset({Part.COST})),
    ("result", "result/", frozenset({Part.OUTPUT, Part.IDS})),
    ("logs", "logs/", frozenset({Part.LOGS})),
)
LABELS = {"read": "Reading view", "cost": "Cost", "result": "Result", "logs": "Logs"}


def has_tab(source: Source, tab: str) -> bool:
    return any(name == tab and parts & source.shows for name, _, parts in TABS)


def frame(source: Source, door: Door, tab: str) -> dict[str, Any]:
    """What stands on each page: how the run stands, what was asked, the way to the others."""
    run = source.run()
    shows = {part.value: part in source.shows for part in Part}
    first = "Timeline" if Part.TIMELINE in source.shows else "Summary"
    tabs = [{"name": "timeline", "label": first, "path": "", "count": run.step_count}]
    tabs += [
        {
            "name": name,
            "label": LABELS[name],
            "path": path,
            "count": run.entry_count if name == "cost" else None,
        }
        for name, path, _ in TABS
        if has_tab(source, name)
    ]
    return {
        "shown": run,
        "door": door,
        "shows": shows,
        "tab": tab,
        "tabs": tabs if len(tabs) > 1 else [],
        "frozen_at": source.frozen_at,
        "elapsed": _elapsed(run.started_at, run.completed_at),
        "prompt": lines.of_text(run.prompt),
        "guidance": lines.of_text(run.guidance),
        "summary": lines.of_text(run.summary),
        "now": timezone.now(),
    }


def steps(source: Source, after: int, count: int = WINDOW) -> dict[str, Any]:
    """The steps behind `after`, and how many follow, which is told and reachable."""
    found = source.steps(after, count + 1)
    window = found[:count]
    total = source.run().step_count or 0
    last = window[-1].position if window else after
    return {
        "lines": [lines.line(step, source.shows) for step in window],
        "first": window[0].position if window else 0,
        "last": last,
        "later": total - last if len(found) > count else 0,
        "total": total,
        "earlier_after": max(after - count, 0) if after else None,
    }


def items(found: list[StepShown], source: Source) -> list[lines.Line]:
    return [lines.line(step, source.shows) for step in found]


def step(source: Source, position: int) -> dict[str, Any] | None:
    """One step with its payloads; None where there is none, or where it is told in the list."""
    found = source.step(position)
    if found is None or found.is_redacted:
        return None
    line = lines.line(found, source.shows)
    return {"line": line, "parts": lines.payloads(found), "shown": source.run()}


def result(source: Source, door: Door, as_text: bool = False) -> dict[str, Any]:
    output = source.output()
    links = "" if door.is_preview else f"{door.base}result/links/"
    return {
        "shown": source.run(),
        "output_html": None if as_text else lines.formatted(output, links),
        "output": lines.of_text(output),
        "as_text": as_text,
    }


def is_as_text(query: QueryDict) -> bool:
    """Whether an address asks for the result as it was written."""
    return query.get("as") == "text"


def cost(source: Source, after: int = 0) -> dict[str, Any]:
    run = source.run()
    found = source.entries(after, ENTRIES + 1)
    entries = found[:ENTRIES]
    return {
        "shown": run,
        "entries": [(entry, lines.is_error(entry)) for entry in entries],
        "entries_later": entries[-1].position if len(found) > ENTRIES else None,
        "entries_after": after,
    }


def entries_after(query: QueryDict) -> int:
    """Behind which entry the costs begin that an address asks for."""
    return number(query.get("after")) or 0


def number(text: str | None) -> int | None:
    """A position as an address tells it; None if it tells none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def logs(source: Source) -> dict[str, Any]:
    return {"logs": [lines.log(log) for log in source.logs()]}


def preview(source: Source, door: Door, after: int) -> dict[str, Any]:
    """All of a recipient's pages under one another, from the very same pieces."""
    context = frame(source, door, "timeline") | steps(source, after, PREVIEWED)
    opened = {found.position: lines.payloads(found) for found in source.steps(after, PREVIEWED)}
    return context | result(source, door) | cost(source) | logs(source) | {"opened": opened}


def _elapsed(start: dt.datetime | None, end: dt.datetime | None) -> dt.timedelta | None:
    return max(end - start, dt.timedelta(0)) if start and end else None
