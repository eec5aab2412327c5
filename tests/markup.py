"""What a reader sees of a page."""

import html
import re


def words(markup: str) -> str:
    """Without tags, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())
