"""The keys that the pages listen to, as a page: what "?" opens, for whoever has no script."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    return render(request, "keys.html")
