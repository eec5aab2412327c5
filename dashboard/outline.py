"""All steps of a run in brief: what filters, pairing, gaps and the picture of the run need.

A run of 20,000 steps is known here by its narrow columns alone. What was read stays for the
next page of the same run and is brought up to date by the steps that changed since.
"""

import datetime as dt
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import NamedTuple

from django.db.models.functions import Left

from runs import outcomes, pairing
from runs.models import Run, Step

KEPT_RUNS = 12
_USES = (Step.Type.TOOL_CALL, Step.Type.TOOL_RESULT)  # what can fail


class Brief(NamedTuple):
    """A step without its texts."""

    pk: int
    position: int
    type: str
    tool_name: str | None
    timestamp: dt.datetime | None
    duration_ms: int | None
    failed: bool
    is_answered: bool
    is_gone: bool
    changed_version: int

    @property
    def tool_output(self) -> str | None:
        """As much of it as pairing wants to know."""
        return "" if self.is_answered else None

    @property
    def end(self) -> dt.datetime | None:
        """When it ended, as far as its own time and duration tell."""
        if self.timestamp is None:
            return None
        try:
            return self.timestamp + dt.timedelta(milliseconds=max(self.duration_ms or 0, 0))
        except OverflowError:
            return self.timestamp


@dataclass(frozen=True)
class Outline:
    """Every step of a run at one version, in order; vanished ones stand where they stood."""

    version: int
    step_count: int
    steps: list[Brief]

    @cached_property
    def present(self) -> list[Brief]:
        return [step for step in self.steps if not step.is_gone]

    @cached_property
    def answers(self) -> dict[int, int]:
        """Position of a call -> position of the `tool_result` that answers it."""
        return pairing.pair(self.present)

    @cached_property
    def questions(self) -> dict[int, int]:
        """Position of a `tool_result` -> position of its call."""
        return {result: call for call, result in self.answers.items()}

    @cached_property
    def failed_calls(self) -> set[int]:
        """Positions of calls whose own output or paired result tells of a failure."""
        failed = {step.position for step in self.present if step.failed}
        return failed | {self.questions[place] for place in failed if place in self.questions}

    @cached_property
    def types(self) -> Counter[str]:
        return Counter(step.type for step in self.present)

    @cached_property
    def tools(self) -> Counter[str]:
        return Counter(
            step.tool_name or "" for step in self.present if step.type == Step.Type.TOOL_CALL
        )

    @cached_property
    def gone(self) -> int:
        return len(self.steps) - len(self.present)

    @cached_property
    def still_open(self) -> set[int]:
        """Positions of the last calls that nothing followed but other calls and results: only
        these can be at work while the run runs."""
        found: set[int] = set()
        for step in reversed(self.present):
            if step.type not in (Step.Type.TOOL_CALL, Step.Type.TOOL_RESULT):
                break
            has_answer = step.is_answered or step.position in self.answers
            if step.type == Step.Type.TOOL_CALL and not has_answer and step.duration_ms is None:
                found.add(step.position)
        return found

    @cached_property
    def _positions(self) -> list[int]:
        return [step.position for step in self.present]

    def at(self, position: int) -> Brief | None:
        """The step that is told at `position` now."""
        at = bisect_left(self._positions, position)
        found = self.present[at : at + 1]
        return found[0] if found and found[0].position == position else None

    def before(self, position: int) -> Brief | None:
        """The step before that at `position`, in the API's order."""
        at = bisect_left(self._positions, position)
        return self.present[at - 1] if at else None

    def after(self, position: int) -> Brief | None:
        at = bisect_left(self._positions, position + 1)
        return self.present[at] if at < len(self.present) else None


type _Key = tuple[int, dt.datetime]

_kept: OrderedDict[_Key, Outline] = OrderedDict()
_lock = Lock()


def of(run: Run) -> Outline:
    """The outline of `run` at its version, read as little as possible."""
    key = run.pk, run.first_seen_at
    with _lock:
        known = _kept.get(key)
    if known is None or known.version > run.version:
        fresh = _made(run, _read(run))
    elif (known.version, known.step_count) != (run.version, run.step_count):
        fresh = _caught_up(known, run)
    else:
        fresh = known
    with _lock:
        _kept[key] = fresh
        _kept.move_to_end(key)
        while len(_kept) > KEPT_RUNS:
            _kept.popitem(last=False)
    return fresh


def _made(run: Run, steps: Iterable[Brief]) -> Outline:
    return Outline(run.version, run.step_count, sorted(steps, key=_order))


def _caught_up(known: Outline, run: Run) -> Outline:
    # From the known version on, not after it: it may have been read while it was being written.
    changed = {step.pk: step for step in _read(run, since=known.version - 1)}
    kept = (step for step in known.steps if step.pk not in changed)
    return _made(run, [*kept, *changed.values()])


def _order(step: Brief) -> tuple[int, bool, int]:
    return step.position, not step.is_gone, step.pk


def _read(run: Run, since: int | None = None) -> Iterator[Brief]:
    steps = Step.objects.filter(run_id=run.pk)
    if since is not None:
        steps = steps.changed_since(since)
    rows = steps.order_by("position").values_list(
        "pk",
        "position",
        "type",
        "tool_name",
        "timestamp",
        "duration_ms",
        Left("tool_output", outcomes.PREFIX),
        "vanished_at",
        "changed_version",
    )
    for pk, position, kind, tool, timestamp, duration, output, vanished, version in rows.iterator():
        yield Brief(
            pk,
            position,
            kind,
            tool,
            timestamp,
            duration,
            kind in _USES
            and bool(outcomes.failure(tool, output, len(output or "") < outcomes.PREFIX)),
            pairing.is_answered(output),
            vanished is not None,
            version,
        )
