"""How the installation itself is doing, for the team, and what to do when something is wrong."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import signs, vitals


@require_safe
@never_cache
def status(request: HttpRequest) -> HttpResponse:
    return render(request, "status.html", _context())


@require_safe
@never_cache
def status_live(request: HttpRequest) -> HttpResponse:
    """What changes on the page, for out of band: live.js changes only what differs."""
    return render(request, "status.html#vitals", _context() | {"is_part": True})


def _context() -> dict[str, Any]:
    seen = vitals.now()
    read = signs.of(seen)
    return {
        "seen": seen,
        "record": seen.record,
        "signs": read,
        "worst": signs.worst(read),
        "workers": _processes(seen, seen.workers),
        "webs": _processes(seen, seen.told.webs if seen.told else []),
        "versions": vitals.versions().items(),
        "now": timezone.now(),
    }


def _processes(seen: vitals.Vitals, found: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "seconds": max(int(seen.at.timestamp() - one.seen_at), 0),
            "is_silent": seen.is_silent(one),
            "streams": one.streams,
        }
        for one in found
    ]
