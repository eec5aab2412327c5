"""Two runs side by side, and the choice of the second one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from dashboard import comparing
from dashboard.audience import STAFF
from runs.discovery import NotARunId, run_id_in
from runs.models import Run


@require_safe
@cache_control(private=True, no_store=True)
def compare(request: HttpRequest) -> HttpResponse:
    """Query: `a` and `b`, ids or addresses of runs, or `run` twice. Without a second one, the
    choice of it."""
    given = [*(request.GET.get(name, "") for name in ("a", "b")), *request.GET.getlist("run")]
    ids = [_run_id(text) for text in given if text.strip()][:2]
    runs = Run.objects.select_related("poll").defer("poll__seen_digest", "logs")
    known = {run.run_id: run for run in runs.filter(run_id__in=ids)}
    unknown = [one for one in ids if one not in known]
    # Whoever sees two runs has looked at both, which the audit log is to say of each.
    request.seen_runs = list(dict.fromkeys(known))  # type: ignore[attr-defined]
    now = timezone.now()
    if len(ids) == 2 and not unknown:
        context = comparing.context(known[ids[0]], known[ids[1]], now)
        return render(request, "compare/compare.html", context | {"audience": STAFF})
    first = known.get(ids[0]) if ids else None
    context = {"a": first, "unknown": unknown, "given": request.GET.get("b", ""), "now": now}
    if first:
        context |= {"same": comparing.asked_before(first), "audience": STAFF}
    return render(request, "compare/choose.html", context, status=404 if unknown else 200)


def _run_id(text: str) -> str:
    try:
        return run_id_in(text)
    except NotARunId:
        return text.strip()[:200]
