"""Who has seen a run, for those who answer for it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import needs
from dashboard.audit import audience
from runs.models import Run

may_see = needs(
    "dashboard.see_audience",
    "Your role does not include seeing who has seen a run. Ask an administrator for the role of "
    "a member.",
)


@require_safe
@never_cache
@may_see
def seen(request: HttpRequest, run_id: str) -> HttpResponse:
    """Query: `after`, the number of the last look on the page before."""
    run = get_object_or_404(Run.objects.only("run_id", "prompt", "status"), run_id=run_id)
    return render(request, "audit/seen.html", audience.context(run, request.GET.get("after", "")))
