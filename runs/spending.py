"""What runs have cost, kept as sums: by day, agent and model for the overview, and in all for each
list, which tells what came since somebody last looked. To add up the runs themselves took seconds.

Each change is a row of its own, which waits for nobody and is written with the run; many of them
are added to the sums now and then. So sums and the changes that are left are always together what
the runs say, and whoever reads them does it in one statement.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from runs import direct
from runs.models import Run, Spent, SpentByDay, SpentInAll

MANY = 1_000  # changes, from which on they are added to the sums
# Columns of a run that its part in the sums follows from; so it does from its first reading.
COLUMNS = frozenset({"listed_at", "agent_id", "usage_model", "model", "cost_micros", "status"})
_AT_ONCE = 500  # values that SQLite takes in one statement

type Group = tuple[dt.date, str | None, str | None]  # day, agent, model


class Sums(NamedTuple):
    """`silent`: ended runs that reported no cost. `open`: active ones that reported none yet.
    `unread`: ended ones of which the list alone has told so far."""

    micros: int = 0
    runs: int = 0
    silent: int = 0
    open: int = 0
    unread: int = 0

    def __add__(self, other: object) -> "Sums":
        if not isinstance(other, Sums):
            return NotImplemented
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __neg__(self) -> "Sums":
        return Sums(*(-number for number in self))

    @property
    def is_known(self) -> bool:
        """Whether any run reported a cost; a sum over none would be a made-up zero."""
        return self.runs > self.silent + self.open + self.unread


class Part(NamedTuple):
    """What one run adds to the sums, and to which."""

    listed_at: dt.datetime
    agent_id: str | None
    model: str | None
    sums: Sums


class Period(NamedTuple):
    by_day: dict[dt.date, Sums]
    by_agent: dict[str | None, Sums]
    by_model: dict[str | None, Sums]


# What runs add -------------------------------------------------------------------------------


def part(run: Run) -> Part:
    """As `run` is now."""
    model = run.model if run.usage_model is None else run.usage_model  # as the list's filter does
    sums = _sums(run.cost_micros, run.status, run.version)
    return Part(run.listed_at, run.agent_id, model, sums)


def _sums(micros: int | None, status: str, version: int) -> Sums:
    if micros is not None:
        return Sums(micros, 1)
    if status in Run.ACTIVE:
        return Sums(0, 1, open=1)
    return Sums(0, 1, silent=1) if version else Sums(0, 1, unread=1)


def add(runs: Iterable[Run]) -> None:
    """These runs are new. Call in the transaction that stores them."""
    Spent.objects.bulk_create(Spent(**_columns(part(run))) for run in runs)


def move(before: Part, after: Part) -> None:
    """A run added `before` and adds `after`. Call in the transaction that writes it."""
    if before == after:
        return
    if before[:3] == after[:3]:
        direct.add(Spent, _columns(after._replace(sums=after.sums + -before.sums)))
    else:
        direct.add(Spent, _columns(before._replace(sums=-before.sums)))
        direct.add(Spent, _columns(after))


def _columns(one: Part) -> dict[str, Any]:
    *where, sums = one
    return dict(zip(Part._fields, where, strict=False)) | sums._asdict()


# What they come to ---------------------------------------------------------------------------


def total() -> int:
    """Micro-dollars of all runs, as far as they told."""
    with direct.cursor() as cursor:
        # One statement: between two, changes might become sums, and be counted twice or not at all.
        cursor.execute(
            f"SELECT (SELECT COALESCE(SUM(micros), 0) FROM {SpentInAll._meta.db_table})"
            f" + (SELECT COALESCE(SUM(micros), 0) FROM {Spent._meta.db_table})"
        )
        return int(cursor.fetchone()[0])


def period(first: dt.date, week: dt.date, last: dt.date) -> Period:
    """Of the days from `first` to `last` together with changes that are not added yet; by agent and
    model from `week` on."""
    told = ", ".join(Sums._fields)
    added = ", ".join(f"CAST(SUM({name}) AS bigint)" for name in Sums._fields)
    days, changes = SpentByDay._meta.db_table, Spent._meta.db_table
    midnight = timezone.make_aware(dt.datetime.combine(first, dt.time.min))
    with direct.cursor() as cursor:
        # One statement, as above; times as texts, which both databases write alike.
        cursor.execute(
            f"WITH kept AS (SELECT * FROM {days} WHERE day BETWEEN %s AND %s),"
            " lately AS (SELECT * FROM kept WHERE day >= %s)"
            f" SELECT 'day', CAST(day AS text), NULL, NULL, {added} FROM kept GROUP BY day"
            f" UNION ALL SELECT 'agent', NULL, agent_id, NULL, {added}"
            " FROM lately GROUP BY agent_id"
            f" UNION ALL SELECT 'model', NULL, NULL, model, {added} FROM lately GROUP BY model"
            f" UNION ALL SELECT '', CAST(listed_at AS text), agent_id, model, {told} FROM {changes}"
            " WHERE listed_at >= %s",
            (
                *map(connection.ops.adapt_datefield_value, (first, last, week)),
                connection.ops.adapt_datetimefield_value(midnight),
            ),
        )
        rows = cursor.fetchall()
    found = Period(defaultdict(Sums), defaultdict(Sums), defaultdict(Sums))
    for kind, at, agent, model, *numbers in rows:
        day, sums = _day_of(at) if at else last, Sums(*numbers)
        if kind == "day" or (not kind and first <= day <= last):
            found.by_day[day] += sums
        if kind == "agent" or (not kind and week <= day <= last):
            found.by_agent[agent] += sums
        if kind == "model" or (not kind and week <= day <= last):
            found.by_model[model] += sums
    return found


def _day_of(told: str) -> dt.date:
    """Of a date, or of a time in UTC."""
    if len(told) == len("2026-11-30"):
        return dt.date.fromisoformat(told)
    at = dt.datetime.fromisoformat(told)
    return _day(at if at.tzinfo else at.replace(tzinfo=dt.UTC))


def summed[Key](parts: Iterable[tuple[Key, Sequence[int]]]) -> dict[Key, Sums]:
    """Sums by key."""
    found = defaultdict(list)
    for key, sums in parts:
        found[key].append(sums)
    return {key: Sums(*map(sum, zip(*several, strict=True))) for key, several in found.items()}


def _day(at: dt.datetime) -> dt.date:
    """The date at the site. Case.dev may tell of a time at the very end of all that there are."""
    try:
        return at.astimezone(timezone.get_default_timezone()).date()
    except OverflowError:
        return at.date()


# Changes become sums -------------------------------------------------------------------------


def fold() -> None:
    """Add many changes to the sums; make all anew if their days are those of another zone. Others
    may add changes meanwhile."""
    kept = SpentInAll.objects.filter(pk=SpentInAll.SOLE).first()
    if kept is None or kept.zone != settings.TIME_ZONE:
        rebuild()
    elif Spent.objects.count() >= MANY:
        with transaction.atomic():
            direct.end_if_idle()
            _fold()


def _fold() -> None:
    ours = SpentInAll.objects.select_for_update(skip_locked=True)
    whole = ours.filter(pk=SpentInAll.SOLE, zone=settings.TIME_ZONE).first()
    if whole is None:
        return  # somebody else is at it
    changes = list(
        Spent.objects.order_by("pk").values_list(
            "pk", "listed_at", "agent_id", "model", *Sums._fields
        )[: 10 * MANY]
    )
    for some in batched([pk for pk, *_ in changes], _AT_ONCE):
        Spent.objects.filter(pk__in=some).delete()
    _add_to_days(summed(((_day(at), agent, model), sums) for _, at, agent, model, *sums in changes))
    whole.micros += sum(micros for *_, micros, _, _, _, _ in changes)
    whole.save(update_fields=["micros"])


def _add_to_days(added: Mapping[Group, Sums]) -> None:
    """The rows that are there are replaced: two statements, however many groups."""
    old: list[int] = []
    sums = dict(added)
    for days in batched({day for day, _, _ in added}, _AT_ONCE):
        for row in SpentByDay.objects.filter(day__in=days):
            group = row.day, row.agent_id, row.model
            if group in added:
                old.append(row.pk)
                sums[group] += Sums(*(getattr(row, name) for name in Sums._fields))
    for some in batched(old, _AT_ONCE):
        SpentByDay.objects.filter(pk__in=some).delete()
    _store(sums)


def _store(sums: Mapping[Group, Sums]) -> None:
    rows = (
        SpentByDay(day=day, agent_id=agent, model=model, **numbers._asdict())
        for (day, agent, model), numbers in sums.items()
        if any(numbers)
    )
    for some in batched(rows, 10 * MANY):
        SpentByDay.objects.bulk_create(some)


def rebuild() -> None:
    """Make all sums out of the runs. Whoever writes a run meanwhile waits."""
    with transaction.atomic():
        direct.end_if_idle()
        sole = {"pk": SpentInAll.SOLE}
        SpentInAll.objects.get_or_create(**sole, defaults={"zone": settings.TIME_ZONE})
        SpentInAll.objects.select_for_update().get(**sole)
        if connection.vendor == "postgresql":
            # Who has told of a change is waited for, and is read below. Who has written a run but
            # not told yet waits for us, and is not. On SQLite there is one writer at a time.
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {Spent._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
        Spent.objects.all().delete()
        SpentByDay.objects.all().delete()
        sums = _of_runs()
        _store(sums)
        micros = sum(one.micros for one in sums.values())
        SpentInAll.objects.filter(**sole).update(micros=micros, zone=settings.TIME_ZONE)


def _of_runs() -> dict[Group, Sums]:
    """By Python, as each change is: of a day at the very end of time databases know less."""
    names = "listed_at", "agent_id", "usage_model", "model", "cost_micros", "status", "version"
    found: dict[Group, list[int]] = {}
    for at, agent, used, model, *told in (
        Run.objects.order_by().values_list(*names).iterator(chunk_size=10 * MANY)
    ):
        group = _day(at), agent, model if used is None else used
        so_far = found.setdefault(group, [0] * len(Sums._fields))
        for place, number in enumerate(_sums(*told)):
            so_far[place] += number
    return {group: Sums(*numbers) for group, numbers in found.items()}
