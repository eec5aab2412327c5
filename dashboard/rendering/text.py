"""Untrusted text made safe and honest: escaped, and with nothing in it that cannot be seen.

Terminal escapes, control characters, bidirectional overrides and invisible characters become
small marks that name them. Text that reorders or hides itself is how a hostile document lies to
its reader; a mark says that something is there, and its title says what.
"""

import html
import re
import unicodedata
from collections.abc import Callable

from django.utils.safestring import SafeString, mark_safe

MARKS_AT_MOST = 300  # elements a text; further marks are plain characters

_SGR = r"\x1b\[[0-9;:]*m"
_OSC = r"\x1b\][^\x07\x1b]{0,400}+(?:\x07|\x1b\\)?"
_CSI = r"\x1b\[[0-?]*+[ -/]*+[@-~]?"
_HIDDEN = (
    # Controls but tab and newline (a carriage return counts when no newline follows).
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    # Soft hyphen, joiners, fillers, Mongolian and Khmer invisibles.
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"
    # Zero widths, direction marks, overrides, isolates, invisible operators.
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc"
    # Format characters of hieroglyphs, shorthand and music.
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    # Variation selectors and tags: letters can be smuggled in both.
    "\ufe00-\ufe0f\U000e0000-\U000e0fff"
    # What no UTF-8 page can carry, and what no font can draw.
    "\ud800-\udfff\ufffe\uffff"
)
_SUSPECT = re.compile(
    f"(?P<sgr>{_SGR})|(?P<escape>{_OSC}|{_CSI}|\x1b.?)"
    f"|(?P<cr>\r(?!\n))|(?P<hidden>[{_HIDDEN}])(?P=hidden)*+",
    re.DOTALL,
)
# Those of them that Python calls printable.
_HIDDEN_YET_PRINTABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\ufffc\U000e0100-\U000e01ef]"
)
# Joiners are how some scripts and most emoji are spelled: between such they are no disguise.
_CONTROLS = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR",
    "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC",
    "FS", "GS", "RS", "US",
]  # fmt: skip
_JOINERS = "\u200c\u200d\ufe0f"
_SHORT = {
    "\xad": "SHY",
    "\u061c": "ALM",
    "\u200b": "ZWSP",
    "\u200c": "ZWNJ",
    "\u200d": "ZWJ",
    "\u200e": "LRM",
    "\u200f": "RLM",
    "\u2028": "LS",
    "\u2029": "PS",
    "\u202a": "LRE",
    "\u202b": "RLE",
    "\u202c": "PDF",
    "\u202d": "LRO",
    "\u202e": "RLO",
    "\u2060": "WJ",
    "\u2066": "LRI",
    "\u2067": "RLI",
    "\u2068": "FSI",
    "\u2069": "PDI",
    "\ufeff": "BOM",
}


def escape(text: str) -> SafeString:
    """As Django's, without its care for what is lazy: pages ask for it thousands of times."""
    return SafeString(html.escape(text))


def _is_plain(text: str) -> bool:
    """Whether a text holds for certain nothing suspect. Several times faster than the pattern,
    and nearly all texts are such."""
    line = text.replace("\n", " ").replace("\t", " ")
    return line.isprintable() and (line.isascii() or not _HIDDEN_YET_PRINTABLE.search(line))


def visible(text: str) -> SafeString:
    """`text` as HTML, escaped, with a mark for each thing that a reader could not see."""
    if _is_plain(text) or not _SUSPECT.search(text):
        return escape(text)
    parts: list[str] = []
    left = MARKS_AT_MOST

    def element(sign: str, title: str) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            return escape(sign)
        return f'<i class="mk" title="{escape(title)}">{escape(sign)}</i>'

    at = 0
    for match in _SUSPECT.finditer(text):
        parts.append(escape(text[at : match.start()]))
        parts.append(_sign(match, element))
        at = match.end()
    parts.append(escape(text[at:]))
    return mark_safe("".join(parts))  # each part is escaped above


def visible_plain(text: str) -> str:
    """The same without elements, for titles and for what another renderer escapes."""
    if _is_plain(text):
        return text
    return _SUSPECT.sub(lambda match: _sign(match, lambda sign, _: sign), text)


def _sign(match: re.Match[str], element: Callable[[str, str], str]) -> str:
    found = match.group()
    if match["sgr"]:
        return element("‹ESC›", f"colour code {found[1:]}")
    if match["escape"]:
        return element(f"‹ESC {_spelled(found[1:][:40])}›", "terminal control sequence")
    if match["cr"]:
        return element("‹CR›", "U+000D carriage return")
    if found in _JOINERS and _spells(match):
        return found
    sign, name = _named(found[0])
    times = f"×{len(found)}" if len(found) > 1 else ""
    after = "\n" if found[0] in "\u2028\u2029" else ""
    return element(f"‹{sign}{times}›", name) + after


def _spells(match: re.Match[str]) -> bool:
    """Whether a joiner stands between two characters that are joined in earnest."""
    text, start, end = match.string, match.start(), match.end()
    before = text[start - 1 : start]
    if match.group() == "\ufe0f":  # makes an emoji of a sign or a digit
        is_sign = before > "\xa8" and not before.isalpha()
        return is_sign or (before != "" and before in "#*0123456789")
    return before > "\u02ff" and text[end : end + 1] > "\u02ff"


def _named(character: str) -> tuple[str, str]:
    number = ord(character)
    code = f"U+{number:04X}"
    if number < 0x20:
        return _CONTROLS[number], f"{code} control character"
    if number == 0x7F:
        return "DEL", f"{code} delete"
    name = unicodedata.name(character, "no character" if number >= 0xD800 else "control character")
    return _SHORT.get(character, code), f"{code} {name.lower()}"


def _spelled(text: str) -> str:
    return "".join(_named(c)[0] if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 else c for c in text)
