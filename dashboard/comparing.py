"""Two runs side by side: what was asked and said, word by word; what each did, step beside step;
and what each took. `a` is the run that the other is compared with.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dashboard import outline as outlines
from dashboard import run_page
from dashboard.rendering import differences
from dashboard.rendering.differences import AROUND, LONGEST, SHOWN, Piece
from dashboard.rendering.text import visible
from dashboard.rows import for_rows
from dashboard.step_lines import Line, lines
from runs import prompts
from runs.models import Run, Step

MOST_ALIGNED = 300  # acts of each run that are set beside one another
SUGGESTED = 8

# What two acts have in common, in points; to leave one out costs nothing.
SAME_LINE, SAME_ACT, SAME_KIND_OF_ACT, SAME_KIND = 8, 5, 2, 1


# Which runs ----------------------------------------------------------------------------------


def asked_before(run: Run, count: int = SUGGESTED) -> list[Run]:
    """Runs that were asked the same, the newest first."""
    if not run.prompt_key:
        return []
    same = Run.objects.filter(prompt_key=run.prompt_key).exclude(pk=run.pk).order_by("-pk")
    return list(for_rows(same)[:count])


def is_same_request(a: Run, b: Run) -> bool:
    return prompts.key(a.prompt) == prompts.key(b.prompt)


# Texts ---------------------------------------------------------------------------------------


class Told(NamedTuple):
    """Two texts as one. `html` is safe; `is_cut`: they go on, and that part was not compared."""

    html: SafeString
    is_same: bool
    is_cut: bool
    absence: str
    words_gone: int = 0
    words_new: int = 0


def texts(old: str | None, new: str | None) -> Told:
    if not old and not new:
        return Told(SafeString(""), True, False, "Neither run has one.")
    html, gone, fresh = _marked((old or "")[:LONGEST], (new or "")[:LONGEST])
    is_cut = max(len(old or ""), len(new or "")) > LONGEST
    return Told(html, old == new, is_cut, "", gone, fresh)


@lru_cache(maxsize=32)
def _marked(old: str, new: str) -> tuple[SafeString, int, int]:
    told = differences.pieces(old, new)
    parts: list[SafeString] = []
    left = SHOWN
    for at, piece in enumerate(told):
        if left <= 0:
            parts.append(format_html('<p class="cut">{}</p>', "More changes follow in the texts."))
            break
        parts.append(_piece(piece, at == 0, at == len(told) - 1))
        left -= len(piece.text) if piece.kind != "same" else 2 * AROUND
    gone, fresh = (
        sum(len(piece.text.split()) for piece in told if piece.kind == kind)
        for kind in ("gone", "new")
    )
    return mark_safe("".join(parts)), gone, fresh  # each part is escaped


def _piece(piece: Piece, is_first: bool, is_last: bool) -> SafeString:
    """Changes are marked; of what is long and the same, only what stands beside them is shown."""
    if piece.kind != "same":
        tag = "del" if piece.kind == "gone" else "ins"
        return format_html("<{0}>{1}</{0}>", mark_safe(tag), visible(piece.text))
    before = "" if is_first else piece.text[:AROUND]
    after = "" if is_last else piece.text[-AROUND:]
    middle = piece.text[len(before) : len(piece.text) - len(after)]
    if len(middle) < 3 * AROUND:
        return visible(piece.text)
    words = f"{len(middle.split()):,} words that are the same"
    fold = '<details class="same"><summary>{}</summary>{}</details>'
    return format_html("{}" + fold + "{}", visible(before), words, visible(middle), visible(after))


# What each did -------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Acts that stand beside one another; None where one run has none. `is_like`: the same act
    on the same things."""

    a: Line | None
    b: Line | None
    is_like: bool


@dataclass(frozen=True, slots=True)
class Acts:
    pairs: Sequence[Pair]
    more_a: int  # acts of each run that are not shown
    more_b: int
    last_a: int  # position of the last act of each that is shown
    last_b: int

    @property
    def unlike(self) -> int:
        return sum(not pair.is_like for pair in self.pairs)


