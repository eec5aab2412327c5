"""What all runs have cost, kept as a sum: each list is asked what came since somebody last looked,
and to add up a million runs takes a tenth of a second.

Each change is a row of its own, which waits for nobody, and many of them are made one now and then.
"""

from itertools import batched

from django.db import transaction
from django.db.models import Sum

from runs import direct
from runs.models import Spent

MANY = 1_000  # rows, from which on they are made one
_STATEMENT = f"INSERT INTO {Spent._meta.db_table} (micros) VALUES (%s)"


def add(micros: int) -> None:
    """A run costs so much more, or less, than before. Call in the transaction that writes it."""
    if micros:
        with direct.cursor() as cursor:
            cursor.execute(_STATEMENT, (micros,))


def total() -> int:
    """Micro-dollars of all runs, as far as they told."""
    return Spent.objects.aggregate(total=Sum("micros"))["total"] or 0


def fold() -> None:
    """Make one row of many. Others may add meanwhile, or fold what is left."""
    if Spent.objects.count() < MANY:
        return
    with transaction.atomic():
        rows = Spent.objects.select_for_update(skip_locked=True).order_by("pk")
        found = dict(rows.values_list("pk", "micros")[: 10 * MANY])
        if len(found) > 1:
            for some in batched(found, MANY // 2):  # SQLite takes so many values at once
                Spent.objects.filter(pk__in=some).delete()
            Spent.objects.create(micros=sum(found.values()))
