"""One step: its page, its piece in the timeline, and its texts byte for byte."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from dashboard import downloads, run_page, step_lines, step_page
from dashboard.audience import Audience
from dashboard.outline import Brief
from dashboard.views import run as run_pages
from runs.models import Run, Step

COLUMNS = {"input": "tool_input", "output": "tool_output", "content": "content"}


def page(request: HttpRequest, run: Run, audience: Audience, position: int) -> HttpResponse:
    """To htmx only what opens below the step's line. Query: `was`, the row of a vanished step."""
    now = timezone.now()
    found = _find(request, run, position)
    if run_pages.is_part(request):
        context = step_page.body(run, audience, now, found)
        response = render(request, "runs/_step.html#body", context)
    else:
        context = run_page.tabs(run, audience, "") | step_page.page(run, audience, now, found)
        response = render(request, "runs/step.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def link_page(
    request: HttpRequest, run: Run, audience: Audience, position: int, mark: str
) -> HttpResponse:
    """Before a link in what a step said is followed: where it leads."""
    found = _find(request, run, position)
    content = Step.objects.values_list("content", flat=True).get(pk=found.pk)
    is_prose = found.type == Step.Type.OUTPUT
    address = step_lines.leads(content or "", mark) if is_prose else None
    if address is None:
        raise Http404(f"Step {position} has no such link.")
    back = audience.url("step", run, position)
    context = {"run": run, "address": address, "back": back, "of_step": position}
    return render(request, "runs/leaving.html", context)


def payload_download(
    request: HttpRequest, run: Run, audience: Audience, position: int, part: str
) -> HttpResponse:
    """One of COLUMNS as it was sent. Http404 where the step has none."""
    found = _find(request, run, position)
    column = COLUMNS.get(part)
    if column is None:
        raise Http404("A step has an input, an output and a content.")
    value = Step.objects.values_list(column, flat=True).get(pk=found.pk)
    if value is None:
        raise Http404(f"Step {position} has no {part}.")
    is_text = part == "content"
    suffix, kind = ("txt", downloads.TEXT) if is_text else ("json", downloads.JSON)
    return downloads.sealed(value, f"{run.run_id}-step-{position}-{part}.{suffix}", kind)


def _find(request: HttpRequest, run: Run, position: int) -> Brief:
    was = request.GET.get("was", "")
    found = step_page.find(run, position, int(was) if was.isdecimal() and len(was) < 19 else None)
    if found is None:
        raise Http404(f"There is no step {position} in this run.")
    return found


step = run_pages.staff(page, without=run_pages.HEAVY)
step_link = run_pages.staff(link_page, without=run_pages.HEAVY)
step_payload = run_pages.staff(payload_download, without=run_pages.HEAVY)
