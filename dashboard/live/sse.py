"""The event-stream format: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import re

CONTENT_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold back small pieces
}

# All that ends a line to an EventSource, and nothing else: str.splitlines would cut at more.
_LINE_END = re.compile(r"\r\n|\r|\n")


def event(name: str, text: str = "", at: int | None = None) -> bytes:
    """One event. `at` becomes its id, which the browser gives back when it reconnects."""
    lines = [f"event: {name}"]
    if at is not None:
        lines.append(f"id: {at}")
    lines += [f"data: {line}" for line in _LINE_END.split(text)]
    return ("\n".join(lines) + "\n\n").encode()


def beat(now: float) -> bytes:
    """An event and not a comment, so that the page notices a connection that died without a word,
    and a clock that is wrong. `now` in seconds since the epoch."""
    return event("beat", str(int(now * 1000)))
