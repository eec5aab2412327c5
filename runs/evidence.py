"""Why a run may have failed. The API has no error field, so this is looked for in the whole record
and told as what was found, with where it stands: issues, logs, the runtime, calls, last steps.
"""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import F, TextField
from django.db.models.functions import Cast, Left, Length

from runs import causes, costs, outcomes
from runs.models import Run
from runs.tally import SPOKEN, Tally

MOST = 3  # of a kind
LOOKED_BACK = 1_000  # places among which the last words are looked for
SEARCHED = 4_000_000  # characters of logs; longer ones are not read for a page
SANDBOX_LIMIT = dt.timedelta(minutes=30)
NEAR_LIMIT = dt.timedelta(seconds=45)


class Clue(NamedTuple):
    """`where`: "Issue 1", "Log runner"... `said`: the record's own words, or "" where `fact` says
    all. `page` and `place`: the run's page that holds it, and the position there, if it has one."""

    where: str
    fact: str
    said: str
    page: str
    place: int | None = None


def clues(run: Run, tally: Tally) -> list[Clue]:
    """Nothing for a run that did not fail. A few queries, each by an index of what it looks for.
    `tally`: of the run's steps."""
    if run.status != Run.Status.FAILED:
        return []
    found = [_issues(run), _logs(run), _runtime(run), _calls(run), _steps(run)]
    found.append(_last_words(run, tally))
    unlike: dict[tuple[str, str], Clue] = {}  # what was said thrice is told once, where it was last
    for clue in (clue for kind in found for clue in kind):
        unlike.setdefault((clue.fact, clue.said), clue)
    return [*unlike.values()]


def _issues(run: Run) -> Iterator[Clue]:
    issues = run.issues if isinstance(run.issues, list) else []
    named = [(number, str(issue)) for number, issue in enumerate(issues, 1) if str(issue).strip()]
    for number, issue in named[:MOST]:
        yield Clue(f"Issue {number}", "", causes.line(issue), "result")
    if len(named) > MOST:
        yield Clue("Issues", f"{len(named) - MOST} more are named.", "", "result")


def _logs(run: Run) -> Iterator[Clue]:
    row = Run.objects.filter(pk=run.pk).annotate(size=Length(Cast("logs", TextField())))
    size = row.values_list("size", flat=True).get()
    if size and size > SEARCHED:
        yield Clue("Logs", "They are too long to be searched here.", "", "logs")
        return
    logs = row.values_list("logs", flat=True).get() if size else None
    for number, (name, text) in enumerate(logs if isinstance(logs, list) else [], 1):
        if words := causes.last_error(text or ""):
            yield Clue(f"Log {name}", "", causes.line(words), "logs", number)


def _runtime(run: Run) -> Iterator[Clue]:
    if run.runtime_state == "error":
        yield Clue("Runtime", "It ended in the state “error”.", "", "timeline")
    if run.started_at and run.completed_at:
        lasted = run.completed_at - run.started_at
        if abs(lasted - SANDBOX_LIMIT) <= NEAR_LIMIT:
            yield Clue(
                "Time", "It ended after 30 minutes, when every sandbox ends.", "", "timeline"
            )


def _calls(run: Run) -> Iterator[Clue]:
    failed = run.entries.filter(vanished_at=None, status_code__gte=costs.ERROR_FROM)
    for entry in failed.order_by("-position")[:MOST]:
        called = " ".join(part for part in (entry.method, entry.endpoint) if part)
        fact = f"A call of {entry.service or 'a service'} was answered {entry.status_code}."
        yield Clue(f"Entry {entry.position}", fact, causes.line(called), "cost", entry.position)


def _steps(run: Run) -> Iterator[Clue]:
    present = run.steps.filter(vanished_at=None)
    failed = present.filter(failed=True).annotate(opening=Left("tool_output", outcomes.PREFIX + 1))
    shown = failed.order_by("-position").values_list("position", "tool_name", "opening")[:MOST]
    for position, tool, output in shown:
        reason = outcomes.failure(tool, output, len(output or "") <= outcomes.PREFIX)
        fact = f"{tool or 'A tool'} failed."
        yield Clue(f"Step {position}", fact, causes.line(reason), "timeline", position)
    # In the order of `sync_open_calls`, also for PostgreSQL.
    unanswered = present.filter(unanswered=True, partner=None).order_by("-partner", "-position")
    for position, tool in unanswered.values_list("position", "tool_name")[:1]:
        fact = f"{tool or 'A tool'} never answered."
        yield Clue(f"Step {position}", fact, "", "timeline", position)


def _last_words(run: Run, tally: Tally) -> Iterator[Clue]:
    if not tally.spoken_at:
        return
    near = (tally.spoken_at - LOOKED_BACK + 1, tally.spoken_at)
    spoken = run.steps.present().filter(type__in=SPOKEN, position__range=near)
    last = (
        spoken.exclude(content=None)
        .annotate(opening=Left(F("content"), causes.LONGEST + 1))
        .order_by("-position")
        .values_list("position", "opening")
        .first()
    )
    if last and last[1].strip():
        fact = "The last thing that the agent said:"
        yield Clue(f"Step {last[0]}", fact, causes.line(last[1]), "timeline", last[0])
