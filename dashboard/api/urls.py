"""The addresses below /api/. All but the page for people are open to strangers as far as the
login goes, and let nobody pass without a token."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, re_path
from django.views.decorators.csrf import csrf_exempt

from dashboard.api import reference
from dashboard.api.problems import Problem, answer
from dashboard.api.routes import api

app_name = "api"


def _open(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """No session is asked, so there is no form of another site to be afraid of."""

    @csrf_exempt
    @login_not_required
    @wraps(view)
    def opened(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        response = _of_get(view, request, **parts)
        if response.status_code == 405:
            names = sorted({*response.headers["Allow"].split(", ")} - {"HEAD"})
            allowed = {"Allow": ", ".join([*names, *(["HEAD"] if "GET" in names else [])])}
            return answer(Problem(405, f"Here goes {allowed['Allow']}.", None, allowed))
        return response

    return opened


def _of_get(
    view: Callable[..., HttpResponseBase], request: HttpRequest, **parts: Any
) -> HttpResponseBase:
    """HEAD is answered as GET is; whoever sends the answer leaves its body out."""
    if request.method != "HEAD":
        return view(request, **parts)
    request.method = "GET"
    try:
        response = view(request, **parts)
    finally:
        request.method = "HEAD"
    return response


@csrf_exempt
@login_not_required
def nowhere(request: HttpRequest, url: str) -> HttpResponse:
    return answer(Problem(404, "There is nothing at this address; /api/docs tells what there is."))


def _routes() -> list[URLPattern]:
    found, _, _ = api.urls
    routes = [route for route in found if isinstance(route, URLPattern)]
    for route in routes:
        route.callback = _open(route.callback)
    return [route for route in routes if route.name != "api-root"]


urlpatterns = [
    path("docs", reference.page, name="docs"),
    path("openapi.json", _open(reference.document), name="openapi"),
    *_routes(),
    re_path(r"^(?P<url>.*)$", nowhere, name="nowhere"),
]
