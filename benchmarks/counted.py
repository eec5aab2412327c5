"""The site, which also tells how often it has rendered a change of a run: `/rendered`.

A change that a thousand pages wait for is to be rendered once. What the hub counts of itself
(`hub.census`) holds all pieces, also those that follow slowly.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dashboard.asgi import application as site
from dashboard.live import fragments
from dashboard.live.renderings import Key, Made

rendered: Counter[str] = Counter()
_render = fragments.render


def _counting(keys: Sequence[Key]) -> Made:
    rendered.update(str(key[0]) for key in keys)
    return _render(keys)


fragments.render = _counting


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != "/rendered":
        await site(scope, receive, send)
        return
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d" % rendered["quick"]})
