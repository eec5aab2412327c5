"""What the overview asks of the record: what runs, what needs somebody, what it cost.

Costs are counted by the day on which a run was created, in the site's time zone. A run whose cost
was not reported is counted as such, never as nothing.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Count, F, QuerySet
from django.utils import timezone

from dashboard import filters
from dashboard.rows import for_rows
from dashboard.templatetags.runsheet import money_text
from runs import agents, notices, spending, stalls
from runs.models import Run
from runs.spending import Sums

DAYS = 14
MOST_RUNNING = 12
MOST_CHECKED = 500  # runs looked at for a stall, those that have waited longest first
FEW, MANY = 5, 200  # concerns of a kind that are shown: at first, and when asked for
TOP = 5


# What it cost --------------------------------------------------------------------------------


class Day(NamedTuple):
    day: dt.date
    spent: Sums
    height: int  # of 100

    @property
    def top(self) -> int:
        return 104 - self.height

    @property
    def dashes(self) -> int:
        """Where the mark for unreported costs stands: a little above the bar."""
        return 101 - self.height

    @property
    def query(self) -> str:
        return f"from={self.day}&to={self.day}&sort=cost"


class Share(NamedTuple):
    """One agent's or model's part of the week; `query` opens its runs."""

    label: str
    spent: Sums
    width: int  # of 100
    query: str


class Costs(NamedTuple):
    today: Sums
    week: Sums
    week_before: Sums
    days: list[Day]
    by_agent: list[Share]
    by_model: list[Share]

    @property
    def highest(self) -> Day | None:
        day = max(self.days, key=lambda day: day.spent.micros)
        return day if day.height else None

    @property
    def has_silent_days(self) -> bool:
        return any(day.spent.silent for day in self.days)


def _part(number: int, of: int) -> int:
    """Whole percent, at least 1 for something."""
    return max(number * 100 // of, 1) if number > 0 and of > 0 else 0


def costs(now: dt.datetime) -> Costs:
    today = timezone.localdate(now)
    first, first_of_week = (today - dt.timedelta(days=days - 1) for days in (DAYS, 7))
    by_day, by_agent, by_model = spending.period(first, first_of_week, today)
    spent = [by_day.get(first + dt.timedelta(days=day), Sums()) for day in range(DAYS)]
    highest = max(day.micros for day in spent)
    in_week = sum(spent[-7:], Sums())
    return Costs(
        today=spent[-1],
        week=in_week,
        week_before=sum(spent[-14:-7], Sums()),
        days=[
            Day(first + dt.timedelta(days=at), day, _part(day.micros, highest))
            for at, day in enumerate(spent)
        ],
        by_agent=_shares("agent", by_agent, in_week),
        by_model=_shares("model", by_model, in_week),
    )


def _shares(name: str, groups: Mapping[str | None, Sums], whole: Sums) -> list[Share]:
    """The TOP groups by cost, and the others as one, so that the parts sum to the whole."""
    told = [(of, spent) for of, spent in groups.items() if spent.runs]
    top = sorted(told, key=_by_cost)[:TOP]
    names = agents.names(of for of, _ in top) if name == "agent" else {}
    highest = top[0][1].micros if top else 0
    shares = [
        Share(
            names.get(of or "", of or "not reported"),
            spent,
            _part(spent.micros, highest),
            _week_of(**{name: of}) if of else "",
        )
        for of, spent in top
    ]
    rest = whole + -sum((share.spent for share in shares), Sums())
    if rest.runs:
        shares.append(Share("all others", rest, _part(rest.micros, highest), "from=7d&sort=cost"))
    return shares


def _week_of(agent: str = "", model: str = "") -> str:
    return filters.Asked(from_="7d", sort="cost", agent=agent, model=model).query()


def _by_cost(group: tuple[str | None, Sums]) -> tuple[Any, ...]:
    """The dearest first, then what most runs are of, then by name."""
    of, spent = group
    return -spent.micros, -spent.runs, of is None, of or ""


# What runs, and what needs somebody ----------------------------------------------------------


class Worry(NamedTuple):
    """One run that needs somebody, and why in a sentence."""

    run: Run
    why: str
    at: dt.datetime | None


class Concern(NamedTuple):
    """Worries of one kind. `total` may be more than are shown."""

    name: str
    title: str
    worries: Sequence[Worry]
    total: int
    query: str = ""  # of the list that shows them all, where a filter can

    @property
    def unshown(self) -> int:
        return self.total - len(self.worries)


def running() -> list[Run]:
    return list(for_rows(Run.objects.filter(status=Run.Status.RUNNING))[:MOST_RUNNING])


def active_counts() -> dict[str, int]:
    """How many runs have each active status, those that none has included."""
    counted = Run.objects.active().order_by().values_list("status").annotate(Count("pk"))
    return {"queued": 0, "running": 0} | {str(status): number for status, number in counted}


def failed_count(period: str, now: dt.datetime) -> int:
    """How many runs the list shows for status=failed&sort=ended&from=<period>: of those that tell
    their end, which are nearly all, by an index alone."""
    parts = filters.parts_within("completed_at", gte=filters.period_start(period, now))
    failed = Run.objects.failed().order_by()
    return sum(failed.filter(part).count() for part in parts)


def _concern(
    name: str,
    title: str,
    runs: QuerySet[Run],
    most: int,
    worry: Callable[[Run], Worry],
) -> Concern:
    """The first `most` of `runs`; the rest is counted only if there is a rest."""
    found = list(runs[: most + 1])
    total = len(found) if len(found) <= most else runs.order_by().count()
    return Concern(name, title, [worry(run) for run in found[:most]], total)


def failures(now: dt.datetime, most: int) -> Concern:
    """As the list tells them."""
    since = filters.period_start("24h", now)
    asked = filters.Asked(statuses=[Run.Status.FAILED], sort="ended", from_="24h", since=since)
    page = filters.page(filters.matching(asked), for_rows, asked, most, now)
    worries = [Worry(run, _cause(run), run.completed_at) for run in page.runs]
    total = failed_count("24h", now) if page.next else len(worries)
    query = "status=failed&sort=ended&from=24h"
    return Concern("failed", "Failed in the last 24 hours", worries, total, query)


def _cause(run: Run) -> str:
    if run.is_read:
        return run.failure_cause or "No cause is told."
    return "Its details have not been fetched yet."


def stalled(now: dt.datetime, most: int) -> tuple[Concern, bool]:
    """What looks stuck; and whether more than MOST_CHECKED would have to be looked at to say so."""
    suspects, is_unchecked = stalls.suspects(now, MOST_CHECKED)
    why = {
        key: _sentence(stall.sentence)
        for key, signs in suspects.items()
        if (stall := stalls.told_by(signs, now))
    }
    shown = for_rows(Run.objects.filter(pk__in=list(why)[:most])).in_bulk()
    worries = [
        Worry(run, why[key], run.started_at or run.listed_at)
        for key in why
        if (run := shown.get(key))
    ]
    return Concern("stalled", "Stalled", worries, len(why)), is_unchecked


def unread(most: int) -> Concern:
    runs = for_rows(Run.objects.filter(poll__quarantined_at__isnull=False))
    return _concern(
        "unread",
        "Answers that cannot be read",
        runs.order_by("-poll__quarantined_at", F("poll__run_id").desc()),  # as the index has it
        most,
        lambda run: Worry(run, _sentence(run.poll.last_error), run.poll.quarantined_at),
    )


def oddities(now: dt.datetime, most: int) -> Concern:
    """Runs of the last 7 days whose record contradicts itself."""
    runs = Run.objects.filter(odd_at__gte=filters.period_start("7d", now))
    return _concern(
        "odd",
        "Records that do not agree with themselves",
        _with_contradictions(for_rows(runs)).order_by("-odd_at", "-pk"),
        most,
        lambda run: Worry(run, " ".join(_odd(run)), run.completed_at or run.listed_at),
    )


def _with_contradictions(runs: QuerySet[Run]) -> QuerySet[Run]:
    deferred = set(runs.query.deferred_loading[0]) - {"contradictions"}
    return runs.defer(None).defer(*deferred)


def _odd(run: Run) -> Iterable[str]:
    if not run.has_known_status and run.status:
        yield f"Case.dev sent the unknown status “{run.status}”."
    for contradiction in run.contradictions[:3]:
        yield _sentence(str(contradiction.get("text", "")))
    both = run.summary_cost_micros, run.entries_cost_micros
    if run.is_terminal and None not in both and both[0] != both[1]:
        says, sums = (money_text(micros, 6) for micros in both)
        yield f"The summary says {says}, the entries sum to {sums}."


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def concerns(now: dt.datetime, shown: str = "") -> tuple[list[Concern], bool]:
    """What needs somebody, kinds without any left out; of the kind `shown` MANY are shown. And
    whether there were too many active runs to look at each for a stall."""

    def most(name: str) -> int:
        return MANY if shown == name else FEW

    stuck, is_unchecked = stalled(now, most("stalled"))
    found = [
        failures(now, most("failed")),
        stuck,
        unread(most("unread")),
        oddities(now, most("odd")),
    ]
    return [concern for concern in found if concern.total], is_unchecked


def context(now: dt.datetime, shown: str) -> dict[str, Any]:
    """All that the overview tells beside the rows of running runs."""
    active = active_counts()
    needy, is_unchecked = concerns(now, shown)
    beat = notices.last_beat()
    return {
        "active": active,
        "unshown_running": active[Run.Status.RUNNING] - MOST_RUNNING,
        "concerns": needy,
        "worry_count": sum(concern.total for concern in needy),
        "is_unchecked": is_unchecked,
        "most_checked": MOST_CHECKED,
        "failed_in_week": failed_count("7d", now),
        "costs": costs(now),
        "worker_seen_at": None if beat is None else dt.datetime.fromtimestamp(beat, dt.UTC),
    }
