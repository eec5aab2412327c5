"""The pages of one run: timeline, cost, result, logs, raw.

A page is a function of (request, run, audience, ...) with two doors. Staff come in by `staff`,
which finds the run by its id; the holder of a share link by `dashboard.views.shared`, which calls
the same page with an audience of its own: `timeline_page`, `cost_page`, `result_page`,
`logs_page`, `text_download`, `log_download`, `metadata_download`, and `page` and
`payload_download` of `dashboard.views.steps`. What an audience has no page for
(`Audience.may_see`) has no tab and no link.

Fragments. A live stream renders them alone with the same contexts; `oob=True` in the context
puts `hx-swap-oob="true"` on each root element.

====================================  =====================================  =====================
template                              context from                           root element
====================================  =====================================  =====================
runs/_title.html                      run_page.title(run, audience, now)     header#run-title
runs/_tab.html                        the run alone                          title, link#icon
runs/_head.html                       run_page.head(run, audience, now)      section#run-head
runs/_fresh.html                      run_page.fresh(run, audience, now)     p#run-fresh
runs/_facts.html                      run_page.facts(run, audience, now)     dl#run-facts
runs/_tabs.html                       run_page.tabs(run, audience, tab)      nav#run-tabs
runs/_strip.html                      timeline.strip(run, audience, now,     figure#run-strip
                                      tab)
runs/_above.html                      timeline.above(run, audience, now)     div#above-steps
runs/_none.html                       run_page.no_steps(run)                 div#no-steps
runs/_timeline.html                   timeline.page(run, audience, now, ..)  section#timeline
(dashboard.step_items)                timeline.item(line, run, audience,     li#s<position>
                                      now)
runs/_cost.html#totals                cost_page.totals(run, audience, now)   section#cost-totals
runs/_cost.html#entries               cost_page.entries(run, audience, now)  section#cost-entries
runs/_result.html#result              run_page.result(run, audience, now)    section#run-result
runs/_logs.html#logs                  run_page.logs(run, audience, now)      section#run-logs
runs/_reading.html                    run_page.title(run, audience, now) |   section#reading
                                      reading.page(run, audience, now, ..)
====================================  =====================================  =====================

`#run-head` is small and may be replaced whole at each change. `#run-title` holds the request,
which people read: replace it only when the prompt came whole (`run.prompt_is_cut` turned).
`#run-facts` is the list inside its fold, so that an open fold stays open.

`timeline.changed_steps(run, since=version)` gives the steps that came or changed after that
version, in order; `step_lines.lines` makes lines of them. Those beyond `data-last` of `ol#steps`
are new and belong at its end, if `data-complete="yes"`; otherwise (a filter is on, or the end of
the run is not in the window) only counts change. The others replace `li#<line.dom_id>`.

Marks for scripts: `data-since="<ISO time>"` on a span counts on from there; `data-copy="<id>"` on
a button copies the text of the element with that id.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from dashboard import cost_page as costs
from dashboard import downloads, passages, reading, run_page, watermarks
from dashboard import timeline as timelines
from dashboard.audience import STAFF, Audience
from dashboard.disclosure import lines
from dashboard.timeline import Asked
from runs.models import Payload, Run

# Columns of megabytes, which only some tabs read.
HEAVY = ("output", "logs")
TEXTS = {
    "prompt": "prompt.txt",
    "guidance": "guidance.txt",
    "output": "output.md",
    "summary": "summary.txt",
}

type Page = Callable[..., HttpResponseBase]


def staff(page: Page, without: tuple[str, ...] = ()) -> Page:
    """The door of whoever is signed in: finds the run, or answers with a 404 that leads on.

    `without`: columns that the page does not read.
    """

    @require_safe
    @cache_control(private=True, no_store=True)
    @wraps(page)
    def view(request: HttpRequest, run_id: str, **parts: Any) -> HttpResponseBase:
        runs = Run.objects.select_related("poll").defer("poll__seen_digest", *without)
        run = runs.filter(run_id=run_id).first()
        if run is None:
            return render(request, "runs/not_here.html", {"run_id": run_id}, status=404)
        try:
            return page(request, run, STAFF, **parts)
        except Http404 as error:
            context = {"run": run, "audience": STAFF, "sentence": str(error)}
            return render(request, "runs/not_here.html", context, status=404)

    return view


def is_part(request: HttpRequest) -> bool:
    """Whether a page that is open already asks for a piece of itself."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.history_restore_request


# Tabs ----------------------------------------------------------------------------------------


