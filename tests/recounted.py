"""The sums of `runs.spending` beside what the database counts in the runs, by a rule of its own."""

import datetime as dt

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce, TruncDate

from runs import spending
from runs.models import Run
from runs.spending import Group, Sums

LONG_AGO = dt.date(1900, 1, 1)
_UNTOLD = Q(cost_micros=None)
_ACTIVE = Q(status__in=Run.ACTIVE)


def of_runs() -> dict[Group, Sums]:
    used = Coalesce("usage_model", "model")
    groups = (
        Run.objects.order_by()
        .annotate(day=TruncDate("listed_at"), used=used)
        .values_list("day", "agent_id", "used")
        .annotate(
            Sum("cost_micros", default=0),
            Count("pk"),
            silent=Count("pk", filter=_UNTOLD & ~_ACTIVE & Q(version__gt=0)),
            open=Count("pk", filter=_UNTOLD & _ACTIVE),
            unread=Count("pk", filter=_UNTOLD & ~_ACTIVE & Q(version=0)),
        )
    )
    return {(day, agent, model): Sums(*sums) for day, agent, model, *sums in groups}


def kept() -> dict[Group, Sums]:
    rows = spending.since(LONG_AGO)
    sums = spending.summed(((row.day, row.agent_id, row.model), row.sums) for row in rows)
    return {group: numbers for group, numbers in sums.items() if any(numbers)}


def check() -> None:
    assert kept() == of_runs()
    assert spending.total() == sum(sums.micros for sums in of_runs().values())
