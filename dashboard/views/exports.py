"""Taking runs out as files: a page that offers them, the files, and how far they are."""

from collections.abc import Iterator

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from dashboard import filters, run_page
from dashboard.audience import Audience
from dashboard.exports import answers, form_csv, form_xlsx, progress, record, tables
from dashboard.exports.pieces import Piece
from dashboard.exports.progress import Progress
from dashboard.exports.tables import Table
from dashboard.saved import columns
from dashboard.timeline import Asked
from dashboard.views.run import HEAVY, staff
from runs.models import Run

CSV = "text/csv; charset=utf-8; header=present"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
JSON = "application/json"
FORMS = {"csv": (form_csv.pieces, CSV), "xlsx": (form_xlsx.pieces, XLSX)}
MOST_LOOKS = 15  # of a page from which nothing has been ordered yet


def run_exports_page(request: HttpRequest, run: Run, audience: Audience) -> HttpResponse:
    """Query: the timeline's filters, which then hold for the table of steps."""
    now = timezone.now()
    asked = Asked.from_query(request.GET)
    context = run_page.frame(run, audience, now, "export") | {
        "asked": asked,
        "steps_query": asked.query().removeprefix("?") if asked.is_filtered else "",
        "matching": tables.steps(run, now, asked).total if asked.is_filtered else run.step_count,
        "entries": run.entries.count(),
        "token": progress.new_token(),
        "is_over": True,  # the page tells what there is, and needs no news
    }
    return render(request, "exports/run.html", context)


run_exports = staff(run_exports_page, without=HEAVY)


@require_GET
def run_table(request: HttpRequest, run_id: str, table: str, form: str) -> HttpResponseBase:
    """Of `table` "steps" or "costs" a file of one of FORMS."""
    run = _run(run_id)
    now = timezone.now()
    filename = f"{run.run_id}-{table}.{form}"
    if table == "costs":
        return _answer(request, tables.costs(run), form, filename)
    asked = Asked.from_query(request.GET)
    told = asked.query() if asked.is_filtered else ""
    return _answer(request, tables.steps(run, now, asked), form, filename, told)


@require_GET
def run_json(request: HttpRequest, run_id: str) -> HttpResponseBase:
    run = get_object_or_404(Run.objects.select_related("poll"), run_id=run_id)
    filename = f"{run.run_id}-record.json"
    told = _progress(request, filename, record.count(run))
    return answers.stream(record.pieces(run), filename, JSON, told)


@require_safe
@never_cache
def list_exports(request: HttpRequest) -> HttpResponse:
    """Query: the list's own. Its columns are those that the list shows, or all there are."""
    now = timezone.now()
    asked = filters.read(request.GET, now)
    total = filters.how_many(filters.matching(asked))
    shown = columns.of(request.user.pk or 0, asked.columns)
    context = {
        "asked": asked,
        "query": asked.query(),
        "total": total,
        "most_counted": filters.MOST_COUNTED,
        "token": progress.new_token(),
        "columns": [tables.RUN_COLUMNS[at] for at in tables.run_columns(shown)],
        "all_columns": tables.RUN_COLUMNS,
    }
    return render(request, "exports/list.html", context)


@require_GET
def list_csv(request: HttpRequest) -> HttpResponseBase:
    """Query: the list's own, and `every=column` for all columns that there are."""
    now = timezone.now()
    asked = filters.read(request.GET, now)
    is_all = request.GET.get("every") == "column"
    shown = None if is_all else columns.of(request.user.pk or 0, asked.columns)

    def address_of(run: Run) -> str:
        return request.build_absolute_uri(run.get_absolute_url())

    made = tables.runs(asked, now, address_of, shown)
    filename = f"runs-{timezone.localtime(now):%Y-%m-%d-%H%M}.csv"
    return _answer(request, made, "csv", filename, asked.query())


@require_safe
@never_cache
def export_progress(request: HttpRequest, order: str) -> HttpResponse:
    """How far the files are that were ordered from the page with the token `order`: a piece of it.

    Query: `look`, how often was asked before anything was ordered.
    """
    if not progress.is_token(order):
        raise Http404
    assert isinstance(request.user, User)
    orders = progress.orders(request.user.pk, order)
    look = request.GET.get("look", "")
    looks = int(look) + 1 if look.isdecimal() and len(look) < 4 else 1
    goes_on = any(not order.told.is_over for order in orders) if orders else looks < MOST_LOOKS
    context = {"orders": orders, "token": order, "looks": looks, "goes_on": goes_on}
    return render(request, "exports/_progress.html", context)


def _run(run_id: str) -> Run:
    runs = Run.objects.select_related("poll").defer("poll__seen_digest", *HEAVY)
    return get_object_or_404(runs, run_id=run_id)


def _answer(
    request: HttpRequest, table: Table, form: str, filename: str, asked: str = ""
) -> HttpResponseBase:
    written, content_type = FORMS[form]
    pieces: Iterator[Piece] = written(table)
    told = _progress(request, filename, table.total)
    return answers.stream(pieces, filename, content_type, told, asked)


def _progress(request: HttpRequest, filename: str, total: int | None) -> Progress:
    assert isinstance(request.user, User)
    return Progress(request.user.pk, request.GET.get("progress", ""), filename, total)
