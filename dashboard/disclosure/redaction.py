"""Takes out of texts and JSON what a link's rules name.

Whatever is taken out leaves MARK, which tells neither its length nor which rule it was. Every
text is looked through again afterwards, and withheld whole where something would still be found:
rather too little is shown than too much. Cost is linear in the text for each word; what is
longer than LONGEST is not looked through but withheld, as long as there is a rule for texts.
"""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from threading import Lock

from dashboard.disclosure import folding, rules
from dashboard.disclosure.folding import CLOSE, LOOSE, Folded
from dashboard.disclosure.rules import Rules
from runs import json_tree
from runs.json_tree import Node

MARK = "[redacted]"
LONGEST = 2_000_000  # characters
WORTH_KEEPING = 500  # characters from which on a cleared text is kept
KEPT = 8_000_000  # characters of cleared texts, for all links together
DEEPEST_STRING = 4  # JSON in a string in JSON in a string ...

type Span = tuple[int, int]


class _Kept:
    """Cleared texts by their rules and the digest of what they were; those asked for last stay."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[Rules, bytes], str] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def get(self, key: tuple[Rules, bytes]) -> str | None:
        with self._lock:
            found = self._texts.get(key)
            if found is not None:
                self._texts.move_to_end(key)
            return found

    def put(self, key: tuple[Rules, bytes], text: str) -> None:
        with self._lock:
            self._held += len(text) - len(self._texts.get(key, ""))
            self._texts[key] = text
            while self._held > KEPT:
                self._held -= len(self._texts.popitem(last=False)[1])


_cleared_before = _Kept()


class Redactor:
    def __init__(self, chosen: Rules) -> None:
        self._chosen = chosen
        self._steps = chosen.steps
        self._fields = tuple(rules.path(name) for name in chosen.fields)
        self._words = tuple(word for one in chosen.words if (word := folding.plain(one).strip()))
        self._kinds = tuple(re.compile(rules.KINDS[kind]) for kind in chosen.kinds)

    @property
    def reads_texts(self) -> bool:
        return bool(self._words or self._kinds)

    def hides_step(self, position: int) -> bool:
        return any(first <= position <= last for first, last in self._steps)

    def hides(self, *path: str) -> bool:
        """Whether a rule names the field at `path` ("toolInput", "command"), or the end of it."""
        if not self._fields:
            return False
        here = tuple(rules.key(part) for part in path)
        return any(here[-len(field) :] == field for field in self._fields)

    # Texts -----------------------------------------------------------------------------------

    def text(self, text: str, *path: str) -> str:
        if path and self.hides(*path):
            return MARK
        return self._cleared(text) if self.reads_texts else text

    def optional(self, text: str | None, *path: str) -> str | None:
        return None if text is None else self.text(text, *path)

    def _cleared(self, text: str) -> str:
        if len(text) > LONGEST:
            return MARK
        if len(text) < WORTH_KEEPING:
            return self._looked_through(text)
        # A live page shows the same long texts at each version of its run.
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        cleared = _cleared_before.get((self._chosen, digest))
        if cleared is None:
            cleared = self._looked_through(text)
            _cleared_before.put((self._chosen, digest), cleared)
        return cleared

    def _looked_through(self, text: str) -> str:
        if not self.finds(text):
            return text
        cleared = _without(text, self._spans(text))
        return MARK if self.finds(cleared) else cleared

    def finds(self, text: str) -> bool:
        """Whether something that must not be read can be read in `text`."""
        views = [text]
        if folding.has_spellings(text):
            views.append(folding.spelt_out(text))
        for view in views:
            loose = folding.plain(view.replace(MARK, "\n"), LOOSE)
            if any(word in loose for word in self._words):
                return True
            if self._kinds:
                close = folding.plain(view.replace(MARK, "\n"), CLOSE)
                if any(kind.search(close) for kind in self._kinds):
                    return True
        return False

    def _spans(self, text: str) -> list[Span]:
        spans: list[Span] = []
        ways = (False, True) if folding.has_spellings(text) else (False,)
        for spells in ways:
            if self._words:
                spans += self._of_words(folding.traced(text, LOOSE, spells))
            if self._kinds:
                spans += self._of_kinds(folding.traced(text, CLOSE, spells))
        return folding.union(spans)

    def _of_words(self, folded: Folded) -> Iterable[Span]:
        for word in self._words:
            at = folded.text.find(word)
            while at >= 0:
                yield folded.span(at, at + len(word))
                at = folded.text.find(word, at + 1)

    def _of_kinds(self, folded: Folded) -> Iterable[Span]:
        for kind in self._kinds:
            for match in kind.finditer(folded.text):
                yield folded.span(*match.span())

    # JSON ------------------------------------------------------------------------------------

    def json(self, text: str | None, *path: str) -> str | None:
        """A JSON column's text with the same shape; a text that is no JSON as a text."""
        if text is None:
            return None
        if path and self.hides(*path):
            return json.dumps(MARK)
        if not (self.reads_texts or self._fields):
            return text
        if len(text) > LONGEST:
            return json.dumps(MARK)
        node = json_tree.parse(text)
        if node is None:
            return self._cleared(text) if not self._fields else json.dumps(MARK)
        cleared = self._node(node, path, 0)
        # Two values side by side, or a key and its value, may spell what neither does.
        return json.dumps(MARK) if self.finds(cleared) else cleared

    def _node(self, node: Node, path: tuple[str, ...], depth: int) -> str:
        match node.kind:
            case "object":
                return "{" + ", ".join(self._pairs(node, path, depth)) + "}"
            case "array":
                return "[" + ", ".join(self._node(c, path, depth) for _, c in node.children) + "]"
            case "string":
                return json.dumps(self._string(node, path, depth), ensure_ascii=False)
            case "number":
                return json.dumps(MARK) if self.finds(node.text) else node.text
            case "deep":
                return json.dumps(MARK)
        return node.text

    def _pairs(self, node: Node, path: tuple[str, ...], depth: int) -> Iterable[str]:
        for name, child in node.children:
            name = name or ""
            inner = (*path, name)
            value = json.dumps(MARK) if self.hides(*inner) else self._node(child, inner, depth)
            yield f"{json.dumps(self._cleared(name), ensure_ascii=False)}: {value}"

    def _string(self, node: Node, path: tuple[str, ...], depth: int) -> str:
        inner = json_tree.embedded(node)
        if inner is None:
            return self._cleared(node.text)
        if depth >= DEEPEST_STRING:
            return MARK
        return self._cleared(self._node(inner, path, depth + 1))


def _without(text: str, spans: list[Span]) -> str:
    parts: list[str] = []
    at = 0
    for start, end in spans:
        # Two finds with nothing but blanks between them are one mark: how many is told to nobody.
        if not parts or text[at:start].strip():
            parts += [text[at:start], MARK]
        at = end
    return "".join([*parts, text[at:]])


@lru_cache(maxsize=256)
def redactor(chosen: Rules) -> Redactor:
    return Redactor(chosen)
