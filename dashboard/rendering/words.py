"""What an agent said in a step, as prose: its Markdown where it wrote any and that costs little.

A page shows a hundred texts, and an agent may have read a document that makes it write what is
slow to format. So what a text may cost is counted before it is formatted, a page has a Budget,
and what is formatted is kept. Whatever is not formatted is shown as the text that it is.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from django.utils.safestring import SafeString, mark_safe

from dashboard.rendering import markdown
from dashboard.rendering.addresses import Address
from dashboard.rendering.text import visible

LONGEST = 16_000  # characters of one text
# Units are signs and lines: 1,000 cost about 50 to 150 ms at their worst, prose nearly nothing.
DEAREST = 1_200
OF_PAGE = 6_000

_SIGN = re.compile(r"[\n\[\]*_`~<>!(&|\\#-]")
_IS_MARKDOWN = re.compile(
    r"^ {0,3}(?:#{1,6} |[-*+] |\d{1,4}[.)] |> |```|\|.*\|)|\*\*\S|`\S|\]\(|(?<!\w)[*_][^\s*_]",
    re.MULTILINE,
)
_HEADING = re.compile(r"<(/?)h([1-6])>")
_FENCE = re.compile(r"^ {0,3}```", re.MULTILINE)


class Words(NamedTuple):
    """`html` is safe. Blocks if `is_formatted`, else text whose line breaks count."""

    html: SafeString
    is_formatted: bool


class Budget:
    """What the texts of one page may cost together."""

    def __init__(self, units: int = OF_PAGE) -> None:
        self.left = units

    def takes(self, text: str) -> bool:
        units = len(_SIGN.findall(text))
        if units > min(DEAREST, self.left):
            return False
        self.left -= units
        return True


def said(text: str, budget: Budget, links: str = "") -> Words:
    """`links`: the address, with a slash at its end, below which `leads` is asked for a link."""
    return _formatted(text, links) if _is_worth(text, budget) else Words(visible(text), False)


def in_parts(text: str, at: int, budget: Budget, links: str = "") -> tuple[Words, Words]:
    """The first `at` characters or so, and the rest, both in the same form."""
    first, rest = parted(text, at)
    if _is_worth(text, budget):
        told, more = _formatted(first, links), _formatted(rest, links)
        if told.is_formatted and more.is_formatted:
            return told, more
    return Words(visible(first), False), Words(visible(rest), False)


def leads(texts: Iterable[str], mark: str) -> Address | None:
    """Where a link goes that stands in one of `texts`, as `said` or `in_parts` shows them."""
    for text in dict.fromkeys(texts):
        if len(text) > LONGEST or not Budget().takes(text):
            continue
        try:
            address = markdown.marked(text, mark)
        except markdown.Unrendered:
            continue
        if address is not None:
            return address
    return None


def _is_worth(text: str, budget: Budget) -> bool:
    return len(text) <= LONGEST and bool(_IS_MARKDOWN.search(text)) and budget.takes(text)


def parted(text: str, at: int) -> tuple[str, str]:
    """`text` in two at the end of a paragraph, line or word before `at`; code stays in one."""
    if len(text) <= at:
        return text, ""
    for mark in ("\n\n", "\n", " "):
        end = text.rfind(mark, at // 3, at)
        if end > 0:
            break
    else:
        return text[:at], text[at:]
    end += len(mark)
    fences = list(_FENCE.finditer(text, 0, end))
    if len(fences) % 2 and fences[-1].start() > 0:
        end = fences[-1].start()
    return text[:end], text[end:]


@lru_cache(maxsize=256)
def _formatted(text: str, links: str) -> Words:
    try:
        html = markdown.render(text, links, by_mark=True)
    except markdown.Unrendered:
        return Words(visible(text), False)
    return Words(mark_safe(_HEADING.sub(_lowered, html)), True)  # of nh3, but for the levels


def _lowered(match: re.Match[str]) -> str:
    """Headings within a step stand below those of the page."""
    return f"<{match[1]}h{min(int(match[2]) + 2, 6)}>"
