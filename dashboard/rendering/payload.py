"""One payload (a tool's input or output, a text, a log) ready for a page.

What is shown is bounded, what is not shown is counted, and the true size always stands beside
it. The whole is one download away, byte for byte as it was stored.
"""

from dataclasses import dataclass

from django.utils.safestring import SafeString, mark_safe

from dashboard.rendering import json_html
from dashboard.rendering.text import visible
from runs import json_tree

WINDOW = 32 * 1024  # characters that a fragment shows
WHOLE_PAGE = 256 * 1024  # characters that a step's own page shows
VALUES = 300  # of a JSON tree, in a fragment
VALUES_WHOLE_PAGE = 3_000

NOTHING = SafeString("")


@dataclass(frozen=True, slots=True)
class Payload:
    """`html` is empty when there is nothing to show, and `absence` says which nothing it is.

    `size` is in bytes, as stored; `shown` and `length` in characters.
    """

    form: str = ""
    html: SafeString = NOTHING
    absence: str = ""
    size: int = 0
    shown: int = 0
    length: int = 0

    @property
    def is_cut(self) -> bool:
        return self.shown < self.length


def of_json(
    text: str | None, size: int = 0, length: int | None = None, values: int = VALUES
) -> Payload:
    """A JSON column. `text` may be the first part of `length` characters; None: key absent."""
    if text is None:
        return Payload(absence="not reported")
    length = len(text) if length is None else length
    is_whole = length <= len(text)
    if is_whole and text.strip() == "null":
        return Payload(absence="none", size=size, shown=length, length=length)
    node = json_tree.parse(text, is_whole)
    if node is None:
        return _as_text(text, "text, not JSON", size, length)
    if node.kind == "string":
        inner = json_tree.embedded(node)
        if inner is None:
            return _of_string(node, size, len(text), length)
        html = json_html.tree(inner, values)
        form = f"JSON in a string: {json_html.measure(inner)}"
        return Payload(form, html, "", size, len(text), length)
    form = f"JSON {json_html.measure(node)}" if node.children else "JSON"
    return Payload(form, json_html.tree(node, values), "", size, len(text), length)


def of_text(text: str | None, size: int = 0, length: int | None = None) -> Payload:
    """A plain text column, or the first part of it."""
    if text is None:
        return Payload(absence="not reported")
    length = len(text) if length is None else length
    if not length:
        return Payload(absence="empty")
    return _as_text(text, "text", size, length)


def _of_string(node: json_tree.Node, size: int, shown: int, length: int) -> Payload:
    if not node.text:
        return Payload(absence="an empty text", size=size, shown=shown, length=length)
    lines = node.text.count("\n") + 1
    form = f"text, {lines:,} lines" if lines > 1 and shown >= length else "text"
    return Payload(form, _pre(node.text), "", size, shown, length)


def _as_text(text: str, form: str, size: int, length: int) -> Payload:
    return Payload(form, _pre(text), "", size, len(text), length)


def _pre(text: str) -> SafeString:
    # A newline right after <pre> is dropped by browsers; this one is meant to be.
    return mark_safe(f'<pre class="text" dir="auto">\n{visible(text)}</pre>')
