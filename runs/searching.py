"""Finds runs by words in their id, prompt or summary: the same way on SQLite and PostgreSQL.

Case is folded here and not by the database, whose ideas of case differ. Every three characters
in a row are indexed, so a search costs what it finds, wherever in a text the words stand.
"""

from collections.abc import Iterable
from itertools import batched
from math import isqrt
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import StrIndex

from runs.models import Run, RunText

SHORTEST = 3  # characters that the index knows
LONGEST = 20_000  # characters of a prompt, and of a summary, that are looked at
JOINT = 3  # characters of a word's end, and of the next one's beginning
FEWEST, MOST = 500, 10_000  # runs that are looked up; more are met on a way through all
PAGE = 50  # runs that such a way ends with
SAMPLE, COMMON = 400, 6  # runs that are looked at first, and finds among them that are many
PARTS = 8  # of what is looked for that are asked of apart
COUNTED = 1_000  # runs that are looked at to count those that hold words which many hold
USUAL = 0.05  # share of the texts that hold a gram which tells little
BATCH = 500


class Counted(NamedTuple):
    """`is_exact`: or there may be more."""

    number: int
    is_exact: bool


class Sought(NamedTuple):
    """Words that are looked for, once it is known what finds them: the keys of all runs that hold
    them, or None, where each run is to be looked at on a way through the runs in any order."""

    words: str
    keys: list[int] | None

    def among(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        if self.keys is not None:
            return runs.filter(pk__among=self.keys)
        if _is_short(self.words):
            return _beginning(runs, self.words)
        return runs.alias(found_at=self._place()).filter(found_at__gt=0)

    def how_many(self, runs: QuerySet[Run], most: int) -> Counted:
        """How many of `runs` hold the words, up to one more than `most`. Where each is to be looked
        at, only COUNTED are, whatever they hold, and there may be more."""
        if self.keys is not None and not runs.query.where:
            return Counted(len(self.keys), len(self.keys) <= most)
        if self.keys is not None or _is_short(self.words):
            number = self.among(runs)[: most + 1].count()
            return Counted(number, number <= most)
        looked_at = runs.order_by().annotate(found_at=self._place())[: COUNTED + 1]
        told = looked_at.aggregate(held=Count("pk", filter=Q(found_at__gt=0)), all=Count("pk"))
        return Counted(told["held"], told["all"] <= COUNTED and told["held"] <= most)

    def _place(self) -> StrIndex:
        text = RunText.objects.filter(run=OuterRef("pk")).values("folded")
        # Not by LIKE, of which PostgreSQL expects so few finds that it would read and sort all.
        return StrIndex(Subquery(text), Value(fold(self.words)))


def fold(text: str) -> str:
    return text.casefold()


def grams(folded: str) -> list[str]:
    return sorted({folded[at : at + SHORTEST] for at in range(len(folded) - SHORTEST + 1)})


def keep(runs: Iterable[Run]) -> None:
    """Index `runs` as they are now."""
    texts = ((run.pk, _folded(run)) for run in runs)
    if connection.vendor == "postgresql":
        statement = (
            "INSERT INTO runs_runtext (run_id, folded, grams) VALUES (%s, %s, %s) ON CONFLICT"
            " (run_id) DO UPDATE SET folded = excluded.folded, grams = excluded.grams"
        )
        rows: Iterable[tuple[Any, ...]] = ((pk, text, grams(text)) for pk, text in texts)
    else:
        statement = (
            "INSERT INTO runs_runtext (run_id, folded) VALUES (%s, %s)"
            " ON CONFLICT (run_id) DO UPDATE SET folded = excluded.folded"
        )
        rows = texts
    with connection.cursor() as cursor:
        for some in batched(rows, BATCH):
            cursor.executemany(statement, some)


def _folded(run: Run) -> str:
    parts = (run.run_id, run.prompt, run.summary)
    return "\n".join(fold(part[:LONGEST]) for part in parts if part)


def matching(runs: QuerySet[Run], words: str) -> QuerySet[Run]:
    """Those of `runs` that hold `words` in any case; of fewer than SHORTEST characters, those
    whose id begins so."""
    return seek(words).among(runs)


def seek(words: str) -> Sought:
    """What few runs hold is looked up; what many hold is met again and again on a way through the
    runs in any order, and so is to be looked for one run at a time."""
    if _is_short(words):
        begin_so = _beginning(Run.objects.order_by(), words)
        found = list(begin_so.values_list("pk", flat=True)[: FEWEST + 1])
        return Sought(words, found if len(found) <= FEWEST else None)
    newest = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    rarest = ""
    if not Run.objects.filter(run_id=words).exists():  # of an id nobody need be asked
        held, rarest = _sampled(words, newest)
        if held >= COMMON:
            return Sought(words, None)
    at_most = worth_looking_up(newest)
    found = keys(words, at_most + 1, rarest)
    return Sought(words, found if len(found) <= at_most else None)


def _is_short(words: str) -> bool:
    return len(fold(words)) < SHORTEST


def _beginning(runs: QuerySet[Run], words: str) -> QuerySet[Run]:
    """Those of `runs` whose id begins with `words`, in a way that an index answers: SQLite's LIKE
    takes any case, which its index does not."""
    if connection.vendor == "postgresql":
        return runs.filter(run_id__startswith=words)
    return runs.filter(run_id__gte=words, run_id__lt=f"{words}\U0010ffff")


def _sampled(words: str, newest: int) -> tuple[int, str]:
    """In how many of a sample of all runs `words` stand, and the one among these that stands in
    very few, if there is one. What very many hold is not looked up: an index reads all of them,
    however few are asked for."""
    sample = range(newest, 0, -max(newest // SAMPLE, 1))[:SAMPLE]
    folded = fold(words)
    parts = [part for part in folded.split(" ") if len(part) >= SHORTEST][:PARTS]
    asked = {
        f"of_{place}": Count("pk", filter=Q(folded__contains=part))
        for place, part in enumerate((folded, *parts))
    }
    told = [*RunText.objects.filter(pk__among=sample).aggregate(**asked).values()]
    fewest, rarest = min(zip(told[1:], parts, strict=True), default=(COMMON, ""))
    return told[0], rarest if fewest < COMMON else ""


def worth_looking_up(newest: int) -> int:
    """So many finds that to look them up costs what the way to PAGE of them costs: that way is
    the longer, the fewer they are among all runs."""
    return min(max(isqrt(PAGE * newest), FEWEST), MOST)


def keys(words: str, at_most: int, rarest: str = "") -> list[int]:
    """Keys of runs that hold `words`, which are SHORTEST characters or more; `rarest`: the part of
    them that few hold, if one is known."""
    return list(_texts(fold(words), rarest).values_list("pk", flat=True)[:at_most])


def _texts(folded: str, rarest: str = "") -> QuerySet[RunText]:
    # What an index leaves over is read: by the cheaper condition first.
    texts = RunText.objects.filter(folded__contains=folded).order_by()
    for where, value in _indexed(folded, rarest):
        texts = texts.extra(where=[where], params=[value])
    return texts


def _indexed(folded: str, rarest: str) -> list[tuple[str, Any]]:
    """Conditions that indexes answer. PostgreSQL's know only that all grams, or joints, occur."""
    if connection.vendor == "postgresql":
        pairs = joints(folded)
        # Of many grams the database would think that few texts have them all.
        some = grams(rarest)[::SHORTEST] if pairs else _telling(grams(folded))
        asked = ("runs_joints(runs_runtext.folded)", pairs), ("runs_runtext.grams", some)
        return [(f"{column} @> %s", values) for column, values in asked if values]
    quoted = folded.replace('"', '""')
    inner = "SELECT rowid FROM runs_runtext_grams WHERE runs_runtext_grams MATCH %s"
    return [(f"runs_runtext.run_id IN ({inner})", f'"{quoted}"')]


def _telling(some: list[str]) -> list[str]:
    """Those of the grams that few texts hold, as far as the server has counted; all, if there is
    none. Every id begins as all others do, and the index would be read for each of these grams."""
    statement = (
        "SELECT gram FROM pg_stats,"
        " unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common (gram, share)"
        " WHERE schemaname = current_schema() AND tablename = 'runs_runtext'"
        " AND attname = 'grams' AND share > %s AND gram = ANY (%s)"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, (USUAL, some))
        usual = {gram for (gram,) in cursor.fetchall()}
    return [gram for gram in some if gram not in usual] or some


def joints(folded: str) -> list[str]:
    """Where words meet in what is looked for, as PostgreSQL's `runs_joints` tells it of a text:
    many runs hold all grams of three words, few these in this order. Of a first and a last word
    more may stand in the text, so only long ones tell."""
    words = folded.split(" ")
    first = 0 if len(words[0]) >= JOINT else 1
    last = len(words) - 1 if len(words[-1]) >= JOINT else len(words) - 2
    return sorted({f"{words[at][-JOINT:]} {words[at + 1][:JOINT]}" for at in range(first, last)})
