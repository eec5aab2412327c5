"""What the holder of a share link sees: the pages of one run, to read, without an account.

Every page goes through `opened`, the only place that turns a token or a cookie into a link. A
page is given the link's source, which tells what may be told, and has no word for the run
itself, let alone for another one. How a browser trades its token for a cookie: `dashboard.door`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotFound
from django.http import HttpResponseRedirect as Redirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from dashboard import door as doors
from dashboard import downloads, guesses, passages, shared_pages, shared_reading, sharing, visitors
from dashboard.disclosure import lines, sources
from dashboard.disclosure.sources import Source
from dashboard.door import Door
from dashboard.live import shared_stream
from dashboard.models import ShareLink
from dashboard.passages import Asked
from dashboard.visitors import Visitor

type Page = Callable[..., HttpResponse]

PIECES = ("timeline", "step")  # of which an open page fetches parts
MOST = 10**9


def nothing() -> HttpResponse:
    """The one answer to every token that opens nothing, and to every wrong address behind a good
    one. Rendered without the request, so that there is nothing in it to tell them apart by."""
    return HttpResponseNotFound(render_to_string("shared/gone.html"))


def neutral() -> HttpResponse:
    """The one answer to programs that fetch links for previews, whatever the link."""
    return HttpResponse(render_to_string("shared/neutral.html"))


def opened(name: str, page: Page, without: tuple[str, ...] = ()) -> Page:
    """The way in to `page(request, source, door, ...)`, its openings noted as `name`.

    `without`: columns of the run that the page does not read. HEAD requests, which show nothing,
    and the pieces that an open page fetches for itself are no openings.
    """

    @login_not_required
    @csrf_exempt  # no page of a link changes anything, and a 405 tells less than a form error
    @require_safe
    @wraps(page)
    def view(
        request: HttpRequest, token: str = "", public_id: str = "", **parts: Any
    ) -> HttpResponse:
        visitor = visitors.of(request)
        if public_id:
            answer = _by_cookie(request, public_id, visitor, without)
        else:
            answer = _by_token(request, token, visitor, without, name)
        if isinstance(answer, HttpResponse):
            return answer
        link, door = answer
        return _shown(request, name, page, link, door, visitor, parts)

    return view


type Answer = HttpResponse | tuple[ShareLink, Door]


def _by_token(
    request: HttpRequest, token: str, visitor: Visitor, without: tuple[str, ...], name: str
) -> Answer:
    link = _link_of(request, token, visitor, without)
    if visitor.is_robot:
        if link:
            sharing.record_view(link, name, visitor)
        return neutral()
    if link is None:
        return nothing()
    rest = _behind(request, token)
    if doors.ordinal_of(request, link):
        return Redirect(doors.address(link, rest))
    if sharing.is_used_up(link):
        return nothing()
    if link.passphrase or link.most_views is not None:
        return doors.hand_ticket(request, link)
    if request.method == "GET" and doors.wants_page(request):
        return _exchanged(request, link, visitor, rest)
    return link, Door(link.pk, f"/s/{token}/", None)


def _link_of(
    request: HttpRequest, token: str, visitor: Visitor, without: tuple[str, ...]
) -> ShareLink | None:
    if guesses.is_held_off(visitor):
        request.is_held_off = True  # type: ignore[attr-defined]
        return None
    link = sharing.opened_by(token, without)
    if link is None:
        guesses.note_wrong(visitor)
    return link


def _exchanged(
    request: HttpRequest, link: ShareLink, visitor: Visitor, rest: str = ""
) -> HttpResponse:
    """Count the view and let the browser in; nobody is let in past the maximum."""
    ordinal = sharing.count_view(link)
    if ordinal is None:
        return nothing()
    sharing.record_view(link, "link", visitor, is_opening=True)
    return doors.let_in(request, link, ordinal, rest)


def _behind(request: HttpRequest, token: str) -> str:
    """What stands behind the token in the address, with its query."""
    return request.get_full_path().partition(f"/s/{token}")[2].removeprefix("/")


def _by_cookie(
    request: HttpRequest, public_id: str, visitor: Visitor, without: tuple[str, ...]
) -> Answer:
    if visitor.is_robot:
        return neutral()
    link = sharing.named(public_id, without)
    if link is None:
        return nothing()
    ordinal = doors.ordinal_of(request, link)
    if ordinal:
        return link, Door(link.pk, doors.address(link), ordinal)
    if not doors.has_ticket(request, link) or sharing.is_used_up(link):
        return nothing()
    return _asked(link)


def _asked(link: ShareLink, error: str = "", status: int = 200) -> HttpResponse:
    context = {"asks": bool(link.passphrase), "error": error}
    return HttpResponse(render_to_string("shared/ask.html", context), status=status)


def _shown(
    request: HttpRequest,
    name: str,
    page: Page,
    link: ShareLink,
    door: Door,
    visitor: Visitor,
    parts: dict[str, Any],
) -> HttpResponse:
    request.share_link = link  # type: ignore[attr-defined]
    try:
        response = page(request, sources.of(link), door, **parts)
    except Http404:
        return nothing()
    if request.method == "GET" and response.status_code == 200 and not _is_piece(request, name):
        # Without a cookie nobody knows who has been here before, so each page is a view.
        is_opening = door.ordinal is None and sharing.count_view(link) is not None
        sharing.record_view(link, name, visitor, is_opening=is_opening)
    return response


def _is_part(request: HttpRequest) -> bool:
    """Whether a page that is open already asks for a piece of itself."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.history_restore_request


