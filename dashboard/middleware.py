"""What every answer under /s/ carries, whichever part of the site gave it."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

SHARED_PREFIX = "/s/"

type GetResponse = Callable[[HttpRequest], HttpResponseBase]
type AsyncGetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def seal(request: HttpRequest, response: HttpResponseBase) -> None:
    """No copy in any cache, no search engine, no token in the Referer of a link that is followed.

    Here and not in the views: a 404, a 405, a redirect to https and an error page leak alike.
    """
    if not request.path_info.startswith(SHARED_PREFIX):
        return
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"


@sync_and_async_middleware
def shared_headers(
    get_response: GetResponse | AsyncGetResponse,
) -> GetResponse | AsyncGetResponse:
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            response = await get_response(request)
            seal(request, response)
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        seal(request, response)
        return response

    return answer
