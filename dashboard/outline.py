"""A run's steps in brief: what they add up to, and the few of them that a page needs.

What is asked here costs the same for a run of ten steps and of a hundred thousand: sums are kept
by `runs.outlines`, and steps are read by their places.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db.models import Q, QuerySet

from runs import outlines
from runs.models import Run, Step
from runs.tally import Tally, ended

AT_ONCE = 400  # parameters of one query


class Brief(NamedTuple):
    """A step without its texts. `partner` is the position of a call's result, or of a result's
    call; None for a step that has vanished."""

    pk: int
    position: int
    type: str
    tool_name: str | None
    timestamp: dt.datetime | None
    duration_ms: int | None
    failed: bool
    unanswered: bool
    partner: int | None
    is_gone: bool
    changed_version: int

    @property
    def answer(self) -> int | None:
        """Position of the result that answers this call."""
        return self.partner if self.type == Step.Type.TOOL_CALL else None

    @property
    def question(self) -> int | None:
        """Position of the call that this result answers."""
        return self.partner if self.type == Step.Type.TOOL_RESULT else None

    @property
    def end(self) -> dt.datetime | None:
        return ended(self.timestamp, self.duration_ms)


_COLUMNS = (
    *("pk", "position", "type", "tool_name", "timestamp", "duration_ms", "failed"),
    *("unanswered", "partner", "vanished_at", "changed_version"),
)


def of(run: Run) -> Tally:
    """What the steps of `run` add up to; asked once for one `run` in memory."""
    known = vars(run).get("_tally")
    if known is None or known[0] != run.version:
        known = vars(run)["_tally"] = run.version, outlines.of(run)
    tally: Tally = known[1]
    return tally


def is_open(step: Brief | Step) -> bool:
    """Whether nothing tells that a call has come to an end."""
    return step.unanswered and step.partner is None and step.duration_ms is None


def is_at_work(step: Brief | Step, tally: Tally) -> bool:
    """Whether a call can be at work while the run runs: nothing followed it but other calls and
    results."""
    return is_open(step) and step.position > tally.spoken_at


def state_of(run: Run, step: Brief | Step) -> str:
    """How a tool call stands: "failed", "running", "done", or "open" if its outcome was never told;
    "" for other steps."""
    if step.type != Step.Type.TOOL_CALL:
        return ""
    if step.failed:
        return "failed"
    if not is_open(step):
        return "done"
    return "running" if run.is_active and is_at_work(step, of(run)) else "open"


def briefs(steps: QuerySet[Step]) -> list[Brief]:
    return in_order(_brief(*row) for row in steps.values_list(*_COLUMNS))


def in_order(steps: Iterable[Brief]) -> list[Brief]:
    """What vanished from a place stands before what is there now."""
    return sorted(steps, key=lambda step: (step.position, not step.is_gone, step.pk))


def with_tools(steps: QuerySet[Step], tools: Sequence[str]) -> QuerySet[Step]:
    """Steps of one of `tools`; "" stands for those without a name."""
    wanted = Q(tool_name__in=tools)
    return steps.filter(wanted | Q(tool_name=None) if "" in tools else wanted)


def _brief(
    pk: int,
    position: int,
    kind: str,
    tool: str | None,
    timestamp: dt.datetime | None,
    duration_ms: int | None,
    failed: bool,
    unanswered: bool,
    partner: int | None,
    vanished_at: dt.datetime | None,
    version: int,
) -> Brief:
    is_gone = vanished_at is not None
    return Brief(
        pk,
        position,
        kind,
        tool,
        timestamp,
        duration_ms,
        failed,
        unanswered,
        None if is_gone else partner,
        is_gone,
        version,
    )


def at(run: Run, positions: Iterable[int]) -> list[Brief]:
    """The steps at `positions` that are still reported, in order."""
    wanted = sorted(set(positions))
    found: list[Brief] = []
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        found += briefs(run.steps.present().filter(position__in=part))
    return found


def neighbours(run: Run, position: int) -> tuple[Brief | None, Brief | None]:
    """The steps before and after that at `position`, in the API's order."""
    present = run.steps.present()
    before = present.filter(position__lt=position).order_by("-position")[:1]
    after = present.filter(position__gt=position).order_by("position")[:1]
    found = [_first(before), _first(after)]
    return found[0], found[1]


def _first(steps: QuerySet[Step]) -> Brief | None:
    row = steps.values_list(*_COLUMNS).first()
    return _brief(*row) if row else None
