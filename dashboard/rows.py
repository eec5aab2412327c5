"""Rows of runs, as the list and the overview show them, and the live stream renders them anew.

`templates/runs/row.html` renders one; its context is `run` (from a queryset that went through
`for_rows`), `audience`, `now` and `agent_names`, and `oob` true when it is sent out of band.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Substr

from dashboard.audience import STAFF
from runs import agents
from runs.models import Run

# Longer than any row shows, short enough that fifty prompts of a megabyte cost nothing.
OPENING = 400


def for_rows(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Only what a row needs: `run.opening` in place of the whole prompt, and the run's poll."""
    return (
        runs.for_lists()  # type: ignore[attr-defined]
        .select_related("poll")
        .annotate(opening=Substr("prompt", 1, OPENING))
        .defer(
            "prompt",
            "summary",
            "issues",
            "output_object_ids",
            "created_object_ids",
            "poll__seen_digest",
        )
    )


def live_ids(runs: Iterable[Run]) -> str:
    """What the stream must know of the rows on a page: "17:3,18:1", key and version of each."""
    return ",".join(f"{run.pk}:{run.version}" for run in runs)


def rows(runs: list[Run], now: dt.datetime, names: dict[str, str] | None = None) -> dict[str, Any]:
    """The context of a table of rows."""
    if names is None:
        names = agents.names(run.agent_id for run in runs)
    return {
        "runs": runs,
        "audience": STAFF,
        "now": now,
        "agent_names": names,
        "live_ids": live_ids(runs),
    }
