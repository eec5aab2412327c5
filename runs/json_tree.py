"""JSON as it was sent: a reader that keeps duplicate keys, key order and numbers as written.

It reads the first part of a longer text as well as a whole one, takes any nesting without
recursion, and its cost is bounded by the text it is given. `None` means: this is not JSON.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["object", "array", "string", "number", "literal", "deep"]

DEEPEST = 40  # levels that become nodes; what lies deeper stays one node of kind "deep"

_TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:
        (?P<string>"(?:[^"\\]++|\\.)*+")
      | (?P<number>-?[0-9][0-9.eE+-]*+)
      | (?P<literal>true|false|null|NaN|-?Infinity)
      | (?P<mark>[\[\]{}:,])
    )""",
    re.VERBOSE | re.DOTALL,
)
_CUT_LITERAL = re.compile(r"[a-zA-Z]{1,8}|-")
_CUT_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?$")
_HALF_PAIR = re.compile("[\ud800-\udbff]$")


@dataclass(slots=True)
class Node:
    """One value. `text` is a string decoded, else the value as written.

    `is_cut`: the text ended inside it, so more children or characters follow unseen.
    """

    kind: Kind
    text: str = ""
    children: list[tuple[str | None, "Node"]] = field(default_factory=list)
    is_cut: bool = False

    def get(self, *names: str) -> "Node | None":
        """The first child of an object under one of `names`."""
        if self.kind != "object":
            return None
        for name in names:
            for key, child in self.children:
                if key == name:
                    return child
        return None

    def word(self, *names: str) -> str:
        """The text of a string or number under one of `names`; "" if there is none."""
        child = self.get(*names)
        return child.text if child and child.kind in ("string", "number") else ""


def parse(text: str, is_whole: bool = True, deepest: int = DEEPEST) -> Node | None:
    """The value that `text` (or, with `is_whole` false, a longer text that begins so) spells."""
    reader = _Reader(text, is_whole, deepest)
    return reader.root if reader.read() else None


def embedded(node: Node, deepest: int = DEEPEST) -> Node | None:
    """The object or array that a string spells, if it is JSON itself."""
    if node.kind != "string" or node.text.lstrip()[:1] not in ("{", "["):
        return None
    found = parse(node.text, is_whole=not node.is_cut, deepest=deepest)
    return found if found and found.children else None


def decode(raw: str) -> str:
    """A JSON string literal's text; lone surrogates stay what they are."""
    try:
        return str(json.loads(raw, strict=False))
    except ValueError:
        return raw[1:-1]


class _Reader:
    def __init__(self, text: str, is_whole: bool, deepest: int) -> None:
        self.text, self.is_whole, self.deepest = text, is_whole, deepest
        self.root: Node | None = None
        self.open: list[Node] = []
        self.key: str | None = None
        self.want = "value"

    def read(self) -> bool:
        at = 0
        while not (self.want == "end" and not self.open):
            match = _TOKEN.match(self.text, at)
            if match is None:
                return self._ended(at)
            at = match.end()
            if match["mark"]:
                if match["mark"] in "[{" and self._takes_value() and self._is_deep():
                    at = self._swallow(match.end() - 1)
                elif not self._mark(match["mark"]):
                    return False
            elif not self._scalar(match, touches_end=at == len(self.text)):
                return False
        return not self.text[at:].strip(" \t\n\r")

    def _takes_value(self) -> bool:
        return self.want in ("value", "value-or-close")

    def _is_deep(self) -> bool:
        return len(self.open) >= self.deepest

    def _place(self, node: Node) -> None:
        if self.open:
            self.open[-1].children.append((self.key, node))
        else:
            self.root = node
        self.key = None
        self.want = "end"

    def _mark(self, mark: str) -> bool:
        if mark in "[{":
            if not self._takes_value():
                return False
            node = Node("array" if mark == "[" else "object")
            self._place(node)
            self.open.append(node)
            self.want = "value-or-close" if mark == "[" else "key-or-close"
        elif mark in "]}":
            kind = "array" if mark == "]" else "object"
            may_close = ("end", "value-or-close", "key-or-close")
            if not self.open or self.open[-1].kind != kind or self.want not in may_close:
                return False
            self.open.pop()
            self.want = "end"
        elif mark == ":":
            if self.want != "colon":
                return False
            self.want = "value"
        else:
            if self.want != "end" or not self.open:
                return False
            self.want = "value" if self.open[-1].kind == "array" else "key"
        return True

    def _scalar(self, match: re.Match[str], touches_end: bool) -> bool:
        if match["string"] and self.want in ("key", "key-or-close"):
            self.key = decode(match["string"])
            self.want = "colon"
            return True
        if not self._takes_value():
            return False
        if match["string"]:
            self._place(Node("string", decode(match["string"])))
        elif match["number"]:
            cut = touches_end and not self.is_whole
            self._place(Node("number", match["number"], is_cut=cut))
        else:
            self._place(Node("literal", match["literal"]))
        return True

    def _swallow(self, start: int) -> int:
        """Takes what is nested too deep as one node; returns where it ends."""
        depth, at = 0, start
        while match := _TOKEN.match(self.text, at):
            at = match.end()
            if match["mark"]:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match["mark"], 0)
                if depth == 0:
                    break
        else:
            at = len(self.text)
        self._place(Node("deep", self.text[start:at], is_cut=depth != 0))
        return at

    def _ended(self, at: int) -> bool:
        """No token at `at`: fine only where a longer text was cut."""
        rest = self.text[at:].lstrip(" \t\n\r")
        if self.is_whole:
            return False
        if rest.startswith('"'):
            partial = _HALF_PAIR.sub("", decode(_CUT_ESCAPE.sub(r"\1", rest) + '"'))
            if self._takes_value():
                self._place(Node("string", partial, is_cut=True))
            elif self.want not in ("key", "key-or-close"):
                return False
        elif rest and not (self._takes_value() and _CUT_LITERAL.fullmatch(rest)):
            return False
        for node in self.open:
            node.is_cut = True
        return self.root is not None
