"""Reads an event stream as a browser would: `with EventStream(url, client) as stream`."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

import httpx
from django.conf import settings
from django.test import Client


class Event(NamedTuple):
    name: str
    id: str
    text: str


class EventStream:
    """Reads in a thread of its own. `events` is all that came, `status` the response's."""

    def __init__(self, url: str, client: Client | None = None, **headers: str) -> None:
        cookie = client.cookies.get(settings.SESSION_COOKIE_NAME) if client else None
        cookies = {settings.SESSION_COOKIE_NAME: cookie.value} if cookie else {}
        self._client = httpx.Client(
            cookies=cookies, headers={"Accept": "text/event-stream"} | headers, trust_env=False
        )
        self._url = url
        self._told = threading.Condition()
        self.events: list[Event] = []
        self.response: httpx.Response | None = None
        self.has_ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(lambda: self.response is not None or self.has_ended, 10)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.response is not None:
            # Closing from another thread does not wake the reader; shutting the socket down does.
            stream = self.response.extensions["network_stream"]
            sock = stream.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.shutdown(2)
        self._thread.join(10)
        self._client.close()

    @property
    def status(self) -> int:
        assert self.response is not None
        return self.response.status_code

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    @property
    def html(self) -> str:
        return "\n".join(event.text for event in self.events if event.name == "change")

    def until(self, is_there: Callable[[Self], bool], seconds: float = 5) -> float:
        """Wait for it; returns the seconds that it took."""
        start = time.monotonic()
        met = self._wait(lambda: is_there(self), seconds)
        assert met, f"not within {seconds} s; came: {self.events}"
        return time.monotonic() - start

    def _wait(self, is_met: Callable[[], bool], seconds: float) -> bool:
        with self._told:
            return self._told.wait_for(is_met, seconds)

    def _read(self) -> None:
        try:
            timeout = httpx.Timeout(10, read=60)
            with self._client.stream("GET", self._url, timeout=timeout) as response:
                self._tell(response=response)
                lines: list[str] = []
                for line in response.iter_lines():
                    if line:
                        lines.append(line)
                    else:
                        self._tell(event=_event(lines))
                        lines = []
        except httpx.HTTPError:
            pass
        self._tell(has_ended=True)

    def _tell(
        self,
        response: httpx.Response | None = None,
        event: Event | None = None,
        has_ended: bool = False,
    ) -> None:
        with self._told:
            self.response = response or self.response
            self.has_ended = self.has_ended or has_ended
            if event:
                self.events.append(event)
            self._told.notify_all()


def _event(lines: list[str]) -> Event:
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    return Event(
        name=fields.get("event", ["message"])[-1],
        id=fields.get("id", [""])[-1],
        text="\n".join(fields.get("data", [])),
    )
