"""Carries event streams after Django has finished with their requests.

Django keeps for as long as a response streams what it needed to answer the request: the request
itself, and a thread and its database connection for what is synchronous. With a thousand pages
open that is a thousand threads. So a view, which runs in a thread, hands its stream over; Django
sends the status and headers, with all that middleware adds, and is done; the relay sends the rest.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import Context
from types import FrameType
from typing import Any, Protocol

from django.http import HttpRequest, StreamingHttpResponse

from dashboard.live import sse

type Message = Mapping[str, Any]
type Scope = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "runsheet.handover"


class Carried(Protocol):
    """What can be handed over: frames to send, and a way to say that nobody reads them now."""

    def frames(self) -> AsyncGenerator[bytes]: ...

    def leave(self) -> None: ...


class Handover:
    """Goes along with a request. `loop`: where the stream will be carried."""

    __slots__ = ("loop", "stream")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.stream: Carried | None = None


def handover_of(request: HttpRequest) -> Handover | None:
    """None if no relay is around: a server without an event loop, which carries no streams."""
    handover: Handover | None = getattr(request, "scope", {}).get(KEY)
    return handover


def respond(handover: Handover, stream: Carried) -> StreamingHttpResponse:
    """The response that `stream` follows."""
    handover.stream = stream
    return StreamingHttpResponse(_nothing(), headers=sse.HEADERS)


def withdraw(request: HttpRequest) -> None:
    """Carry nothing after all: another response takes the place of the one that would have."""
    if handover := handover_of(request):
        handover.stream = None


def is_carried(scope: Scope) -> bool:
    """Whether the relay sends what follows the head of the response."""
    handover = scope.get(KEY)
    return handover is not None and handover.stream is not None


async def _nothing() -> AsyncGenerator[bytes]:
    frames: tuple[bytes, ...] = ()
    for frame in frames:
        yield frame


class Relay:
    """An ASGI application around Django's."""

    def __init__(self, django: Application) -> None:
        self.django = django
        self.carried: set[Carried] = set()
        self.is_ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        else:
            await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        handover = Handover(asyncio.get_running_loop())
        has_started = False

        async def pass_on(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if not (is_last and handover.stream):
                await send(message)

        await self.django({**scope, KEY: handover}, receive, pass_on)
        if handover.stream and has_started:
            await self.carry(handover.stream, receive, send)

    async def carry(self, stream: Carried, receive: Receive, send: Send) -> None:
        """Send the stream's frames until it ends, its browser is gone or the server stops."""
        self.carried.add(stream)
        listening = asyncio.create_task(leave_when_gone(stream, receive), context=Context())
        if self.is_ending:
            stream.leave()
        try:
            async with aclosing(stream.frames()) as frames:
                async for frame in frames:
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.carried.discard(stream)
            listening.cancel()

    def end(self) -> None:
        """End all streams: the server stops."""
        self.is_ending = True
        for stream in self.carried:
            stream.leave()

    async def live(self, receive: Receive, send: Send) -> None:
        """Take part in the server's start and stop."""
        await receive()
        self.is_ending = False
        restore = call_first(self.end)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        restore()
        await send({"type": "lifespan.shutdown.complete"})


async def leave_when_gone(stream: Carried, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.leave()


def call_first(end: Callable[[], None]) -> Callable[[], None]:
    """Have `end` called in this loop at SIGINT and SIGTERM, before the server's own handler.

    A server waits for open responses to end before it tells the application that it stops, and a
    stream never ends by itself. Returns a function that puts the server's handlers back.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    # A server without a handler of its own dies of the signal, and its streams with it.
    ours = {number: handler for number, handler in before.items() if callable(handler)}
    for number in ours:
        signal.signal(number, stop)

    def restore() -> None:
        for number, handler in ours.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)

    return restore
