"""What two texts have in common and what only one of them says, word by word, in bounded time.

Words that stand once in each text are the fixed points between which the rest is compared
(patience diff), again and again as long as that finds any. Only what is short between two fixed
points is compared thoroughly, and no more of it than BUDGET allows; what is left counts as
replaced. So the answer may tell more as changed than need be, and never less.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal, NamedTuple

LONGEST = 120_000  # characters of each text that are compared
BUDGET = 600_000  # pairs of words compared thoroughly
THOROUGH = 20_000  # of them in one place
DEEPEST = 5
PHRASES = (5, 11)  # lengths, blanks counted
AROUND = 160  # characters kept beside a change; what is the same beyond is folded
SHOWN = 100_000  # characters of changes on a page

_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")

type Kind = Literal["same", "gone", "new"]


class Piece(NamedTuple):
    kind: Kind
    text: str


@dataclass(slots=True)
class _Work:
    left: int


def pieces(old: str, new: str) -> list[Piece]:
    """`old` is all that is same or gone, in order; `new` all that is same or new."""
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    told = _joined(_compared(a, b, _Work(BUDGET), 0))
    return list(_without_lone_spaces(told))


def _compared(a: Sequence[str], b: Sequence[str], work: _Work, depth: int) -> Iterator[Piece]:
    start = _equal(a, b)
    yield Piece("same", "".join(a[:start]))
    a, b = a[start:], b[start:]
    end = _equal(a[::-1], b[::-1])
    tail = a[len(a) - end :]
    yield from _core(a[: len(a) - end], b[: len(b) - end], work, depth)
    yield Piece("same", "".join(tail))


def _equal(a: Sequence[str], b: Sequence[str]) -> int:
    shared = 0
    for mine, theirs in zip(a, b, strict=False):
        if mine != theirs:
            break
        shared += 1
    return shared


def _core(a: Sequence[str], b: Sequence[str], work: _Work, depth: int) -> Iterator[Piece]:
    pairs = len(a) * len(b)
    if 0 < pairs <= min(THOROUGH, work.left):
        work.left -= pairs
        yield from _thorough(a, b)
        return
    fixed = _fixed_points(a, b) if pairs and depth < DEEPEST else []
    if not fixed:
        yield Piece("gone", "".join(a))
        yield Piece("new", "".join(b))
        return
    at, other = 0, 0
    for mine, theirs in [*fixed, (len(a), len(b))]:
        yield from _compared(a[at:mine], b[other:theirs], work, depth + 1)
        yield Piece("same", "".join(a[mine : mine + 1]))
        at, other = mine + 1, theirs + 1


def _thorough(a: Sequence[str], b: Sequence[str]) -> Iterator[Piece]:
    for tag, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, False).get_opcodes():
        if tag == "equal":
            yield Piece("same", "".join(a[a_from:a_to]))
        else:
            yield Piece("gone", "".join(a[a_from:a_to]))
            yield Piece("new", "".join(b[b_from:b_to]))


def _fixed_points(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Places of words that each text holds once, as many as come in the same order in both.
    Where every word comes twice, phrases may still come once."""
    for length in (1, *PHRASES):
        mine, theirs = _phrases(a, length), _phrases(b, length)
        once_a = {p for p, count in Counter(mine).items() if count == 1 and not p.isspace()}
        once = {phrase for phrase, count in Counter(theirs).items() if count == 1} & once_a
        places = {phrase: place for place, phrase in enumerate(theirs) if phrase in once}
        shared = [(place, places[phrase]) for place, phrase in enumerate(mine) if phrase in once]
        if found := _rising(shared):
            return found
    return []


def _phrases(words: Sequence[str], length: int) -> Sequence[str]:
    if length == 1:
        return words
    return ["".join(words[at : at + length]) for at in range(len(words) - length + 1)]


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of `pairs`, ordered by the first, in which the second rises too."""
    tops: list[int] = []  # the least last place of a rising row of each length
    last: list[int] = []  # which pair that is
    before: list[int] = []
    for at, (_, place) in enumerate(pairs):
        length = bisect_left(tops, place)
        before.append(last[length - 1] if length else -1)
        tops[length : length + 1] = [place]
        last[length : length + 1] = [at]
    found = []
    at = last[-1] if last else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _joined(told: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one; between same pieces, what is gone before what is new."""
    for is_same, some in groupby((one for one in told if one.text), lambda one: one.kind == "same"):
        changed = list(some)
        if is_same:
            yield Piece("same", "".join(one.text for one in changed))
            continue
        for kind in ("gone", "new"):
            if text := "".join(one.text for one in changed if one.kind == kind):
                yield Piece(kind, text)


def _without_lone_spaces(told: Iterator[Piece]) -> Iterator[Piece]:
    """A blank between two changes belongs to both: words are read, not the gaps between them."""
    kept: list[Piece] = []
    all_told = list(told)
    for at, piece in enumerate(all_told):
        is_inner = 0 < at < len(all_told) - 1
        if is_inner and piece.kind == "same" and piece.text.isspace() and "\n" not in piece.text:
            kept += [Piece("gone", piece.text), Piece("new", piece.text)]
        else:
            kept.append(piece)
    return _joined(iter(kept))
