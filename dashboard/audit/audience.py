"""Who has seen a run: people and links, each once, and every look, newest first."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Count, Max, Min, QuerySet

from dashboard.audit.models import SIGHTS, AuditEntry, Result
from dashboard.models import ShareLink
from runs.models import Run

PAGE = 100  # looks a page
MOST_SEERS = 200  # people and links named at the top; all looks are below

PAGES = {
    "run": "timeline",
    "run-live": "timeline, live",
    "shared-run": "timeline",
    "shared-live": "timeline, live",
    "api:run": "the run, over the API",
    "api:steps": "steps, over the API",
    "api:step": "a step, over the API",
    "api:entries": "usage entries, over the API",
    "api:costs": "costs, over the API",
    "run-notes": "notes and labels",
    "run-export": "what can be exported",
    "export-json": "the record as JSON",
    "export-steps-csv": "all steps as CSV",
    "export-steps-xlsx": "all steps as Excel",
    "export-costs-csv": "all costs as CSV",
    "export-costs-xlsx": "all costs as Excel",
    "step-payload": "a text of a step",
    "shared-step-payload": "a text of a step",
}


class Seer(NamedTuple):
    """A person or a link; `first_at` and `last_at` of what it saw of the run."""

    name: str
    link: ShareLink | None
    looks: int
    first_at: dt.datetime
    last_at: dt.datetime


def looks(run: Run) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(run=run.run_id, act__in=SIGHTS, result=Result.OK)


def context(run: Run, after: str) -> dict[str, Any]:
    """`after`: the number of the last look on the page before, or ""."""
    seen = looks(run)
    is_first = not (after.isdecimal() and len(after) < 19)
    window = list((seen if is_first else seen.filter(number__lt=int(after)))[: PAGE + 1])
    rows, has_older = window[:PAGE], len(window) > PAGE
    links = links_of(run)
    for row in rows:
        row.of_link = links.get(row.link) if row.link else None  # type: ignore[attr-defined]
        row.what = what(row)  # type: ignore[attr-defined]
    found = seers(run, links) if is_first else []
    return {
        "run": run,
        "looks": rows,
        "older": rows[-1].number if has_older else None,
        "is_first": is_first,
        "seers": found[:MOST_SEERS],
        "more_seers": max(0, len(found) - MOST_SEERS),
    }


def links_of(run: Run) -> dict[int, ShareLink]:
    links = ShareLink.objects.filter(run=run).defer("token_digest")
    return {link.pk: link for link in links.order_by()}


def seers(run: Run, links: dict[int, ShareLink]) -> Sequence[Seer]:
    """Whoever saw most recently first. A person counts once, by the name of their last look."""
    groups = (
        looks(run)
        .order_by()
        .values("person", "link")
        .annotate(looks=Count("number"), first_at=Min("at"), last_at=Max("at"), name=Max("name"))
        .order_by("-last_at")
    )
    return [
        Seer(
            row["name"], links.get(row["link"] or 0), row["looks"], row["first_at"], row["last_at"]
        )
        for row in groups
    ]


def what(row: AuditEntry) -> str:
    """The page, in the words of the site, and which piece of it."""
    bare = row.page.removeprefix("run-").removeprefix("shared-")
    page = PAGES.get(row.page, bare.replace("_", " "))
    return f"{page} ({row.detail})" if row.detail else page