def timeline_page(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    """Query: `at`, `type`, `tool`, `failed`, `gone`; `after` and `before` for the next part."""
    now = timezone.now()
    asked = Asked.from_query(request.GET)
    if "go" in request.GET and asked.at is not None:
        here = audience.url("timeline", run)
        return redirect(f"{here}{asked.query(at=asked.at)}#s{asked.at}")
    context = timelines.page(run, audience, now, asked)
    if asked.is_part and is_part(request):
        context |= watermarks.context(request.user.pk, run)
        return _vary(render(request, "runs/_timeline.html#part", context))
    return _tab(request, run, audience, "timeline", context)


def cost_page(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    """Query: `at` opens the entries around that position."""
    now = timezone.now()
    at = Asked.from_query(request.GET).at
    context = costs.totals(run, audience, now) | costs.entries(run, audience, now, at)
    return _tab(request, run, audience, "cost", context)


def result_page(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    """Query: `as=text` shows the output as it was written."""
    as_text = request.GET.get("as") == "text"
    context = run_page.result(run, audience, timezone.now(), as_text)
    return _tab(request, run, audience, "result", context)


def reading_page(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    """Query: `at`, a position on the wanted page; `print=1` for longer pages, unfolded."""
    now = timezone.now()
    asked = passages.Asked.from_query(request.GET)
    context = reading.page(run, audience, now, asked)
    return _tab(request, run, audience, "read", context)


def link_page(request: HttpRequest, run: Run, audience: Audience, number: int) -> HttpResponse:
    """Before link `number` of the output is followed: where it leads."""
    address = lines.linked(run.output, number)
    if address is None:
        raise Http404("The result has no such link.")
    context = {"run": run, "address": address, "back": audience.url("result", run)}
    return render(request, "runs/leaving.html", context)


def logs_page(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    context = run_page.logs(run, audience, timezone.now())
    return _tab(request, run, audience, "logs", context)


def _tab(
    request: HttpRequest, run: Run, audience: Audience, tab: str, context: dict[str, Any]
) -> HttpResponse:
    around = run_page.frame(run, audience, context["now"], tab)
    around |= watermarks.context(request.user.pk, run)
    return _vary(render(request, f"runs/{tab}.html", around | context))


def _vary(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response


# Downloads -----------------------------------------------------------------------------------


def raw_download(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    """The last good answer as it came; `?refused=1`: the last one that could not be read."""
    is_refused = request.GET.get("refused") == "1"
    kind = Payload.Kind.REFUSED if is_refused else Payload.Kind.GOOD
    body = run.payloads.filter(kind=kind).first()
    if body is None:
        which = "refused answer" if is_refused else "answer"
        raise Http404(f"No {which} of Case.dev is kept for this run.")
    if is_refused:
        return downloads.sealed(body.text, f"{run.run_id}-refused.txt")
    return downloads.sealed(body.text, f"{run.run_id}.json", downloads.JSON, as_attachment=False)


def text_download(request: HttpRequest, run: Run, audience: Audience, name: str) -> HttpResponse:
    """One of TEXTS, whole. Http404 for another name, and where there is no such text."""
    value = getattr(run, name) if name in TEXTS else None
    if value is None:
        raise Http404("This run has no such text.")
    return downloads.sealed(value, f"{run.run_id}-{TEXTS[name]}")


def log_download(request: HttpRequest, run: Run, audience: Audience, number: int) -> HttpResponse:
    found = run_page.log_text(run, number)
    if found is None:
        raise Http404("This run has no such log.")
    return downloads.sealed(found[1], f"{run.run_id}-log-{number}.txt")


def metadata_download(
    request: HttpRequest, run: Run, audience: Audience, position: int
) -> HttpResponse:
    """The metadata of a usage entry, as sent."""
    entries = run.entries.filter(position=position, vanished_at=None)
    found = entries.values_list("metadata", flat=True).first()
    if found is None:
        raise Http404("This entry has no metadata.")
    return downloads.sealed(found, f"{run.run_id}-entry-{position}.json", downloads.JSON)


timeline = staff(timeline_page, without=HEAVY)
cost = staff(cost_page, without=HEAVY)
read = staff(reading_page, without=("logs",))
result = staff(result_page, without=("logs",))
link = staff(link_page, without=("logs",))
logs = staff(logs_page, without=("output",))
raw = staff(raw_download, without=HEAVY)
text = staff(text_download, without=("logs",))
log = staff(log_download, without=("output",))
metadata = staff(metadata_download, without=HEAVY)