def _is_piece(request: HttpRequest, name: str) -> bool:
    """Whether the answer is less than a page; the header of htmx alone does not make it so."""
    if not _is_part(request):
        return False
    return name == "step" or (name == "timeline" and "after" in request.GET)


@login_not_required
@csrf_exempt  # the ticket, SameSite and signed, is asked for instead: see `dashboard.door`
@require_http_methods(["GET", "HEAD", "POST"])
def front(request: HttpRequest, public_id: str) -> HttpResponse:
    """The link's first page, or the form before it; POST sends the form."""
    if request.method != "POST":
        return timeline(request, public_id=public_id)
    visitor = visitors.of(request)
    link = None if visitor.is_robot else sharing.named(public_id)
    if link is None or not doors.has_ticket(request, link) or sharing.is_used_up(link):
        return nothing()
    if link.passphrase:
        accepted = sharing.accepts(link, request.POST.get("passphrase", "")[:1000])
        if accepted is None:
            return _asked(link, "Too many tries. Wait a little and try again.", 429)
        if not accepted:
            return _asked(link, "That is not the passphrase.", 403)
    return _exchanged(request, link, visitor)


@login_not_required
@csrf_exempt
@require_GET
def live(request: HttpRequest, token: str = "", public_id: str = "") -> HttpResponseBase:
    """The stream of an open page; it is asked for again and again, and is no opening."""
    answer = _to_stream(request, token, public_id)
    if isinstance(answer, HttpResponse):
        return answer
    link, door = answer
    return shared_stream.answer(request, link, door)


def _to_stream(request: HttpRequest, token: str, public_id: str) -> Answer:
    visitor = visitors.of(request)
    if visitor.is_robot:
        return neutral()
    if public_id:
        link = sharing.named(public_id)
        ordinal = doors.ordinal_of(request, link) if link else None
        is_open = link is not None and ordinal is not None
    else:
        link, ordinal = _link_of(request, token, visitor, ()), None
        is_open = link is not None and not link.passphrase and link.most_views is None
    # A copy never changes, so there is nothing to wait for.
    if link is None or not is_open or link.is_frozen:
        return nothing()
    base = doors.address(link) if public_id else f"/s/{token}/"
    return link, Door(link.pk, base, ordinal)


@login_not_required
@csrf_exempt
@require_safe
def nowhere(request: HttpRequest) -> HttpResponse:
    """Every address under /s/ that is no page."""
    return nothing()


# Pages -------------------------------------------------------------------------------------------


def timeline_page(request: HttpRequest, source: Source, door: Door) -> HttpResponse:
    """Query: `after` or `at`, a position: the steps from there on."""
    after = shared_pages.number(request.GET.get("after"))
    if after is None:
        after = max((shared_pages.number(request.GET.get("at")) or 1) - 1, 0)
    context = shared_pages.frame(source, door, "timeline")
    context |= shared_pages.steps(source, after)
    if _is_part(request) and "after" in request.GET:
        return _varied(render(request, "shared/_parts.html#window", context))
    return _varied(_page(request, context))


def read_page(request: HttpRequest, source: Source, door: Door) -> HttpResponse:
    """Query: `at`, a position on the wanted page; `print=1` for longer pages, unfolded."""
    if not shared_pages.has_tab(source, "read"):
        raise Http404
    asked = Asked.from_query(request.GET)
    return _tab(request, source, door, "read", shared_reading.page(source, door, asked))


def cost_page(request: HttpRequest, source: Source, door: Door) -> HttpResponse:
    after = shared_pages.entries_after(request.GET)
    return _tab(request, source, door, "cost", shared_pages.cost(source, after))


