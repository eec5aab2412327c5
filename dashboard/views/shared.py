"""What the holder of a share link sees: the pages of one run, to read, without an account.

Every page goes through `opened`, the only place that turns a token into a run. A page then knows
its run and its audience, and has no word for any other run.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotFound
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from dashboard import sharing
from dashboard.audience import Audience
from dashboard.views import run as run_pages
from dashboard.views import steps as step_pages
from runs.models import Run

type Page = Callable[..., HttpResponse]


def nothing() -> HttpResponse:
    """The one answer to every token that opens nothing, and to every wrong address behind a good
    one. Rendered without the request, so that there is nothing in it to tell them apart by."""
    return HttpResponseNotFound(render_to_string("shared/gone.html"))


def opened(name: str) -> Callable[[Page], Page]:
    """Makes `page(request, run, audience, ...)` a view of the link's token, noted as `name`.

    Pages and downloads that a person opens are noted; fragments that a page fetches for itself
    and HEAD requests, which show nothing, are not.
    """

    def decorate(page: Page) -> Page:
        @login_not_required
        @csrf_exempt  # no page of a link changes anything, and a 405 tells less than a form error
        @require_safe
        @wraps(page)
        def view(request: HttpRequest, token: str, **parts: Any) -> HttpResponse:
            link = sharing.opened_by(token)
            if link is None:
                return nothing()
            request.share_link = link  # type: ignore[attr-defined]
            try:
                response = page(request, link.run, Audience(link.pk, token), **parts)
            except Http404:
                return nothing()
            if request.method == "GET" and response.status_code == 200 and not _fetched(request):
                sharing.record_view(link, name)
            return response

        return view

    return decorate


def _fetched(request: HttpRequest) -> bool:
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.history_restore_request


@login_not_required
@csrf_exempt
@require_safe
def nowhere(request: HttpRequest, **parts: Any) -> HttpResponse:
    """Every address under /s/ that is no page."""
    return nothing()
