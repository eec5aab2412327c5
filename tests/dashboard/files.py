"""Files as a browser gets them: streamed to their end by the site's own views."""

import csv
import io
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import AsyncClient


class File(NamedTuple):
    status: int
    headers: Any
    body: bytes
    parts: int

    @property
    def rows(self) -> list[list[str]]:
        """Of a CSV, its head included."""
        return list(csv.reader(io.StringIO(self.body.decode("utf-8-sig"), newline="")))

    @property
    def table(self) -> list[dict[str, str]]:
        head, *rows = self.rows
        return [dict(zip(head, row, strict=True)) for row in rows]


def fetch(user: User | None, address: str, **headers: str) -> File:
    """GET `address` as `user`."""

    async def got() -> File:
        client = AsyncClient()
        if user is not None:
            await client.aforce_login(user)
        response: Any = await client.get(address, headers=headers)
        if not response.streaming:
            return File(response.status_code, response.headers, response.content, 1)
        chunks = [chunk async for chunk in response]
        return File(response.status_code, response.headers, b"".join(chunks), len(chunks))

    return async_to_sync(got)()
