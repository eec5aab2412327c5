"""Why a run failed. The API has no error field, so the cause is looked for, in this order:

issues that the agent named, the runtime's state, the last error in the logs, the last step.
"""

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
    if issues:
        return _line(issues[0])
    for name, text in logs or ():
        lines = [line for line in (text or "")[-_TAIL:].splitlines() if _ERROR_LINE.search(line)]
        if lines:
            return _line(f"{name}: {lines[-1]}")
    if runtime_state == "error":
        return "The runtime ended with an error."
    if last_words and _ERROR_LINE.search(last_words[-_TAIL:]):
        return _line(last_words[-_TAIL:].strip().splitlines()[-1])
    return ""


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
