"""Django behind ASGI, each request answered in one thread of a few.

Django's own handler goes from the event loop to a thread and back for every middleware that is
synchronous, a dozen times a request; it starts a thread for each request, and with it a connection
to the database. Our views and all that stands around them are synchronous, and what is not, streams
of events, is carried by the relay without Django. So a request goes to a thread once, with all
that is to be done for it, and the threads keep their connections (CONN_MAX_AGE).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import partial
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import connections
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from dashboard.live import relay

type Message = Mapping[str, Any]
type Scope = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

# As many requests are answered at once, and as many connections to the database are held. More
# would not be faster: Python runs one of them at a time, the others wait for the database.
THREADS = 16
# Whoever asks whether we live is answered though all of them wait: a lock of the database must not
# look like the death of the site.
VITAL = ("/healthz", "/readyz", "/metrics")
VITAL_THREADS = 2


class Handler(ASGIHandler):
    """An ASGI application."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self.vital = ThreadPoolExecutor(VITAL_THREADS, thread_name_prefix="vital")

    def load_middleware(self, is_async: bool = False) -> None:
        """Synchronous, whatever is asked for."""
        super().load_middleware(is_async=False)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            threads = self.vital if scope["path"] in VITAL else self.threads
            answer = partial(copy_context().run, self.respond, scope, body)
            response = await asyncio.get_running_loop().run_in_executor(threads, answer)
            if not response.streaming or relay.is_carried(scope):
                await self.send_response(response, send)
            else:
                await self.stream(response, receive, send)

    def respond(self, scope: Scope, body: IO[bytes]) -> HttpResponseBase:
        """All of a request, in the thread that this is called in. A response that does not stream
        is closed: what the request held is let go of before a slow reader has read it."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = refusal if request is None else self.get_response(request)
        assert response is not None
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        if not response.streaming or relay.is_carried(scope):
            response.close()
        return response

    async def stream(self, response: HttpResponseBase, receive: Receive, send: Send) -> None:
        """Send what is made while it is read, for as long as somebody reads it."""
        sending = asyncio.create_task(self.send_response(response, send))
        gone = asyncio.ensure_future(receive())  # the body is read: nothing else can come
        gone.add_done_callback(lambda _: sending.cancel())
        try:
            await sending
        except asyncio.CancelledError:
            if not gone.done():
                raise  # it is the server that ends
        finally:
            gone.cancel()
            await sync_to_async(_let_go)(response)


def _let_go(response: HttpResponseBase) -> None:
    """In the thread that made the parts of a response, which ends with it."""
    response.close()
    connections.close_all()
