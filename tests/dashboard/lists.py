"""The list of runs as tests read it: its rows, its pages, and its complaints."""

import datetime as dt
import re

from django.test import Client

NOW = dt.datetime(2026, 11, 24, 10, 42, 7, tzinfo=dt.UTC)


def get(client: Client, query: str = "", **headers: str) -> str:
    response = client.get(f"/runs/{query}", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def shown(html: str) -> list[int]:
    """Keys of the rows, from the top."""
    return [int(pk) for pk in re.findall(r'<tr id="run-(\d+)"', html)]


def walk(client: Client, query: str = "") -> list[int]:
    """Keys of the rows of all pages, by following "Next"."""
    found, address = [], query
    for _ in range(100):
        html = get(client, address)
        found += shown(html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        if not following:
            return found
        address = following[1].replace("&amp;", "&")
    raise AssertionError("the walk does not end")


def complaints(html: str) -> list[str]:
    part = re.search(r'id="complaints".*?</div>', html, re.DOTALL)
    return re.findall(r'<p class="error">(.*?)</p>', part[0]) if part else []
