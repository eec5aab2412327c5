"""Why a run failed. The API has no error field, so the cause is looked for, in this order:

issues that the agent named, the last error in the logs, the runtime's state, the last step.
"""

import json
import re
from collections.abc import Sequence

LONGEST = 300
_ERROR_LINE = re.compile(
    r"\b(error|exception|fatal|failed|timed? ?out|killed|out of memory|panic)\b", re.IGNORECASE
)
_TAIL = 20_000  # characters of a log that are searched


def failure_cause(
    issues: Sequence[str] | None,
    runtime_state: str | None,
    logs: Sequence[Sequence[str | None]] | None,
    last_words: str | None,
) -> str:
    """One sentence or line for people; "" when the record holds no hint of a cause."""
    named = next((issue for issue in issues or () if issue.strip()), "")
    if named:
        return line(named)
    for name, text in logs or ():
        if found := last_error(text or ""):
            return line(f"{name}: {found}")
    if runtime_state == "error":
        return "The runtime ended with an error."
    return line(last_error(_plain(last_words or "")))


def last_error(text: str) -> str:
    """The last line that tells of an error; only the end of `text` is searched."""
    lines = text[-_TAIL:].splitlines()
    return next((line for line in reversed(lines) if _ERROR_LINE.search(line)), "")


def _plain(text: str) -> str:
    """What a JSON string holds; other text as it is. An output is often JSON inside a string."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def line(text: str) -> str:
    """`text` in one line, of LONGEST characters at most."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
