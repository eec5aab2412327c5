"""Somebody has seen a run, or the lists of runs. Asked by a page when it is left, or by a button.

The only thing written is how far that person has looked; nothing is shown, so nothing of it
stands in the audit log, where the looks themselves are.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from dashboard import watermarks
from runs.models import Run

LARGEST = 2**63 - 1


@require_POST
def run_looked(request: HttpRequest, run_id: str) -> HttpResponse:
    """Form: `version` and `micros` as the page showed them; `back` from the button."""
    runs = Run.objects.only("run_id", "version", "step_count", "cost_micros", "status")
    run = get_object_or_404(runs, run_id=run_id)
    version = _number(request, "version")
    shown = run.version if version is None else version
    watermarks.saw(_person(request), run, shown, _number(request, "micros"))
    return redirect(run) if "back" in request.POST else HttpResponse(status=204)


@require_POST
def lists_looked(request: HttpRequest) -> HttpResponse:
    """Form: `newest`, the key of the latest run that the page knew of; `back`, where the button
    was pressed."""
    watermarks.looked(_person(request), _number(request, "newest"))
    if "back" not in request.POST:
        return HttpResponse(status=204)
    back = request.POST["back"]
    is_ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if is_ours else "overview")


def _person(request: HttpRequest) -> int:
    assert request.user.pk is not None  # the login is required of every page
    return request.user.pk


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.POST.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 20
    return int(text) if is_number and int(text) <= LARGEST else None
