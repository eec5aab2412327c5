"""The sums of `runs.spending` beside what the database counts in the runs, by a rule of its own."""

import datetime as dt
from collections import defaultdict

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from runs import spending
from runs.models import Run, Spent, SpentByDay
from runs.spending import Group, Sums

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
    """Sums, and the changes that are not added to them yet."""
    names = "agent_id", "model", *Sums._fields
    zone = timezone.get_default_timezone()
    rows = [*SpentByDay.objects.values_list("day", *names)]
    for at, *row in Spent.objects.values_list("listed_at", *names):
        try:
            day = at.astimezone(zone).date()
        except OverflowError:  # at the very end of all times
            day = at.date()
        rows.append((day, *row))
    sums: dict[Group, Sums] = defaultdict(Sums)
    for day, agent, model, *numbers in rows:
        sums[day, agent, model] += Sums(*numbers)
    return {group: numbers for group, numbers in sums.items() if any(numbers)}


def in_period(first: dt.date, week: dt.date, last: dt.date) -> spending.Period:
    """As the overview is told."""
    found = spending.Period(defaultdict(Sums), defaultdict(Sums), defaultdict(Sums))
    for (day, agent, model), sums in of_runs().items():
        if first <= day <= last:
            found.by_day[day] += sums
        if week <= day <= last:
            found.by_agent[agent] += sums
            found.by_model[model] += sums
    return found


def check() -> None:
    assert kept() == of_runs()
    days = sorted({day for day, _, _ in of_runs()})
    for first, last in ((days[0], days[-1]), (days[len(days) // 2], days[-1])) if days else ():
        told, true = (of(first, last, last) for of in (spending.period, in_period))
        for name in spending.Period._fields:
            some = {key: sums for key, sums in getattr(told, name).items() if any(sums)}
            assert some == dict(getattr(true, name)), name
    assert spending.total() == sum(sums.micros for sums in of_runs().values())
