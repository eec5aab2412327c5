"""The steps of a run that hold some words: as a list, or one after another among all steps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from dashboard import places, step_search
from dashboard.audience import Audience
from dashboard.step_lines import Line
from dashboard.step_search import Found
from runs.models import Run

if TYPE_CHECKING:
    from dashboard.timeline import Asked


class Bar(NamedTuple):
    """`number`: which of `total` finds is looked at, 0 for none. Ways are addresses, "" for none.

    `until`: the last step that was looked at, if there are more than one request looks at.
    """

    total: int
    number: int
    previous: str
    next: str
    all: str
    until: int | None
    go_on: str


def of(run: Run, asked: Asked) -> Found:
    steps = places.narrowed(
        run.steps.gone() if asked.gone else run.steps.present(),
        asked.types,
        asked.tools,
        failed=asked.failed,
    )
    key = (asked.types, asked.tools, asked.failed, asked.gone)
    return step_search.find(run, steps, asked.q, asked.behind, key)


def bar(run: Run, audience: Audience, asked: Asked) -> Bar:
    found = of(run, asked)
    positions = found.positions
    here = audience.url("timeline", run)

    def way(at: int) -> str:
        if not 0 <= at < len(positions):
            return ""
        return f"{here}{asked.query(hit=positions[at])}#s{positions[at]}"

    at = bisect_left(positions, asked.hit) if asked.hit is not None else -1
    is_find = 0 <= at < len(positions) and positions[at] == asked.hit
    return Bar(
        total=len(positions),
        number=at + 1 if is_find else 0,
        previous=way(at - 1),
        next=way(at + 1 if is_find else max(at, 0)),
        all=f"{here}{asked.query(hit=None)}" if asked.hit is not None else "",
        until=found.until,
        go_on=f"{here}{asked.query(hit=None, behind=found.until)}" if found.until else "",
    )


def marked(run: Run, asked: Asked, lines: Sequence[Line]) -> list[Line]:
    """Lines of steps that hold the words show where."""
    found = set(of(run, asked).positions)
    pks = [line.pk for line in lines if line.position in found]
    excerpts = step_search.excerpts(pks, asked.q)
    return [replace(line, finds=excerpts.get(line.pk, ())) for line in lines]