def acts(a: Run, b: Run) -> Acts:
    """What both did, calls and words, aligned; thinking is left out."""
    mine, more_a = _lines(a)
    theirs, more_b = _lines(b)
    last_a, last_b = (shown[-1].position if shown else 1 for shown in (mine, theirs))
    return Acts(aligned(mine, theirs), more_a, more_b, last_a, last_b)


def _lines(run: Run) -> tuple[list[Line], int]:
    told = run.steps.present().filter(type__in=(Step.Type.TOOL_CALL, Step.Type.OUTPUT))
    steps = outlines.briefs(told.order_by("position")[:MOST_ALIGNED])
    return lines(run, steps), max(told.count() - MOST_ALIGNED, 0)


def aligned(a: Sequence[Line], b: Sequence[Line]) -> list[Pair]:
    """The alignment with the most in common (Needleman and Wunsch)."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    likeness = [[_likeness(mine, theirs) for theirs in b] for mine in a]
    for at in range(len(a) - 1, -1, -1):
        row, below, points = best[at], best[at + 1], likeness[at]
        for other in range(len(b) - 1, -1, -1):
            both = points[other] and points[other] + below[other + 1]
            row[other] = max(both, below[other], row[other + 1])
    return list(_followed(a, b, best, likeness))


def _followed(
    a: Sequence[Line], b: Sequence[Line], best: list[list[int]], likeness: list[list[int]]
) -> Sequence[Pair]:
    pairs, at, other = [], 0, 0
    while at < len(a) and other < len(b):
        points = likeness[at][other]
        if points and best[at][other] == points + best[at + 1][other + 1]:
            pairs.append(Pair(a[at], b[other], points >= SAME_LINE))
            at, other = at + 1, other + 1
        elif best[at][other] == best[at + 1][other]:
            pairs.append(Pair(a[at], None, False))
            at += 1
        else:
            pairs.append(Pair(None, b[other], False))
            other += 1
    pairs += [Pair(line, None, False) for line in a[at:]]
    return pairs + [Pair(None, line, False) for line in b[other:]]


def _likeness(a: Line, b: Line) -> int:
    """Points for two acts; 0 for what is not to stand side by side."""
    if a.kind != b.kind:
        return 0
    if a.caption is None or b.caption is None:
        return SAME_LINE if a.peek == b.peek else SAME_KIND
    if a.caption.plain == b.caption.plain:
        return SAME_LINE
    if a.caption.act and a.caption.act == b.caption.act:
        return SAME_ACT
    if a.caption.act and b.caption.act and a.caption.act.many == b.caption.act.many:
        return SAME_KIND_OF_ACT
    return 0


# What each took ------------------------------------------------------------------------------


class Measure(NamedTuple):
    """`kind` says how values are worded: money, span or number. None: not reported."""

    label: str
    kind: str
    a: Any
    b: Any

    @property
    def added(self) -> Any:
        """`b` less `a`; None where either is not known."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def is_more(self) -> bool:
        return bool(self.added > self.added * 0)


def measures(a: Run, b: Run, now: dt.datetime) -> list[Measure]:
    columns: list[tuple[str, str, Callable[[Run], Any]]] = [
        ("Elapsed", "span", lambda run: run.elapsed(now)),
        ("Cost", "money", lambda run: run.cost_micros),
        ("Tokens", "number", run_page.tokens),
        ("Steps", "number", lambda run: run.step_count if run.is_read else None),
        ("Tool calls", "number", lambda run: run.tool_call_count if run.is_read else None),
        (
            "Failed calls",
            "number",
            lambda run: outlines.of(run).failed_calls if run.is_read else None,
        ),
    ]
    return [Measure(label, kind, of(a), of(b)) for label, kind, of in columns]


def context(a: Run, b: Run, now: dt.datetime) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "now": now,
        "is_same_request": is_same_request(a, b),
        "measures": measures(a, b, now),
        "prompt": texts(a.prompt, b.prompt),
        "guidance": texts(a.guidance, b.guidance),
        "summary": texts(a.summary, b.summary),
        "output": texts(a.output, b.output),
        "acts": acts(a, b),
        "longest": LONGEST,
        "most_aligned": MOST_ALIGNED,
    }
