"""The pieces that captions are made of: our own words around what a tool was given."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from dashboard.rendering.text import visible, visible_plain
from runs.json_tree import Node

State = Literal["running", "done", "failed"]

_LONGEST = 90


@dataclass(frozen=True, slots=True)
class Verb:
    """One act in its three states: "Searching", "Searched", "Tried to search"."""

    running: str
    done: str
    base: str

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
class Quote:
    """Words that the agent chose: a query, a pattern, a description."""

    text: str
    longest: int = _LONGEST


type Part = str | Code | Quote


@dataclass(frozen=True, slots=True)
class Caption:
    """One line that says what a step did. `html` is safe, `plain` is the same for titles."""

    html: SafeString
    plain: str


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


def found(output: Any) -> str:
    """How much an output holds ("12 passages"); "" where it does not say so plainly.

    `output` is a decoded JSON value, or a text.
    """
    if isinstance(output, dict):
        for key, (one, many) in _NOUNS.items():
            if isinstance(output.get(key), list):
                return _counted(len(output[key]), output.get("total"), one, many)
    if isinstance(output, str) and (match := _FOUND_LINE.match(output)):
        return f"{match[1]} {match[2]}"
    return ""


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
