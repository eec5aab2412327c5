"""The start of a stream, in the thread of the request that asks for it."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from dashboard.live import hub, relay, sse
from dashboard.live.hub import Full, Hub
from dashboard.live.relay import Handover
from dashboard.live.streams import Stream


def wanted(request: HttpRequest) -> Handover | None:
    """None for those who poll; so does who asks a server that cannot carry streams."""
    is_asked = sse.CONTENT_TYPE in request.headers.get("Accept", "")
    return relay.handover_of(request) if is_asked else None


def hub_of(handover: Handover) -> Hub:
    return hub.of(handover.loop)


def respond(handover: Handover, stream: Stream) -> HttpResponseBase:
    """The stream, or a 503 where there is no room for one more."""
    try:
        stream.hub.check_room(stream.viewer)
    except Full as error:
        return HttpResponse(
            str(error),
            status=503,
            headers={"Retry-After": "30"},
            content_type="text/plain; charset=utf-8",
        )
    return relay.respond(handover, stream)
