"""What was chosen when a link was made: which parts it shows, and what is taken out of them."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from dashboard.disclosure import folding

WORDS_AT_MOST = 100
FIELDS_AT_MOST = 50
STEPS_AT_MOST = 200  # ranges
LONGEST_WORD = 200
LAST_STEP = 10**9


class Unfit(ValueError):
    """The rule cannot be kept; the message is for whoever wrote it."""


class Part(StrEnum):
    """What a link may show, each chosen by itself. How the run stands is always shown."""

    SUMMARY = "summary"
    REQUEST = "request"
    OUTPUT = "output"
    TIMELINE = "timeline"
    THINKING = "thinking"
    TOOLS = "tools"
    COST = "cost"
    LOGS = "logs"
    IDS = "ids"


DEFAULT = (Part.SUMMARY,)
EVERYTHING = tuple(Part)
NEEDS = {Part.THINKING: Part.TIMELINE, Part.TOOLS: Part.TIMELINE}

# Kinds of things, found by their form. Each pattern is linear: no part of it can match the same
# characters in two ways for longer than a bounded stretch.
KINDS = {
    "email": r"[^\s@<>()\[\]{},;:\"'|]{1,64}@[^\s@<>()\[\]{},;:\"'|]{1,255}",
    "phone": r"(?<![\d.])(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}(?!\d)"
    r"|(?<![\d.])\+\d[\d .()-]{6,18}\d",
    "ssn": r"(?<!\d)\d{3}[ -]?\d{2}[ -]?\d{4}(?!\d)",
    "amount": r"(?:[$€£¥]|\b(?:usd|eur|gbp|chf)) ?-?\d(?:[\d,.']{0,30}\d)?"
    r"(?: ?(?:k|m|bn|thousand|million|billion)\b)?"
    r"|(?<![\d.,])\d[\d,.']{0,30} ?(?:(?:thousand|million|billion) )?"
    r"(?:dollars?|usd|euros?|eur|gbp|chf|€|£)",
    "id": r"(?<![a-z0-9])(?:run|agent|vault|obj|object|wf|workflow|sb|step|ue|doc|matter)"
    r"[_-][a-z0-9_-]{2,120}",
}


class Rules(msgspec.Struct, frozen=True):
    """What is redacted: ranges of steps, fields by name, words, and kinds of things."""

    steps: tuple[tuple[int, int], ...] = ()
    fields: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps or self.fields or self.words or self.kinds)


class Terms(msgspec.Struct, frozen=True):
    """What a link shows, and what is taken out of it."""

    shows: frozenset[Part]
    rules: Rules = Rules()

    def __contains__(self, part: Part | str) -> bool:
        return part in self.shows


def complete(shows: Iterable[Part]) -> frozenset[Part]:
    """`shows` without parts of a part that is not shown."""
    chosen = frozenset(shows)
    return frozenset(part for part in chosen if NEEDS.get(part, part) in chosen)


def terms(shows: Any, rules: Any) -> Terms:
    """From what a link's columns hold. Raises `msgspec.ValidationError` for what they cannot."""
    return Terms(
        frozenset(msgspec.convert(shows, list[Part])),
        msgspec.convert(rules or {}, Rules),
    )


def steps(text: str) -> tuple[tuple[int, int], ...]:
    """ "3, 5-9, 20-" as ranges, both ends included. Raises `Unfit`."""
    ranges = []
    for one in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text.strip()))):
        match = re.fullmatch(r"([0-9]{1,9})(?:(-)([0-9]{1,9})?)?", one)
        first = int(match[1]) if match else 0
        last = 0
        if match:
            last = int(match[3]) if match[3] else LAST_STEP if match[2] else first
        if not 1 <= first <= last:
            raise Unfit(f"“{one[:40]}” names no steps: write numbers and ranges, as in 3, 5-9, 20-")
        ranges.append((first, last))
    if len(ranges) > STEPS_AT_MOST:
        raise Unfit(f"At most {STEPS_AT_MOST} ranges of steps.")
    return tuple(ranges)


def words(text: str) -> tuple[str, ...]:
    """One a line. Raises `Unfit`."""
    found = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    for word in found:
        if len(word) > LONGEST_WORD:
            raise Unfit(f"“{word[:40]}…” is longer than {LONGEST_WORD} characters.")
        if len(folding.plain(word).strip()) < 2:
            raise Unfit(f"“{word}” is too short to be found: take at least two letters or digits.")
    if len(found) > WORDS_AT_MOST:
        raise Unfit(f"At most {WORDS_AT_MOST} lines.")
    return found


def fields(text: str) -> tuple[str, ...]:
    """One a line or separated by commas, such as `toolInput.command`. Raises `Unfit`."""
    found = tuple(dict.fromkeys(filter(None, (one.strip() for one in re.split(r"[,\n]", text)))))
    for name in found:
        if len(name) > LONGEST_WORD or not all(path(name)):
            raise Unfit(f"“{name[:40]}” is no name of a field.")
    if len(found) > FIELDS_AT_MOST:
        raise Unfit(f"At most {FIELDS_AT_MOST} fields.")
    return found


def path(name: str) -> tuple[str, ...]:
    """`toolInput.command` as its parts, folded: `tool_input` and `toolInput` are one name."""
    return tuple(key(part) for part in name.split("."))


def key(name: str) -> str:
    return re.sub(r"[\s\-]", "", folding.plain(name))
