"""The pages of a run as tests read them."""

import html
import re

from django.test import Client

from runs.models import Run


def markup(client: Client, run: Run, tab: str = "", status: int = 200) -> str:
    response = client.get(f"/runs/{run.run_id}/{tab}")
    assert response.status_code == status
    return response.content.decode()


def words(client: Client, run: Run, tab: str = "", status: int = 200) -> str:
    """The page as a reader sees it, on one line."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", markup(client, run, tab, status)))
    return " ".join(text.split())


def piece(page: str, element: str) -> str:
    """From the element with this id to the end of the page's main part."""
    return page[page.index(f'id="{element}"') :]
