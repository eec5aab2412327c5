"""The pieces that captions are made of: our own words around what a tool was given."""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from django.utils.safestring import SafeString, mark_safe

from dashboard.rendering.text import escape, visible, visible_plain
from runs.json_tree import Node

State = Literal["running", "done", "failed"]

_LONGEST = 90


def tense(state: str) -> State:
    """In which a call is told that stands so: of one that is "open" nobody told that it ended."""
    if state == "failed":
        return "failed"
    return "running" if state in ("running", "open") else "done"


@dataclass(frozen=True, slots=True)
class Verb:
    """One act in its three states: "Searching", "Searched", "Tried to search".

    `one` and `many` name such acts when several are told as one: "8 searches".
    """

    running: str
    done: str
    base: str
    one: str = "call"
    many: str = "calls"

    def words(self, state: State) -> str:
        if state == "failed":
            return f"Tried to {self.base}"
        return self.running if state == "running" else self.done


@dataclass(frozen=True, slots=True)
class Code:
    """A name of the machine's: a path, a vault, a command."""

    text: str
    longest: int = _LONGEST


@dataclass(frozen=True, slots=True)
class Place(Code):
    """A name of the machine's that tells where something was done: a vault, a folder."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that the agent chose: a query, a pattern, a description."""

    text: str
    longest: int = _LONGEST


type Part = str | Code | Quote


class Act(NamedTuple):
    """What makes two calls alike: the same kind of act at the same place ("" if none is told)."""

    one: str
    many: str
    place: str = ""

    def counted(self, count: int) -> list[Part]:
        """ "8 searches in vault_x"."""
        name = number(count, self.one, self.many)
        return [f"{name} in ", Code(self.place)] if self.place else [name]


@dataclass(frozen=True, slots=True)
class Caption:
    """One line that says what a step did. `html` is safe, `plain` is the same for titles.

    `act` is told of what a tool did, and None of everything else.
    """

    html: SafeString
    plain: str
    act: Act | None = None


def shortened(text: str, longest: int) -> str:
    """On one line, the end cut off; a path or an address loses its middle instead."""
    line = " ".join(text[: longest * 4].split())
    if len(line) <= longest:
        return line
    if " " not in line and "/" in line:
        tail = line[-(longest * 2 // 3) :]
        return f"{line[: longest - len(tail) - 1]}…{tail}"
    return line[: longest - 1].rstrip() + "…"


def caption(*parts: Part) -> Caption:
    html: list[str] = []
    plain: list[str] = []
    for part in parts:
        if isinstance(part, str):
            html.append(escape(part))
            plain.append(part)
            continue
        text = shortened(part.text, part.longest)
        if isinstance(part, Code):
            html.append(f"<code>{visible(text)}</code>")
            plain.append(visible_plain(text))
        else:
            html.append(f"“{visible(text)}”")
            plain.append(f"“{visible_plain(text)}”")
    # Whatever is not a str literal of ours went through `visible`.
    return Caption(mark_safe("".join(html)), "".join(plain))


def number(count: int, one: str, many: str = "") -> str:
    """ "1 passage", "12 passages", "no passages"."""
    many = many or f"{one}s"
    return f"no {many}" if count == 0 else f"{count:,} {one if count == 1 else many}"


# What a list in an output is called, by its key.
_NOUNS = {
    "chunks": ("passage", "passages"),
    "passages": ("passage", "passages"),
    "matches": ("match", "matches"),
    "opinions": ("opinion", "opinions"),
    "cases": ("case", "cases"),
    "citations": ("citation", "citations"),
    "patents": ("patent", "patents"),
    "dockets": ("docket", "dockets"),
    "vaults": ("vault", "vaults"),
    "objects": ("document", "documents"),
    "documents": ("document", "documents"),
    "files": ("file", "files"),
    "results": ("result", "results"),
    "hits": ("hit", "hits"),
    "items": ("item", "items"),
    "entries": ("entry", "entries"),
}
_FOUND_LINE = re.compile(r"Found ([\d,]{1,12}) (match|matches|files?|results?)\b")
_NONE_FOUND_LINE = re.compile(r"No (match|matches|files?|results?) found\b", re.IGNORECASE)
_WRAPPERS = ("data", "result", "response", "body")
_TOTALS = ("total", "totalCount", "total_count", "totalResults", "count")
_DEEPEST_WRAPPER = 4


def found(output: Any, depth: int = 0) -> str:
    """How much an output holds ("12 passages"); "" where it does not say so plainly.

    `output` is a decoded JSON value, or a text. Servers wrap their answers; what is wrapped
    counts as if it stood alone.
    """
    if isinstance(output, list):
        texts = [part.get("text") for part in output if isinstance(part, dict)]
        if len(output) == 1 and isinstance(texts[0] if texts else None, str):
            return found(texts[0], depth)  # the content of a tool's answer, in a part of its own
        return number(len(output), "result")
    if isinstance(output, dict):
        for key, (one, many) in _NOUNS.items():
            if isinstance(output.get(key), list):
                total = next((output[name] for name in _TOTALS if name in output), None)
                return _counted(len(output[key]), total, one, many)
        inner = next((output[key] for key in (*_WRAPPERS, "content") if key in output), None)
        if isinstance(inner, dict | list) and depth < _DEEPEST_WRAPPER:
            return found(inner, depth + 1)
    if isinstance(output, str):
        if match := _FOUND_LINE.match(output):
            return f"{match[1]} {match[2]}"
        if match := _NONE_FOUND_LINE.match(output):
            return number(0, *_plural(match[1].lower()))
    return ""


def _plural(noun: str) -> tuple[str, str]:
    """ "match" and "matches" of either."""
    one = noun.removesuffix("es") if noun.startswith("match") else noun.removesuffix("s")
    return one, "matches" if one == "match" else f"{one}s"


def _counted(count: int, total: Any, one: str, many: str) -> str:
    if isinstance(total, int) and not isinstance(total, bool) and total > count:
        return f"{count:,} of {total:,} {many}"
    return number(count, one, many)


def first_of(node: Node | None) -> tuple[str, str]:
    """The first plain value of an input, with its key ("" if it has none)."""
    if node is None:
        return "", ""
    if node.kind in ("string", "number", "literal"):
        return "", node.text
    for key, child in node.children:
        if child.kind in ("string", "number") and child.text.strip():
            return key or "", child.text
    return "", ""
