"""The list of runs."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    return render(request, "runs/list.html")