def result_page(request: HttpRequest, source: Source, door: Door) -> HttpResponse:
    as_text = shared_pages.is_as_text(request.GET)
    return _tab(request, source, door, "result", shared_pages.result(source, door, as_text))


def link_page(request: HttpRequest, source: Source, door: Door, number: int) -> HttpResponse:
    """Before a link of the output is followed: where it leads. Letters behind punycode are not
    told, since words are not redacted in it."""
    address = lines.linked(source.output(), number)
    if address is None:
        raise Http404
    context = shared_pages.frame(source, door, "result")
    return render(request, "shared/leaving.html", context | {"address": address})


def step_link_page(
    request: HttpRequest, source: Source, door: Door, position: int, mark: str
) -> HttpResponse:
    """As `link_page`, for a link in what a step said, which the reading view shows."""
    found = source.step(position) if position <= MOST else None
    is_shown = found is not None and found.type == "output" and shared_pages.has_tab(source, "read")
    address = passages.leads(found.content or "", mark) if found and is_shown else None
    if address is None:
        raise Http404
    context = shared_pages.frame(source, door, "read") | {"of_step": position}
    return render(request, "shared/leaving.html", context | {"address": address})


def logs_page(request: HttpRequest, source: Source, door: Door) -> HttpResponse:
    return _tab(request, source, door, "logs", shared_pages.logs(source))


def step_page(request: HttpRequest, source: Source, door: Door, position: int) -> HttpResponse:
    found = shared_pages.step(source, position) if position <= MOST else None
    if found is None:
        raise Http404
    if _is_part(request):
        return _varied(render(request, "shared/_parts.html#opened", found | {"door": door}))
    context = shared_pages.frame(source, door, "") | found
    return _varied(render(request, "shared/step.html", context))


def _tab(
    request: HttpRequest, source: Source, door: Door, tab: str, context: dict[str, Any]
) -> HttpResponse:
    if not shared_pages.has_tab(source, tab):
        raise Http404
    return _page(request, shared_pages.frame(source, door, tab) | context)


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    link: ShareLink = request.share_link  # type: ignore[attr-defined]
    more = {"version": _version(link), "expires_at": link.expires_at}
    return render(request, "shared/page.html", context | more)


def _version(link: ShareLink) -> int | None:
    """What the page's stream starts from; None if the page is all that there will be."""
    return None if link.is_frozen or shared_stream.is_over(link.run) else link.run.version


def _varied(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response


# Downloads: what the pages show, whole ------------------------------------------------------------


def text_file(request: HttpRequest, source: Source, door: Door, name: str) -> HttpResponse:
    if name == "output":
        return _file(source.output(), "shared-output.md")
    run = source.run()
    texts = {"prompt": run.prompt, "guidance": run.guidance, "summary": run.summary}
    return _file(texts.get(name), f"shared-{name}.txt")


def log_file(request: HttpRequest, source: Source, door: Door, number: int) -> HttpResponse:
    texts = {log.number: log.text for log in source.logs()}
    return _file(texts.get(number), f"shared-log-{number}.txt")


def metadata_file(request: HttpRequest, source: Source, door: Door, position: int) -> HttpResponse:
    found = source.entries(position - 1, 1) if 0 < position <= MOST else []
    told = found[0].metadata if found and found[0].position == position else None
    return _file(told, f"shared-entry-{position}.json", downloads.JSON)


def step_file(
    request: HttpRequest, source: Source, door: Door, position: int, part: str
) -> HttpResponse:
    found = source.step(position) if position <= MOST else None
    if found is None:
        raise Http404
    texts = {"input": found.tool_input, "output": found.tool_output, "content": found.content}
    suffix, kind = ("txt", downloads.TEXT) if part == "content" else ("json", downloads.JSON)
    return _file(texts.get(part), f"shared-step-{position}-{part}.{suffix}", kind)


def _file(text: str | None, name: str, kind: str = downloads.TEXT) -> HttpResponse:
    if text is None:
        raise Http404
    return downloads.sealed(text, name, kind)


HEAVY = ("output", "logs")
timeline = opened("timeline", timeline_page, HEAVY)
read = opened("read", read_page, ("logs",))
cost = opened("cost", cost_page, HEAVY)
result = opened("result", result_page, ("logs",))
link = opened("link out", link_page, ("logs",))
step_link = opened("link out", step_link_page, HEAVY)
logs = opened("logs", logs_page, ("output",))
text = opened("text", text_file, ("logs",))
log = opened("log", log_file, ("output",))
metadata = opened("metadata", metadata_file, HEAVY)
step = opened("step", step_page, HEAVY)
step_payload = opened("step-payload", step_file, HEAVY)
