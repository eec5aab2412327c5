"""What goes down the streams: the same template fragments that a page is first painted with.

All functions here ask the database, so they run in the hub's threads (or a request's own).
"""

import re
from collections.abc import Iterable, Sequence

import msgspec
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from dashboard import row_items, rows
from dashboard.audience import STAFF
from dashboard.live import run_pieces, sse
from dashboard.live.renderings import Key, Made, Rendering, having
from dashboard.live.run_pieces import Pieces
from dashboard.saved import columns
from runs import agents, freshness, stalls
from runs.models import Run

MOST_COUNTED = 1_000


def render(keys: Sequence[Key]) -> Made:
    """The pieces named by `keys`, which are all of one kind. Runs that are gone are left out."""
    first = keys[0]
    match first:
        case ("row", *_):
            return _rows(keys)
        case ("quick", run, _, since, have, shape):
            pieces = run_pieces.quick(run, since, have.parts, shape.page, shape.audience)
            return _pieces(first, pieces)
        case ("slow parts", run, _, shape):
            made = run_pieces.slow(run, shape.page, shape.audience)
            return {first: Rendering(made[0], b"", parts=made[1])} if made else {}
        case ("head", run, _, shape):
            html = run_pieces.head(run, shape.audience)
        case ("fresh", run, _, shape):
            html = run_pieces.freshness(run, shape.audience)
        case ("site", _):
            html = site_freshness()
        case ("arrivals", seen, _):
            html = arrivals(seen)
        case _:
            raise KeyError(first[0])
    return {first: Rendering(0, sse.event("change", html))}


def lacking(key: Key, whole: Rendering) -> Made:
    """Of `whole` what a browser lacks that has what is the last but one in `key`."""
    html, parts = run_pieces.differing(whole.parts, key[-2].parts)
    frame = sse.event("change", html) if html else b""
    return {key: Rendering(whole.version, frame, having(parts))}


def _pieces(key: Key, pieces: Pieces | None) -> Made:
    if pieces is None:
        return {}
    target = key[2]  # the version that was asked for
    frame = sse.event("change", pieces.html, pieces.version)
    if pieces.catch_up:
        frame += sse.event("catch-up", msgspec.json.encode(pieces.catch_up).decode())
    is_lasting = pieces.version >= target
    return {key: Rendering(pieces.version, frame, having(pieces.parts), is_lasting)}


def _rows(keys: Sequence[Key]) -> Made:
    """All of `keys` ask for the same columns. A row also tells what moves with time alone, so its
    state has the number under which the run was last looked at."""
    wanted = {key[1]: key for key in keys}
    made: Made = {}
    for run, html in list_rows(wanted, keys[0][3]):
        key = wanted[run.pk]
        frame = sse.event("change", html)
        made[key] = Rendering(run.version, frame, is_lasting=run.version >= key[2][0])
    return made


def list_rows(
    pks: Iterable[int], shown: tuple[str, ...] = columns.DEFAULT
) -> list[tuple[Run, str]]:
    """The rows of those runs that are still there."""
    now = timezone.now()
    runs = list(rows.for_rows(Run.objects.filter(pk__in=list(pks)).order_by()))
    names = agents.names(run.agent_id for run in runs)
    stalls.prepare(runs, now)
    table = row_items.Table(STAFF, now, names, shown, oob=True)
    return [(run, row_items.row(run, table)) for run in runs]


def arrivals(seen: int) -> str:
    """How many runs came after the page was made, when `seen` was the latest."""
    number = Run.objects.filter(pk__gt=seen).order_by()[: MOST_COUNTED + 1].count()
    context = {"number": min(number, MOST_COUNTED), "is_more": number > MOST_COUNTED, "oob": True}
    return render_to_string("partials/arrivals.html", context)


def site_freshness() -> str:
    """The bar's freshness and the banners, on every page of somebody signed in."""
    now = timezone.now()
    context = {
        "now": now,
        "site": freshness.site(now),
        "is_simulated": settings.CASEDEV_IS_SIMULATED,
        "user": {"is_authenticated": True},
    }
    names = ("partials/fresh.html", "partials/banners.html")
    return "".join(out_of_band(render_to_string(name, context)) for name in names)


def out_of_band(html: str) -> str:
    """Mark the root element of a piece of our own markup, for htmx to find its place by its id."""
    return re.sub(r"<([a-z]+)", r'<\1 hx-swap-oob="true"', html, count=1)
