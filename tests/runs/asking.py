"""Clients of Case.dev whose every request is answered as a test wants it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from runs.casedev.client import BODY_CAP, Client
from runs.casedev.errors import (
    CaseDevError,
)
from tests.runs.answers import Pieces, client_of, reply


def answering(status: int, body: Any = b"", **headers: str) -> Client:
    """A client whose every request is answered so."""
    return client_of(lambda request: reply(body, status, **headers))


def failing(status: int, body: Any = b"", **headers: str) -> CaseDevError:
    with pytest.raises(CaseDevError) as caught:
        answering(status, body, **headers).details("run_1")
    return caught.value


def streaming(pieces: Iterator[bytes], body_cap: int = BODY_CAP, **headers: str) -> Client:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Pieces(pieces), headers=named)

    return client_of(answer, body_cap=body_cap)
