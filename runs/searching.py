"""Finds runs by words in their id, prompt or summary: the same way on SQLite and PostgreSQL.

Case is folded here and not by the database, whose ideas of case differ. Every three characters
in a row are indexed, so a search costs what it finds, wherever in a text the words stand.
"""

from collections.abc import Iterable
from itertools import batched
from math import isqrt
from typing import Any

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import StrIndex

from runs.models import Run, RunText

SHORTEST = 3  # characters that the index knows
LONGEST = 20_000  # characters of a prompt, and of a summary, that are looked at
FEWEST, MOST = 500, 10_000  # runs that are looked up; more are met on a way through all
PAGE = 50  # runs that such a way ends with
SAMPLE, COMMON = 400, 20  # runs that are looked at first, and finds among them that are many
BATCH = 500


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


def matching(runs: QuerySet[Run], words: str, at_most: int | None = None) -> QuerySet[Run]:
    """Those of `runs` that hold `words` in any case; of fewer than SHORTEST characters, those
    whose id begins so.

    What few hold is looked up, what more than `at_most` hold is met again and again on a way
    through the runs in any order. So the words are looked at one run at a time then.
    """
    if len(fold(words)) < SHORTEST:
        all_so = _beginning(Run.objects.order_by(), words)
        found = list(all_so.values_list("pk", flat=True)[: FEWEST + 1])
        return runs.filter(pk__in=found) if len(found) <= FEWEST else _beginning(runs, words)
    newest = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    if at_most is not None or not _is_common(words, newest):
        at_most = at_most or worth_looking_up(newest)
        found = keys(words, at_most + 1)
        if len(found) <= at_most:
            return runs.filter(pk__in=found)
    text = RunText.objects.filter(run=OuterRef("pk")).values("folded")
    # Not by LIKE, of which PostgreSQL expects so few finds that it would read and sort all runs.
    place = StrIndex(Subquery(text), Value(fold(words)))
    return runs.alias(found_at=place).filter(found_at__gt=0)


def _beginning(runs: QuerySet[Run], words: str) -> QuerySet[Run]:
    """Those of `runs` whose id begins with `words`, in a way that an index answers: SQLite's LIKE
    takes any case, which its index does not."""
    if connection.vendor == "postgresql":
        return runs.filter(run_id__startswith=words)
    return runs.filter(run_id__gte=words, run_id__lt=f"{words}\U0010ffff")


def _is_common(words: str, newest: int) -> bool:
    """Whether a sample of all runs tells that very many hold `words`: to look these up, an index
    reads all of them, however few are asked for. Of an id nobody need be asked."""
    if Run.objects.filter(run_id=words).exists():
        return False
    sample = range(newest, 0, -max(newest // SAMPLE, 1))[:SAMPLE]
    texts = RunText.objects.filter(pk__in=sample, folded__contains=fold(words))
    return texts.count() >= COMMON


def worth_looking_up(newest: int) -> int:
    """So many finds that to look them up costs what the way to PAGE of them costs: that way is
    the longer, the fewer they are among all runs."""
    return min(max(isqrt(PAGE * newest), FEWEST), MOST)


def keys(words: str, at_most: int) -> list[int]:
    """Keys of runs that hold `words`, which are SHORTEST characters or more."""
    return list(_texts(fold(words)).values_list("pk", flat=True)[:at_most])


def _texts(folded: str) -> QuerySet[RunText]:
    where, value = _indexed(folded)
    texts = RunText.objects.extra(where=[where], params=[value])
    return texts.filter(folded__contains=folded).order_by()


def _indexed(folded: str) -> tuple[str, Any]:
    """A condition that the index answers. PostgreSQL's knows only that all grams occur."""
    if connection.vendor == "postgresql":
        return "runs_runtext.grams @> %s", grams(folded)
    quoted = folded.replace('"', '""')
    inner = "SELECT rowid FROM runs_runtext_grams WHERE runs_runtext_grams MATCH %s"
    return f"runs_runtext.run_id IN ({inner})", f'"{quoted}"'
