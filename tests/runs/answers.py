"""Answers of Case.dev for tests: the transport that gives them, and the bodies in them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from runs.casedev.client import Client

KEY = "sk_case_test_4f1c9a77"
BASE = "https://api.case.dev"


class Pieces(httpx.SyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


def reply(body: Any = b"", status: int = 200, **headers: str) -> httpx.Response:
    """A response that was not read yet; what is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, stream=Pieces(iter([raw])), headers=named)


def client_of(act: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
    """A client whose requests `act` answers."""
    return Client(BASE, KEY, transport=httpx.MockTransport(act), **options)
