"""Which columns the list shows: a small form."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard import filters
from dashboard.saved import columns


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def list_columns(request: HttpRequest) -> HttpResponse:
    """Query: the list's own, to which it leads back.

    Form: `column`, the names of those that are shown; `place-<name>`, a number, by which they are
    put in order; `reset` for the default.
    """
    assert isinstance(request.user, User)
    asked = filters.read(request.GET, timezone.now())
    query = asked.query(columns="")
    if request.method == "POST":
        columns.keep(request.user, () if "reset" in request.POST else _chosen(request))
        return redirect(f"{reverse('runs')}?{query or 'all'}")
    shown = columns.of(request.user.pk, asked.columns)
    order = [*shown, *(name for name in columns.COLUMNS if name not in shown)]
    context = {
        "query": query,
        "choices": [(name, columns.COLUMNS[name].label, name in shown) for name in order],
        "must": columns.REQUEST,
    }
    return render(request, "saved/columns.html", context)


def _chosen(request: HttpRequest) -> list[str]:
    """By the places that were given; what has none comes last, as do nonsense and the far away."""

    def place(name: str) -> int:
        given = request.POST.get(f"place-{name}", "")
        return int(given) if given.isascii() and given.isdecimal() and len(given) < 4 else 1000

    return sorted(request.POST.getlist("column"), key=place)
