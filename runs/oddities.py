"""What in a run's record cannot all be true at once. Pure: said of the record as it stands, so a
sentence goes when the record is put right. What happened once (a status that went back) is kept by
sync as a contradiction.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Protocol

SLACK = dt.timedelta(seconds=5)  # two clocks, and moments cut to whole seconds
SLACK_SHARE = 0.1  # of the duration that is reported


class Judged(Protocol):
    """What is asked of a run; `Run` has it all."""

    status: str
    created_at: dt.datetime | None
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    last_step_at: dt.datetime | None
    duration_ms: int | None
    total_input_tokens: int | None
    total_output_tokens: int | None
    total_tokens: int | None

    @property
    def is_active(self) -> bool: ...


def of(run: Judged, *, open_calls: int = 0, gone: int = 0) -> list[str]:
    """Sentences, the gravest first. `open_calls`: tool calls that nothing answered; `gone`: steps
    that are no longer reported."""
    return [*_of_steps(run, open_calls, gone), *_of_times(run), *_of_sums(run)]


def _of_steps(run: Judged, open_calls: int, gone: int) -> Iterator[str]:
    if gone:
        are, they = ("step is", "it is") if gone == 1 else ("steps are", "they are")
        yield f"{gone} {are} no longer reported by Case.dev; {they} kept in the timeline."
    if run.status == "completed" and open_calls:
        have = "tool call has" if open_calls == 1 else "tool calls have"
        yield f"The run completed, but {open_calls} {have} no answer."


def _of_times(run: Judged) -> Iterator[str]:
    if _is_before(run.started_at, run.created_at):
        yield "It is said to have started before it was created."
    if _is_before(run.completed_at, run.started_at or run.created_at):
        yield "It is said to have ended before it started."
    elif _is_before(run.completed_at, run.last_step_at):
        yield "Its last step is said to have come after its end."
    if run.completed_at and run.is_active:
        yield f"It is said to be {run.status}, and to have ended."
    yield from _of_duration(run)


def _of_duration(run: Judged) -> Iterator[str]:
    if run.duration_ms is None or run.started_at is None or run.completed_at is None:
        return
    lasted = (run.completed_at - run.started_at).total_seconds()
    told = run.duration_ms / 1000
    if lasted >= 0 and abs(lasted - told) > max(SLACK.total_seconds(), told * SLACK_SHARE):
        yield f"Its usage tells of {told:,.0f} s, its start and end of {lasted:,.0f} s."


def _of_sums(run: Judged) -> Iterator[str]:
    parts = run.total_input_tokens, run.total_output_tokens
    if run.total_tokens is None or parts[0] is None or parts[1] is None:
        return
    if parts[0] + parts[1] != run.total_tokens:
        yield (
            f"Its summary counts {run.total_tokens:,} tokens in all, but "
            f"{parts[0]:,} in and {parts[1]:,} out."
        )


def _is_before(later: dt.datetime | None, earlier: dt.datetime | None) -> bool:
    return later is not None and earlier is not None and later < earlier - SLACK
