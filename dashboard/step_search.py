"""Looks for words in the texts of a run's steps: what was said, given to tools and given back.

The texts are read through, nothing of them is indexed: a run of 20,000 steps and 40 MB takes a
fraction of a second, and its storing costs nothing. What was found stays for the next page. Case
is folded here, so both databases find the same; in JSON, words are found however it escapes them.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from django.db.models import QuerySet

from runs.models import Run, Step

LONGEST = 200  # characters of what is looked for
MOST_READ = 80_000_000  # characters that one request reads through
BATCH = 500
KEPT = 64
AROUND = 90  # characters shown on either side of a find
PARTS = (("content", "Said"), ("tool_input", "Input"), ("tool_output", "Output"))


class Found(NamedTuple):
    """Positions of steps that hold the words, in order. `until`: the last step that was looked at
    if not all were, else None."""

    positions: tuple[int, ...]
    until: int | None = None


class Excerpt(NamedTuple):
    where: str
    before: str
    hit: str
    after: str


@dataclass(frozen=True, slots=True)
class Words:
    """What is looked for: folded, in each spelling that JSON may give it."""

    plain: str
    spellings: tuple[str, ...]

    @classmethod
    def of(cls, asked: str) -> "Words":
        folded = asked.casefold()
        spelt = {folded}
        for one in (folded, asked.upper()):
            spelt |= {json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1]}
        spelt |= {one.replace("/", "\\/") for one in spelt}
        return cls(folded, (folded, *sorted({one.casefold() for one in spelt} - {folded})))

    def are_in(self, text: str | None) -> bool:
        if not text:
            return False
        folded = text.casefold()
        return any(spelling in folded for spelling in self.spellings)


type _Key = tuple[object, ...]

_kept: OrderedDict[_Key, Found] = OrderedDict()
_lock = Lock()


def find(run: Run, steps: QuerySet[Step], words: str, behind: int, key: _Key) -> Found:
    """Those of `steps` behind position `behind` that hold `words`. `key` tells `steps` from other
    choices of the same run."""
    key = (run.pk, run.first_seen_at, run.version, words, behind, *key)
    with _lock:
        known = _kept.get(key)
    found = known or _looked_through(steps.filter(position__gt=behind), Words.of(words))
    with _lock:
        _kept[key] = found
        _kept.move_to_end(key)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found


def forget() -> None:
    """Drop what was found: for who measures the finding."""
    with _lock:
        _kept.clear()


def _looked_through(steps: QuerySet[Step], words: Words) -> Found:
    positions: list[int] = []
    read = 0
    names = [name for name, _ in PARTS]
    rows = steps.order_by("position").values_list("position", *names)
    for position, *texts in rows.iterator(chunk_size=BATCH):
        if any(map(words.are_in, texts)):
            positions.append(position)
        read += sum(map(len, filter(None, texts)))
        if read > MOST_READ:
            return Found(tuple(positions), position)
    return Found(tuple(positions))


def excerpts(pks: Sequence[int], words: str) -> dict[int, list[Excerpt]]:
    """By key of a step, where its texts hold `words`: the first find in each."""
    names = [name for name, _ in PARTS]
    rows = Step.objects.filter(pk__in=pks).values("pk", *names)
    wanted = Words.of(words)
    return {row["pk"]: list(_of_step(row, wanted)) for row in rows}


def _of_step(row: Mapping[str, str | None], words: Words) -> Iterable[Excerpt]:
    for name, where in PARTS:
        text = row[name]
        if text and words.are_in(text):
            yield _excerpt(where, text, words, is_json=name != "content")


def _excerpt(where: str, text: str, words: Words, *, is_json: bool) -> Excerpt:
    start, end = _place(text, words)
    parts = [
        ("…" if start > AROUND else "") + text[max(start - AROUND, 0) : start],
        text[start:end],
        text[end : end + AROUND] + ("…" if end + AROUND < len(text) else ""),
    ]
    before, hit, after = map(_unescaped, parts) if is_json else parts
    return Excerpt(where, before, hit, after)


def _place(text: str, words: Words) -> tuple[int, int]:
    """Where the words stand. Folding may lengthen a text; then they are looked for character by
    character from where they are at the latest."""
    folded = text.casefold()
    places = [(folded.find(one), len(one)) for one in words.spellings]
    start, length = min(place for place in places if place[0] >= 0)
    if len(folded) == len(text):
        return start, start + length
    place = begin = 0
    for at, character in enumerate(text):
        if place <= start:
            begin = at
        if place >= start + length:
            return begin, at
        place += len(character.casefold())
    return begin, len(text)


_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/])|([bfnrt]))')


def _unescaped(text: str) -> str:
    """JSON's escapes as what they stand for; half of one at an end stays as it is."""

    def told(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return match[2] or " "

    joined = _ESCAPE.sub(told, text)
    # Both halves of a character, told by two escapes, are one; a half alone is no text.
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
