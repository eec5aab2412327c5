"""The first page: what runs, what needs somebody, what it cost, and how fresh all that is."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import board, watermarks
from dashboard.rows import newest, rows, stream


@require_safe
@never_cache
def overview(request: HttpRequest) -> HttpResponse:
    """The whole page; to htmx, which asks again now and then, what changes, for out of band.

    live.js then changes only what differs, so that nobody who reads is disturbed.
    """
    now, seen = timezone.now(), newest()
    running = board.running()
    context = rows(running, now) | stream(running, seen)
    if seen:
        context |= board.context(now, request.GET.get("show", ""))
    is_part = bool(request.htmx)  # type: ignore[attr-defined]
    template = "overview.html#board" if is_part else "overview.html"
    context |= {"is_empty": not seen, "is_part": is_part, "seen_to": seen}
    if not is_part:
        context["news"] = watermarks.news(request.user.pk)
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response
