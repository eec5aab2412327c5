"""The live addresses: an event stream for browsers that can have one, and a single answer with
the same pieces for those that poll because a proxy between lets no stream through.
"""

import re
from typing import NamedTuple

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from dashboard import rows, run_page
from dashboard.audience import STAFF
from dashboard.live import fragments, opening, run_pieces, sight, viewers
from dashboard.live.run_pieces import Page
from dashboard.live.streams import ListStream, RunStream
from dashboard.saved import columns
from runs import poller
from runs.models import Run

MOST_ROWS = 200
LARGEST = 2**63 - 1
TABS = tuple(name for name, _ in run_page.TABS)

# Of an answer to a poll: the version that the page has from now on, and, as JSON, whether the run
# is over and whether steps were left out (run_pieces.CatchUp).
VERSION_HEADER, STATE_HEADER = "Runsheet-Version", "Runsheet-State"


class Malformed(Exception):
    """The address asks for what cannot be; the message is for people."""


class AskedOfRun(NamedTuple):
    since: int
    page: Page
    is_again: bool  # by a page that had a stream before, and may have lost what follows slowly


class AskedOfList(NamedTuple):
    shown: dict[int, int]  # versions by key
    seen: int | None  # the highest key of a run that the page knew of
    columns: tuple[str, ...]


@require_GET
def run_live(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Whoever asks is checked again every few seconds while a stream is open."""
    # No more of it than this: a thousand pages may come back at once.
    run = get_object_or_404(Run.objects.only("run_id", "version", "status"), run_id=run_id)
    try:
        asked = _asked_of_run(request)
    except Malformed as error:
        return _refusal(error)
    since = asked.since if asked.since <= run.version else 0  # an older backup is in use
    poller.attend(run)
    if (handover := opening.wanted(request)) is None:
        return _run_once(run, since, asked.page)
    hub = opening.hub_of(handover)
    viewer = viewers.signed_in(request)
    stream = RunStream(hub, viewer, run, since, asked.page, STAFF, asked.is_again)
    return opening.respond(handover, stream)


@require_GET
def runs_live(request: HttpRequest) -> HttpResponseBase:
    try:
        asked = _asked_of_list(request)
    except Malformed as error:
        return _refusal(error)
    seen = asked.seen if asked.seen is not None else rows.newest()
    if (handover := opening.wanted(request)) is None:
        return _list_once(asked, seen)
    hub, viewer = opening.hub_of(handover), viewers.signed_in(request)
    versions = sight.versions(asked.shown)
    stream = ListStream(hub, viewer, asked.shown, versions, seen, asked.columns)
    return opening.respond(handover, stream)


# Answers to polls ----------------------------------------------------------------------------


def _run_once(run: Run, since: int, page: Page) -> HttpResponse:
    quick = run_pieces.quick(run.pk, since, (), page, STAFF)
    slow = run_pieces.slow(run.pk, page, STAFF)
    html = quick.html if quick else ""
    html += "".join(part.html for part in slow[1]) if slow else ""
    html += fragments.site_freshness()
    state = {"over": sight.is_over(run), "catch_up": quick.catch_up if quick else None}
    headers = {
        VERSION_HEADER: str(quick.version if quick else since),
        STATE_HEADER: msgspec.json.encode(state).decode(),
    }
    return _pieces(html, headers)


def _list_once(asked: AskedOfList, seen: int) -> HttpResponse:
    versions = sight.versions(asked.shown)
    changed = [run for run, version in versions.items() if version > asked.shown[run]]
    html = "".join(row for _, row in fragments.list_rows(changed, asked.columns))
    html += fragments.site_freshness()
    if rows.newest() > seen:
        html += fragments.arrivals(seen)
    return _pieces(html, {VERSION_HEADER: str(seen)})


def _pieces(html: str, headers: dict[str, str]) -> HttpResponse:
    return HttpResponse(html, headers={"Cache-Control": "no-store"} | headers)


# What is asked -------------------------------------------------------------------------------


def _asked_of_run(request: HttpRequest) -> AskedOfRun:
    """A browser that reconnects by itself says what it had last in a header of its own."""
    last_id = request.headers.get("Last-Event-ID")
    given = last_id or request.GET.get("since", "0")
    at, folded = request.GET.get("at"), request.GET.get("folded")
    page = Page(
        tab=request.GET.get("tab", "timeline"),
        at=_number(at, "at") if at is not None else None,
        as_text=request.GET.get("as") == "text",
        folded=_number(folded, "folded") if folded is not None else None,
    )
    if page.tab not in TABS:
        raise Malformed(f"tab must be one of {', '.join(TABS)}.")
    is_again = last_id is not None or "again" in request.GET
    return AskedOfRun(_number(given, "since"), page, is_again)


def _asked_of_list(request: HttpRequest) -> AskedOfList:
    pairs = [pair for pair in request.GET.get("ids", "").split(",") if pair]
    if len(pairs) > MOST_ROWS:
        raise Malformed(f"ids must name at most {MOST_ROWS} runs.")
    shown = {}
    for pair in pairs:
        run, colon, version = pair.partition(":")
        if not colon:
            raise Malformed("ids must be pairs of key and version, such as 17:3,18:1.")
        shown[_number(run, "ids")] = _number(version, "ids")
    seen = request.GET.get("seen")
    number = _number(seen, "seen") if seen is not None else None
    chosen = columns.read(request.GET.get("columns", "")) or columns.DEFAULT
    return AskedOfList(shown, number, chosen)


def _number(text: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > LARGEST:
        raise Malformed(f"{name} must hold whole numbers.")
    return int(text)


def _refusal(error: Malformed) -> HttpResponse:
    return HttpResponseBadRequest(str(error), content_type="text/plain; charset=utf-8")
