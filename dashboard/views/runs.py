"""The list of runs: `filters` reads the address, `rows` makes the lines."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import filters, watermarks
from dashboard.facets import facets
from dashboard.rows import newest, rows, stream
from dashboard.saved import columns, flows
from dashboard.views.run import is_part
from runs.models import Run

PAGE_LENGTH = 50


@require_safe
@never_cache
def runs(request: HttpRequest) -> HttpResponse:
    """The whole page; to a filter that changed (htmx), only the results and what was wrong.

    Asked for nothing at all it shows the person's default view; `all` asks for everything.
    """
    if (
        not request.GET
        and not is_part(request)
        and (default := flows.default_of(request.user.pk or 0))
    ):
        return redirect(f"{request.path}?{default.query or 'all'}")
    now, seen = timezone.now(), newest()
    asked = filters.read(request.GET, now)
    page, total, most = filters.answer(asked, PAGE_LENGTH, now)
    menus = facets(asked.agent, asked.model)
    shown = columns.of(request.user.pk or 0, asked.columns)
    context = (
        rows(page.runs, now, menus.agent_names, shown)
        | stream(page.runs, seen, shown)
        | {
            "asked": asked,
            "seen_to": seen,
            "menus": menus,
            "sorts": filters.SORTS,
            "statuses": filters.STATUSES,
            "periods": filters.PERIODS,
            "total": total,
            "most_counted": most,
            "page_length": PAGE_LENGTH,
            "next_query": asked.query(after=page.next) if page.next else "",
            "first_query": asked.query(),
        }
    )
    return _answer(request, context)


def _answer(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    if not is_part(request):
        context["news"] = watermarks.news(request.user.pk)
        if not context["runs"]:
            context["is_empty"] = not Run.objects.exists()
        response = render(request, "runs/list.html", context)
    else:
        # A list without rows asks what it has by now: live.js then changes only what differs.
        is_merged = request.htmx.trigger == "no-runs"  # type: ignore[attr-defined]
        context |= {"is_part": True, "is_merged": is_merged}
        response = render(request, "runs/list.html#results", context)
        # `all`, since the plain address would lead to the default view.
        address = f"{request.path}?{context['asked'].query() or 'all'}"
        here = (request.htmx.current_url_abs_path or "").partition("#")[0]  # type: ignore[attr-defined]
        if here == request.path:  # all runs as well, or it had led elsewhere
            here += "?all"
        if here not in (address, request.get_full_path()):
            response["HX-Push-Url"] = address
    patch_vary_headers(response, ["HX-Request"])
    return response
