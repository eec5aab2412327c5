"""What every answer under /s/ carries, whichever part of the site gave it."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

SHARED_PREFIX = "/s/"


def sealed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """No copy in any cache, no search engine, no token in the Referer of a link that is followed.

    Here and not in the views: a 404, a 405, a redirect to https and an error page leak alike.
    """
    if request.path_info.startswith(SHARED_PREFIX):
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
        response.headers["Referrer-Policy"] = "no-referrer"
    return response


@sync_and_async_middleware
def shared_headers(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            return sealed(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        return sealed(request, get_response(request))

    return answer
