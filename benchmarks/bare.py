"""The floor of `streams`: an ASGI application that knows nothing."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

FRAME = 6_000  # bytes of a frame: about what a step and the head of its run take

type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Ticker:
    """`/tick` sends one frame to all who wait at `/`."""

    def __init__(self) -> None:
        self.turn = asyncio.Event()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/tick":
            turn, self.turn = self.turn, asyncio.Event()
            turn.set()
            await send({"type": "http.response.body", "body": b"done"})
            return
        frame = b"data: " + b"x" * FRAME + b"\n\n"
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        while True:
            await self.turn.wait()
            await send({"type": "http.response.body", "body": frame, "more_body": True})


application = Ticker()
