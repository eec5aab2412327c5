"""What goes down the streams: the same template fragments that a page is first painted with.

All functions here ask the database, so they run in the hub's threads (or a request's own).
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.template.loader import render_to_string
from django.utils import timezone

from dashboard import rows
from dashboard.audience import Audience
from dashboard.live import sse
from dashboard.live.renderings import Key, Made, Rendering
from runs import freshness
from runs.models import Run

TABS = ("timeline", "cost", "result", "logs", "raw")
# Above this many steps at once a page is told to fetch what it shows, instead of being sent all.
MOST_STEPS = 200
MOST_COUNTED = 1_000


class Change(NamedTuple):
    """A run's page, brought to `version`. `is_catch_up`: the page has to fetch its steps anew."""

    version: int
    html: str
    is_catch_up: bool = False


def render(keys: Sequence[Key]) -> Made:
    """The pieces named by `keys`, which are all of one kind. Gone runs are left out."""
    match keys[0]:
        case ("row", *_):
            return _rows(keys)
        case ("change", run, since, target, tab, audience):
            if (change := run_change(run, since, tab, audience)) is None:
                return {}
            frame = sse.event("change", change.html, change.version)
            if change.is_catch_up:
                frame += sse.event("catch-up", str(change.version))
            return {keys[0]: Rendering(change.version, frame, change.version >= target)}
        case ("head", run, _, _, audience):
            return _frame(keys[0], run_head(run, audience))
        case ("fresh", run, _, audience):
            return _frame(keys[0], run_freshness(run, audience))
        case ("site", _):
            return _frame(keys[0], site_freshness())
        case ("arrivals", seen, _):
            return _frame(keys[0], arrivals(seen))
    raise KeyError(keys[0][0])


def _frame(key: Key, html: str) -> Made:
    return {key: Rendering(0, sse.event("change", html))}


def out_of_band(html: str) -> str:
    """Mark the root element of a piece of our own markup for htmx to find its place by its id."""
    return re.sub(r"<([a-z]+)", r'<\1 hx-swap-oob="true"', html, count=1)


# A run's page --------------------------------------------------------------------------------


def run_change(pk: int, since: int, tab: str, audience: Audience) -> Change | None:
    """What a page on `tab` at version `since` lacks; None if the run is gone."""
    run = Run.objects.select_related("poll").filter(pk=pk).first()
    if run is None:
        return None
    html = f'<section id="run-head" hx-swap-oob="true" data-version="{run.version}"><span class="status {run.status}">{run.status}</span> {run.step_count} steps</section>'
    is_catch_up = False
    if tab == "timeline":
        changed = run.steps.changed_since(since).order_by("position")
        if changed.count() > MOST_STEPS:
            is_catch_up = True
        else:
            html += '<ol hx-swap-oob="beforeend:#steps">' + "".join(
                f'<li id="s{step.position}" data-version="{step.changed_version}">{step.content or step.tool_name}</li>'
                for step in changed
            ) + "</ol>"
    return Change(run.version, html, is_catch_up)


def run_head(pk: int, audience: Audience) -> str:
    return ""


def run_freshness(pk: int, audience: Audience) -> str:
    return '<p id="run-fresh" hx-swap-oob="true">fresh</p>'


# Lists and the bar ---------------------------------------------------------------------------


def _rows(keys: Iterable[Key]) -> Made:
    wanted = {key[1]: key for key in keys}
    made: Made = {}
    for run, html in list_rows(wanted):
        key = wanted[run.pk]
        frame = sse.event("change", html)
        made[key] = Rendering(run.version, frame, run.version >= key[2])
    return made


def list_rows(pks: Iterable[int]) -> list[tuple[Run, str]]:
    """The rows of those runs that are still there."""
    now = timezone.now()
    runs = list(rows.for_rows(Run.objects.filter(pk__in=list(pks)).order_by()))
    context = rows.rows(runs, now) | {"oob": True}
    return [(run, render_to_string("runs/row.html", context | {"run": run})) for run in runs]


def arrivals(seen: int) -> str:
    """How many runs came after the page was made."""
    number = Run.objects.filter(pk__gt=seen)[: MOST_COUNTED + 1].count()
    context = {"number": min(number, MOST_COUNTED), "is_more": number > MOST_COUNTED, "oob": True}
    return render_to_string("partials/arrivals.html", context)


def site_freshness() -> str:
    """The bar's freshness and the banners, on every page of somebody signed in."""
    context = {
        "site": freshness.site(timezone.now()),
        "user": {"is_authenticated": True},
    }
    return out_of_band(render_to_string("partials/fresh.html", context))
