"""What is sent to the address of a callback is not read: Django takes the whole body of a request,
to disk if it is large, before any view can refuse it."""

from collections.abc import Awaitable, Callable
from typing import Any

type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type App = Callable[[Any, Any, Any], Awaitable[None]]

PREFIX = "/callbacks/"


class Unread:
    """An ASGI application around another one, which sees an empty body under PREFIX."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self.app(scope, _empty(receive), send)
        else:
            await self.app(scope, receive, send)


def _empty(receive: Receive) -> Receive:
    is_told = False

    async def told() -> Any:
        nonlocal is_told
        if not is_told:
            is_told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return told
