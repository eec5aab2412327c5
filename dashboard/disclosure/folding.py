"""Texts brought to one form, so that a word is found however it is spelt.

A folded text has no case, no accents, no invisible characters, no compatibility forms (full
width, ligatures), one blank for any white space, and no marks that only set words apart
(Markdown's emphasis, backslashes, terminal colours). `spelt_out` also takes what escapes spell:
JSON's, HTML's and those of addresses, also escaped again. Each folded character remembers which
characters of the text it stands for.

Not undone: letters of another script that look alike, words written backwards or in a code
(base64, hex), words split by other words, by markup or over two fields.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

_MARKS = frozenset("*_~`\\")
_UNSEEN = frozenset(("Mn", "Me", "Cf", "Cc", "Cs"))
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u17b4\u17b5")
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-")
_QUOTES = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u02bc": "'"}
_BLANKS = re.compile(" {2,}")

# Terminal sequences are invisible; the rest spells a character. A backslash may itself have been
# escaped, any number of times, and so may an ampersand and a per cent sign.
_UNSEEN_UNIT = r"\x1b\[[0-9;:?]*+[ -/]*+[@-~]"
_SPELLING = re.compile(
    rf"(?P<unseen>{_UNSEEN_UNIT})"
    r"|\\++(?:u(?P<u>[0-9a-fA-F]{4})(?:\\++u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2}))?"
    r"|u\{(?P<braced>[0-9a-fA-F]{1,6})\}|U(?P<long>[0-9a-fA-F]{8})|x(?P<x>[0-9a-fA-F]{2})"
    r"|(?P<short>[nrtbf]))"
    r"|&(?:amp;)*+(?P<entity>#[xX][0-9a-fA-F]{1,6};?|#[0-9]{1,7};?|[A-Za-z][A-Za-z0-9]{1,31};)"
    r"|(?P<percent>(?:%(?:25)*+[0-9a-fA-F]{2})++)"
    r"|[xX][nN]--(?P<puny>[A-Za-z0-9-]{1,59})"
)
_ESCAPED_PERCENT = re.compile(r"%(?:25)+(?=[0-9a-fA-F]{2})")


class _Folds(dict[int, str]):
    """What each character folds to, found out once; for `str.translate`."""

    def __init__(self, marks: frozenset[str]) -> None:
        super().__init__()
        self._marks = marks

    def __missing__(self, code: int) -> str:
        folded = self[code] = self._fold(chr(code))
        return folded

    def _fold(self, character: str) -> str:
        if character in "\t\n\r\v\f\x85\u2028\u2029":
            return " "
        if character in self._marks or character in _FILLERS:
            return ""
        character = _DASHES.get(character, _QUOTES.get(character, character))
        spread = unicodedata.normalize("NFKD", character).casefold()
        spread = unicodedata.normalize("NFKD", spread).casefold()
        kept = (c for c in spread if unicodedata.category(c) not in _UNSEEN)
        return "".join(" " if c.isspace() else c for c in kept)


# For words that people name, and for kinds of things, whose signs are part of them.
LOOSE = _Folds(_MARKS)
CLOSE = _Folds(frozenset())


@dataclass(frozen=True, slots=True)
class Folded:
    """`starts` and `ends`: for each character of `text`, the span of the original it stands for."""

    text: str
    starts: list[int]
    ends: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        return self.starts[start], self.ends[end - 1]


def plain(text: str, folds: _Folds = LOOSE) -> str:
    return _BLANKS.sub(" ", text.translate(folds))


def traced(text: str, folds: _Folds = LOOSE, spells: bool = False) -> Folded:
    """`plain` (or, with `spells`, of what escapes spell) with the way back."""
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end, told in _units(text) if spells else _each(text):
        for folded in told.translate(folds):
            if folded == " " and characters and characters[-1] == " ":
                ends[-1] = end
                continue
            characters.append(folded)
            starts.append(start)
            ends.append(end)
    return Folded("".join(characters), starts, ends)


def has_spellings(text: str) -> bool:
    return _SPELLING.search(text) is not None


def spelt_out(text: str) -> str:
    """`text` with escapes replaced by what they spell."""
    return "".join(told for _, _, told in _units(text))


def _each(text: str) -> Iterator[tuple[int, int, str]]:
    for at, character in enumerate(text):
        yield at, at + 1, character


def _units(text: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    for match in _SPELLING.finditer(text):
        for place in range(at, match.start()):
            yield place, place + 1, text[place]
        yield match.start(), match.end(), _told(match)
        at = match.end()
    for place in range(at, len(text)):
        yield place, place + 1, text[place]


def _told(match: re.Match[str]) -> str:
    if match["unseen"]:
        return ""
    if match["u"]:
        high, low = int(match["u"], 16), match["low"]
        if low and 0xD800 <= high < 0xDC00:
            return chr(0x10000 + ((high - 0xD800) << 10) + (int(low, 16) - 0xDC00))
        return chr(high) + (chr(int(low, 16)) if low else "")
    for name in ("braced", "long", "x"):
        if match[name]:
            number = int(match[name], 16)
            return chr(number) if number < 0x110000 else ""
    if match["short"]:
        return " "
    if match["puny"]:
        try:
            return match["puny"].encode().decode("punycode")
        except UnicodeError:
            return match[0]
    if match["entity"]:
        return html.unescape(f"&{match['entity']}")
    return unquote(_ESCAPED_PERCENT.sub("%", match["percent"]), errors="replace")


def union(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or overlap made one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
