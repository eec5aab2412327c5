"""What the holder of a share link sees: the pages of one run, to read, without an account.

Every page goes through `opened`, the only place that turns a token into a run. A page then knows
its run and its audience, and has no word for any other run.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotFound
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_safe

from dashboard import sharing
from dashboard.audience import Audience
from dashboard.live import viewers
from dashboard.timeline import Asked
from dashboard.views import live as live_pages
from dashboard.views import run as run_pages
from dashboard.views import steps as step_pages

type Page = Callable[..., HttpResponse]


def nothing() -> HttpResponse:
    """The one answer to every token that opens nothing, and to every wrong address behind a good
    one. Rendered without the request, so that there is nothing in it to tell them apart by."""
    return HttpResponseNotFound(render_to_string("shared/gone.html"))


def opened(name: str, page: Page, without: tuple[str, ...] = ()) -> Page:
    """The door of a link: `page(request, run, audience, ...)`, its openings noted as `name`.

    `without`: columns of the run that the page does not read. HEAD requests, which show nothing,
    and the pieces that an open page fetches for itself are no openings.
    """

    @login_not_required
    @csrf_exempt  # no page of a link changes anything, and a 405 tells less than a form error
    @require_safe
    @wraps(page)
    def view(request: HttpRequest, token: str, **parts: Any) -> HttpResponse:
        link = sharing.opened_by(token, without)
        if link is None:
            return nothing()
        request.share_link = link  # type: ignore[attr-defined]
        try:
            response = page(request, link.run, Audience(link.pk, token), **parts)
        except Http404:
            return nothing()
        if request.method == "GET" and response.status_code == 200 and not _piece(request, name):
            sharing.record_view(link, name)
        return response

    return view


def _piece(request: HttpRequest, name: str) -> bool:
    """Whether the answer is less than a page; the header of htmx alone does not make it so."""
    if not run_pages.is_part(request):
        return False
    return name == "step" or (name == "timeline" and Asked.from_query(request.GET).is_part)


@login_not_required
@csrf_exempt
@require_GET
async def live(request: HttpRequest, token: str) -> HttpResponseBase:
    """The stream of an open page; it is asked for again and again, and is no opening."""
    link = await sync_to_async(sharing.opened_by)(token)
    if link is None:
        return nothing()
    audience, viewer = Audience(link.pk, token), viewers.holder_of(link.pk)
    return await live_pages.answer_for_run(request, link.run, audience, viewer)


@login_not_required
@csrf_exempt
@require_safe
def nowhere(request: HttpRequest) -> HttpResponse:
    """Every address under /s/ that is no page."""
    return nothing()


timeline = opened("timeline", run_pages.timeline_page, run_pages.HEAVY)
cost = opened("cost", run_pages.cost_page, run_pages.HEAVY)
result = opened("result", run_pages.result_page, ("logs",))
logs = opened("logs", run_pages.logs_page, ("output",))
text = opened("text", run_pages.text_download, ("logs",))
log = opened("log", run_pages.log_download, ("output",))
metadata = opened("metadata", run_pages.metadata_download, run_pages.HEAVY)
step = opened("step", step_pages.page, run_pages.HEAVY)
step_payload = opened("step-payload", step_pages.payload_download, run_pages.HEAVY)
