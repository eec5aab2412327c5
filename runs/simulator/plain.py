"""Text from the source of a script to the form in which an agent would have written it."""

import json
import re
import textwrap
from typing import Any

CHARACTERS_PER_TOKEN = 4


def prose(text: str) -> str:
    """Undo the wrapping of the source: one line a paragraph."""
    paragraphs = re.split(r"\n\s*\n", textwrap.dedent(text).strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def block(text: str) -> str:
    """Text whose line breaks matter: Markdown, listings, usage texts."""
    return textwrap.dedent(text).strip()


def rough_tokens(*texts: Any) -> int:
    total = sum(len(text if isinstance(text, str) else json.dumps(text)) for text in texts if text)
    return max(1, total // CHARACTERS_PER_TOKEN)


def numbered(text: str, first: int) -> str:
    """The way the read tool shows a file: five-digit line numbers."""
    lines = textwrap.dedent(text).strip("\n").splitlines()
    return "\n".join(f"{number:05d}| {line}" for number, line in enumerate(lines, first))
