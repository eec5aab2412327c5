"""A run as one document to be printed, whatever its length: sent part by part, as it is made."""

from collections.abc import Iterator

from django.http import HttpRequest
from django.http.response import StreamingHttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from dashboard import reading, run_page
from dashboard.audience import Audience
from dashboard.exports import answers
from dashboard.exports.pieces import Piece
from dashboard.passages import PRINTED, Asked, Pages
from dashboard.views.run import staff
from runs.models import Run

STEPS = '<ol id="read" class="sheet steps read">'  # of runs/_reading.html, where the steps stand


def whole_page(request: HttpRequest, run: Run, audience: Audience) -> StreamingHttpResponse:
    return answers.page(_pieces(request, run, audience))


def _pieces(request: HttpRequest, run: Run, audience: Audience) -> Iterator[Piece]:
    """The last page with all that stands around its steps, and before its steps all others."""
    now = timezone.now()
    last = reading.page(run, audience, now, Asked(at=reading.END, is_print=True))
    end = last["pages"].end
    around = run_page.frame(run, audience, now, "read") | last
    around |= {"pages": Pages(1, end, end, None, None), "is_whole": True}
    head, steps, rest = render_to_string("runs/read.html", around, request).partition(STEPS)
    yield Piece((head + steps).encode(), 0)
    for at in range(1, last["pages"].first, PRINTED):
        part = reading.page(run, audience, now, Asked(at=at, is_print=True))
        part["cost_page"] = audience.url("cost", run)
        yield Piece(render_to_string("reading/_passages.html", part).encode(), PRINTED)
    yield Piece(rest.encode(), 0)


whole = staff(whole_page, without=("logs",))
