"""The stream of a recipient's page. What goes down it comes from the link's own source, through
the same serializer and the same templates as the page itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, QueryDict
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from dashboard import shared_pages, shared_reading, sharing
from dashboard.disclosure import rules
from dashboard.disclosure.sources import FromRecord
from dashboard.door import Door
from dashboard.live import opening, sight, sse
from dashboard.live.hub import Hub
from dashboard.live.renderings import NOTHING, Key, Made, Part, Parts, Rendering, having
from dashboard.live.run_pieces import MOST_STEPS, CatchUp, differing
from dashboard.live.streams import PageStream
from dashboard.live.viewers import Viewer
from dashboard.models import ShareLink
from dashboard.passages import Asked
from runs import poller
from runs.models import Run

# Columns of megabytes, and the tabs that show them.
HEAVY = {"output": ("result", "read"), "logs": ("logs",)}
TABS = ("timeline", "read", "cost", "result", "logs")
LARGEST = 2**63 - 1

VERSION_HEADER, STATE_HEADER = "Runsheet-Version", "Runsheet-State"


def is_over(run: Run) -> bool:
    return sight.is_over(run)


def answer(request: HttpRequest, link: ShareLink, door: Door) -> HttpResponseBase:
    """A stream, or one answer with the same pieces to who polls because none gets through."""
    tab = request.GET.get("tab", "timeline")
    given = request.headers.get("Last-Event-ID") or request.GET.get("since", "0")
    is_number = given.isascii() and given.isdecimal() and len(given) < 20
    if tab not in TABS or not is_number or int(given) > LARGEST:
        return HttpResponseBadRequest(
            "since must be a whole number and tab a tab.", content_type="text/plain; charset=utf-8"
        )
    since = int(given) if int(given) <= link.run.version else 0
    tab = f"{tab} {_place(tab, request.GET)}"
    poller.attend(link.run)
    if (handover := opening.wanted(request)) is None:
        return _once(link, since, tab, door)
    stream = SharedStream(opening.hub_of(handover), link, since, tab, door)
    return opening.respond(handover, stream)


def _place(tab: str, query: QueryDict) -> str:
    """Which page of the tab it is, as its own address would ask for it."""
    match tab:
        case "read":
            return Asked.from_query(query).query
        case "cost":
            return f"after={shared_pages.entries_after(query)}"
        case "result" if shared_pages.is_as_text(query):
            return "as=text"
    return ""


class SharedStream(PageStream):
    __slots__ = ("door", "have", "tab")

    def __init__(self, hub: Hub, link: ShareLink, since: int, tab: str, door: Door) -> None:
        viewer = Viewer(link_pk=link.pk, ordinal=door.ordinal)
        super().__init__(hub, viewer, link.run, since)
        self.tab, self.door = tab, door
        self.have = NOTHING

    async def news(self) -> bytes:
        return await self.all() if self.hub.topics[self.run].version > self.sent else b""

    async def later(self) -> bytes:
        return await self.all()

    async def all(self) -> bytes:
        topic = self.hub.topics[self.run]
        self.number = topic.number
        # Two views of one link share what they see, so their number is no part of the key.
        key = (
            *("shared", self.run, topic.version, topic.number, self.sent, self.have, self.tab),
            *(self.door.link_pk, self.door.base),
        )
        rendering = await self.hub.renderings.get(key, self.render)
        if rendering is None:
            self.end_reason = self.end_reason or "withdrawn"
            return b""
        self.hub.trust(self.run, topic.version, rendering.version)
        self.sent, self.have = rendering.version, rendering.have
        return rendering.frame

    async def render(self, keys: Sequence[Key]) -> Made:
        return await self.hub.in_thread(_rendered, keys[0])


def _rendered(key: Key) -> Made:
    _, _, target, _, since, have, tab, link_pk, base = key
    made = _pieces(link_pk, base, tab, since, have.parts)
    if made is None:
        return {}
    version, html, parts, catch_up = made
    frame = sse.event("change", html, version) if html or version > since else b""
    if catch_up:
        frame += sse.event("catch-up", msgspec.json.encode(catch_up).decode())
    return {key: Rendering(version, frame, having(parts), is_lasting=version >= target)}


def _pieces(
    link_pk: int, base: str, tab: str, since: int, have: Parts
) -> tuple[int, str, Parts, CatchUp | None] | None:
    """What a page at version `since` lacks; None if the link does not open any more."""
    tab, _, place = tab.partition(" ")
    unread = [column for column, of_tabs in HEAVY.items() if tab not in of_tabs]
    link = sharing.by_key(link_pk, unread)
    if link is None:
        return None
    source = FromRecord(link.run, rules.terms(link.shows, link.rules))
    door = Door(link_pk, base, None)
    html, parts = differing(_parts(source, door, tab, place), have)
    if tab != "timeline":
        return link.run.version, html, parts, None
    steps, catch_up = _steps(source, door, since)
    return link.run.version, html + steps, parts, catch_up


def _parts(source: FromRecord, door: Door, tab: str, place: str) -> Iterator[Part]:
    frame = shared_pages.frame(source, door, tab) | {"oob": True}
    asked = QueryDict(place)
    yield Part("head", _piece("head", frame))
    yield Part("tabs", _piece("tabs", frame))
    match tab:
        case "timeline":
            yield Part("summary", _piece("summary", frame))
            if frame["shows"]["timeline"]:
                yield Part("none", _piece("none", frame))
        case "read":
            document = frame | shared_reading.page(source, door, Asked.from_query(asked))
            yield Part("reading", render_to_string("shared/_reading.html", document))
        case "cost":
            entries = shared_pages.cost(source, shared_pages.entries_after(asked))
            yield Part("cost", _piece("cost", frame | entries))
        case "result":
            result = shared_pages.result(source, door, shared_pages.is_as_text(asked))
            yield Part("result", _piece("result", frame | result))
        case "logs":
            yield Part("logs", _piece("logs", frame | shared_pages.logs(source)))


def _piece(name: str, context: dict[str, Any]) -> str:
    return render_to_string(f"shared/_parts.html#{name}", context)


def _steps(source: FromRecord, door: Door, since: int) -> tuple[str, CatchUp | None]:
    changed = source.changed_since(since, MOST_STEPS + 1)
    sent = shared_pages.items(changed[:MOST_STEPS], source)
    context = {"lines": sent, "door": door}
    if not sent:
        return "", None
    html = f'<ol hx-swap-oob="beforeend:#steps">{_piece("window", context)}</ol>'
    if len(changed) <= MOST_STEPS:
        return html, None
    return html, CatchUp(up_to=sent[-1].position, last=source.run().step_count or 0)


def _once(link: ShareLink, since: int, tab: str, door: Door) -> HttpResponse:
    made = _pieces(link.pk, door.base, tab, since, ())
    version, html, _, catch_up = made or (since, "", (), None)
    state = {"over": sight.is_over(link.run), "catch_up": catch_up}
    headers = {VERSION_HEADER: str(version), STATE_HEADER: msgspec.json.encode(state).decode()}
    return HttpResponse(html, headers={"Cache-Control": "no-store"} | headers)
