"""An agent's Markdown as HTML that can do nothing: no raw HTML, no images, links that say where
and lead to a page of ours, which shows the whole address first.

Both libraries have corners where time grows with the square of the text, so what is long or
turns into too many elements is not rendered at all; `Unrendered` says why, and the page shows
the text itself.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from dashboard.rendering import addresses
from dashboard.rendering.addresses import Address
from dashboard.rendering.text import visible_plain

LONGEST = 64 * 1024  # bytes
DEEPEST = 16
ELEMENTS_AT_MOST = 6_000
# A paragraph of very many markers is what makes the parser slow: 64 kB of them cost a second.
_MARKERS_A_BLOCK = 3_000
_MARKERS_AT_MOST = 12_000
_LINES_A_BLOCK = 1_500
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_MARKER = re.compile(r"[\[\]*_`~<>!(&\\]")

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
    "p", "pre", "s", "small", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
# "*" stands for all elements, which nh3 would otherwise let have a title.
_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}, "small": {"class"}}
_LINK_SHOWN = 120  # characters of an address behind a link


class Unrendered(Exception):
    """The text is shown as text instead; the message says why, as a clause for the reader."""


def render(text: str, links: str = "", *, by_mark: bool = False) -> SafeString:
    """Safe HTML. Raises `Unrendered` for what is too long or too intricate.

    `links`: the address, with a slash at its end, below which each link has its number, or its
    mark; without it nothing is a link.
    """
    return _rendered(text, links, by_mark)[0]


def link(text: str, number: int) -> Address | None:
    """Where link `number` of `text` (from 1) leads. Raises as `render`."""
    found = _rendered(text, "", False)[1]
    return found[number - 1] if 0 < number <= len(found) else None


def marked(text: str, mark: str) -> Address | None:
    """Where the link with this mark leads, which it has in whatever part of `text` is shown.
    Raises as `render`."""
    found = _rendered(text, "", False)[1]
    return next((address for address in found if _mark(address) == mark), None)


def _mark(address: Address) -> str:
    return hashlib.sha256(address.href.encode("utf-8", "replace")).hexdigest()[:16]


@lru_cache(maxsize=64)
def _rendered(text: str, links: str, by_mark: bool) -> tuple[SafeString, tuple[Address, ...]]:
    size = len(text.encode("utf-8", "replace"))
    if size > LONGEST:
        raise Unrendered(f"it is longer than {LONGEST // 1024} kB")
    if len(_MARKER.findall(text)) > _MARKERS_AT_MOST or any(
        _is_intricate(block) for block in _BLANK_LINE.split(text)
    ):
        raise Unrendered("it is too intricate")
    env: dict[str, Any] = {"links": links, "by_mark": by_mark, "found": []}
    html = _parser().render(visible_plain(text), env)
    if html.count("<") > 2 * ELEMENTS_AT_MOST:
        raise Unrendered(f"it has more than {ELEMENTS_AT_MOST:,} parts")
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=set(),  # addresses of our own alone
        link_rel="noreferrer nofollow noopener",
    )
    return mark_safe(clean), tuple(env["found"])  # nh3 let only the tags above pass


def _is_intricate(block: str) -> bool:
    lines = block.split("\n")
    # A table's missing cells are filled in, so that "|" alone in a line costs a whole row.
    cells = len(lines) * max(line.count("|") for line in lines)
    return (
        len(lines) > _LINES_A_BLOCK
        or cells > ELEMENTS_AT_MOST
        or (len(block) > _MARKERS_A_BLOCK and len(_MARKER.findall(block)) > _MARKERS_A_BLOCK)
    )


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST})
    parser.enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("link_close", _link_close)
    return parser


def _image(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    """Never loaded: an address in an image tells its owner who reads this, and when."""
    token = tokens[at]
    host = _host(str(token.attrGet("src") or ""))
    where = f" from {escape(host)}" if host else ""
    return f"<em>[image{where} not loaded: {escape(token.content or 'no description')}]</em>"


def _link_open(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    address = addresses.read(str(tokens[at].attrGet("href") or ""))
    tokens[at].meta["address"] = address
    if address is None:
        return ""
    env["found"].append(address)
    name = _mark(address) if env["by_mark"] else len(env["found"])
    return f'<a href="{escape(env["links"])}{name}/">' if env["links"] else ""


def _link_close(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    """The host stands behind each link, since its text may claim another."""
    opening = next(
        (t for t in reversed(tokens[:at]) if t.type == "link_open" and t.level == tokens[at].level),
        None,
    )
    address = opening.meta.get("address") if opening else None
    told = str(opening.attrGet("href") or "") if opening else ""
    if address is not None:
        told = f"mail to {address.host}" if address.is_mail else address.host
    end = "</a>" if address is not None and env["links"] else ""
    return f'{end} <small class="host">({escape(visible_plain(told)[:_LINK_SHOWN])})</small>'


def _host(address: str) -> str:
    try:
        return visible_plain(urlsplit(address).netloc)[:_LINK_SHOWN]
    except ValueError:
        return "an unreadable address"
