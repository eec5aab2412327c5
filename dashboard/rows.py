"""Rows of runs, as the list and the overview show them, and the live stream renders them anew.

`row_items.row` renders one run of a queryset that went through `for_rows`.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, cast

from django.db.models import QuerySet
from django.db.models.functions import Substr

from dashboard.audience import STAFF
from dashboard.saved import columns
from runs import agents, stalls
from runs.models import Run
from runs.models.run import RunQuerySet

# Longer than any row shows, short enough that fifty prompts of a megabyte cost nothing.
OPENING = 400


def for_rows(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Only what a row needs: `run.opening` in place of the whole prompt, and the run's poll."""
    return (
        cast(RunQuerySet, runs)
        .for_lists()
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


def rows(
    runs: list[Run],
    now: dt.datetime,
    names: dict[str, str] | None = None,
    shown: tuple[str, ...] = columns.DEFAULT,
) -> dict[str, Any]:
    """The context of a table of rows."""
    if names is None:
        names = agents.names(run.agent_id for run in runs)
    stalls.prepare(runs, now)
    return {
        "runs": runs,
        "audience": STAFF,
        "now": now,
        "agent_names": names,
        "columns": shown,
        "is_own": shown != columns.DEFAULT,
        "heads": [columns.COLUMNS[name] for name in shown],
    }


def newest() -> int:
    """The key of the latest run: what comes after it is news to a page made now.

    Ask before asking for the rows, or a run that comes in between is neither shown nor news.
    """
    return Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def stream(
    runs: Iterable[Run], seen: int, shown: tuple[str, ...] = columns.DEFAULT
) -> dict[str, str]:
    """The context of partials/stream.html: key and version of each row, `newest`, and columns."""
    ids = ",".join(f"{run.pk}:{run.version}" for run in runs)
    asked = f"&columns={','.join(shown)}" if shown != columns.DEFAULT else ""
    return {"stream_query": f"ids={ids}&seen={seen}{asked}"}
