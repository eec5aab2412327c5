"""The first page: what runs, what needs somebody, what it cost, and how fresh all that is."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import board
from dashboard.rows import newest, rows, stream
from runs import notices
from runs.models import Run


@require_safe
@never_cache
def overview(request: HttpRequest) -> HttpResponse:
    """The whole page; to htmx, which asks again now and then, only the part that changes."""
    now, seen = timezone.now(), newest()
    running = board.running()
    active = board.active_counts()
    concerns = board.concerns(now, request.GET.get("show", ""))
    beat = notices.last_beat()
    context = (
        rows(running, now)
        | stream(running, seen)
        | {
            "active": active,
            "unshown_running": active[Run.Status.RUNNING] - board.MOST_RUNNING,
            "concerns": concerns,
            "worry_count": sum(concern.total for concern in concerns),
            "is_unchecked": sum(active.values()) > board.MOST_CHECKED,
            "most_checked": board.MOST_CHECKED,
            "failed_in_week": Run.objects.filter(board.failed_in("7d", now)).count(),
            "costs": board.costs(now),
                "worker_seen_at": board.moment(beat),
            "is_empty": not seen,
        }
    )
    template = "overview.html#board" if request.htmx else "overview.html"  # type: ignore[attr-defined]
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response
