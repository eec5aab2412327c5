"""The list's query: what the address asks for, and what of it cannot be.

The address holds the whole view: `q`, `status` (several), `agent`, `model`, `from`, `to`, `sort`,
`columns`, `after`. A value that cannot be is told in words (`Asked.complaints`) and then ignored:
an old bookmark or a slip of the pen shows a list, never an error page.

The dates filter the time that the list is sorted by: ended, if sorted by end, started, if sorted
by start, else created. Days have their borders in the site's time zone.
"""

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils import timezone

from dashboard.cursors import LASTED, Cursor, CursorError, Order, Page, Shown, by_length
from dashboard.facets import statuses
from dashboard.notes.models import Label, RunLabel
from dashboard.rows import for_rows, newest
from dashboard.saved import columns
from runs import searching
from runs.models import Run

LONGEST_SEARCH = 200
MOST_COUNTED = 10_000
# A filtered list says sooner that there are more: what it asks of each run costs time, words most.
MOST_MATCHING, MOST_HELD = 5_000, 2_000
OTHER = "other"  # the status filter's word for every status that the reference does not name
STATUSES = (*Run.Status.values, OTHER)
DAY = re.compile(r"(20[0-9]{2})-([0-9]{2})-([0-9]{2})")


class Sort(NamedTuple):
    label: str
    order: Order
    time: str = "listed_at"  # what the dates filter

    @property
    def time_word(self) -> str:
        return {"started_at": "Started", "completed_at": "Ended"}.get(self.time, "Created")


SORTS = {
    "newest": Sort("Newest", Order("listed_at", dt.datetime, may_be_absent=False)),
    "oldest": Sort("Oldest", Order("listed_at", dt.datetime, False, may_be_absent=False)),
    "started": Sort("Last started", Order("started_at", dt.datetime), time="started_at"),
    "ended": Sort("Last ended", Order("completed_at", dt.datetime), time="completed_at"),
    "longest": Sort("Longest", LASTED),
    "steps": Sort("Most steps", Order("step_count", int, may_be_absent=False)),
    "cost": Sort("Highest cost", Order("cost_micros", int)),
}
DEFAULT_SORT = "newest"


class Period(NamedTuple):
    label: str
    words: str


# Values of `from` that move with the clock, so that a bookmark of them stays true tomorrow.
PERIODS = {
    "today": Period("Today", "today"),
    "24h": Period("24 h", "in the last 24 hours"),
    "7d": Period("7 days", "in the last 7 days"),
    "30d": Period("30 days", "in the last 30 days"),
}


def midnight(day: dt.date) -> dt.datetime:
    """The day's first moment in the site's time zone."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def period_start(name: str, now: dt.datetime) -> dt.datetime:
    """`7d` and `30d` are whole days, today among them; `24h` is exactly that."""
    if name == "24h":
        return now - dt.timedelta(hours=24)
    days = {"today": 1, "7d": 7, "30d": 30}[name]
    return midnight(timezone.localdate(now) - dt.timedelta(days=days - 1))


@dataclass(slots=True)
class Asked:
    """A checked query. `since` is included, `until` is not."""

    q: str = ""
    statuses: list[str] = field(default_factory=list)
    agent: str = ""
    label: str = ""  # what people of the house put on runs
    model: str = ""
    from_: str = ""
    to: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    sort: str = DEFAULT_SORT
    columns: tuple[str, ...] = ()  # () where the address names none
    after: Cursor | None = None
    complaints: dict[str, str] = field(default_factory=dict)

    @property
    def sorting(self) -> Sort:
        return SORTS[self.sort]

    @property
    def is_filtered(self) -> bool:
        chosen = (self.q, self.statuses, self.agent, self.label, self.model, self.from_, self.to)
        return any(chosen)

    @property
    def has_more_filters(self) -> bool:
        """Whether something is chosen that narrow screens fold away."""
        return bool(self.agent or self.model or self.from_ or self.to or self.sort != DEFAULT_SORT)

    @property
    def period(self) -> str:
        """The name of the moving period asked for, or ""."""
        return self.from_ if self.from_ in PERIODS else ""

    @property
    def from_day(self) -> str:
        return "" if self.period else self.from_

    def query(self, *, after: Cursor | None = None, **changes: str) -> str:
        """The shortest query string that asks the same, with some names changed; "" if none."""
        query = QueryDict(mutable=True)
        values: dict[str, str | list[str]] = {
            "q": self.q,
            "status": self.statuses,
            "agent": self.agent,
            "label": self.label,
            "model": self.model,
            "from": self.from_,
            "to": self.to,
            "sort": self.sort,
            "columns": ",".join(self.columns),
        }
        values.update(changes)
        if values["sort"] == DEFAULT_SORT:
            values["sort"] = ""
        for name, value in values.items():
            if isinstance(value, list):
                query.setlist(name, value)
            elif value:
                query[name] = value
        if after is not None:
            query["after"] = after.encode()
        return query.urlencode()


# Reading -------------------------------------------------------------------------------------


def _last(query: QueryDict, name: str) -> str:
    """The last non-empty value: the period and the date share the name `from`."""
    values = [value.strip() for value in query.getlist(name)]
    return next((value for value in reversed(values) if value), "")


def _quoted(value: str) -> str:
    return f"“{value if len(value) <= 40 else value[:40] + '…'}”"


def _day(text: str) -> dt.date | None:
    match = DAY.fullmatch(text)
    try:
        return dt.date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def read(query: QueryDict, now: dt.datetime) -> Asked:
    asked = Asked()
    _read_words(query, asked)
    _read_statuses(query, asked)
    _read_dates(query, asked, now)
    sort = _last(query, "sort") or DEFAULT_SORT
    if sort in SORTS:
        asked.sort = sort
    else:
        asked.complaints["sort"] = f"There is no order {_quoted(sort)}; the newest come first."
    asked.columns = columns.read(_last(query, "columns"))
    _read_cursor(query, asked)
    return asked


def _read_words(query: QueryDict, asked: Asked) -> None:
    """Free text. No stored text holds NUL, and PostgreSQL refuses to look for it."""
    q = _last(query, "q").replace("\0", "").strip()
    if len(q) > LONGEST_SEARCH:
        asked.complaints["q"] = f"Only the first {LONGEST_SEARCH} characters are searched for."
        q = q[:LONGEST_SEARCH].rstrip()
    elif q and len(searching.fold(q)) < searching.SHORTEST:
        asked.complaints["q"] = "So few characters are looked for at the beginning of ids alone."
    asked.q = q
    for name in ("agent", "model", "label"):
        value = _last(query, name)
        if len(value) > 200 or "\0" in value:
            asked.complaints[name] = f"No {name} has a name like {_quoted(value)}."
        else:
            setattr(asked, name, value)


def _read_statuses(query: QueryDict, asked: Asked) -> None:
    wanted = [value.strip() for value in query.getlist("status") if value.strip()]
    unknown = [value for value in wanted if value not in STATUSES]
    if unknown:
        asked.complaints["status"] = f"There is no status {_quoted(unknown[0])}."
    asked.statuses = [status for status in STATUSES if status in wanted]
    if len(asked.statuses) == len(STATUSES):
        asked.statuses = []


def _read_dates(query: QueryDict, asked: Asked, now: dt.datetime) -> None:
    first, last = _last(query, "from"), _last(query, "to")
    if first in PERIODS:
        asked.from_, asked.since = first, period_start(first, now)
    elif day := _day(first):
        asked.from_, asked.since = first, midnight(day)
    elif first:
        asked.complaints["from"] = f"{_quoted(first)} is no date; write it as 2026-11-24."
    if day := _day(last):
        until = midnight(day + dt.timedelta(days=1))
        if asked.since and until <= asked.since:
            asked.complaints["to"] = "The last day lies before the first, and was left out."
        else:
            asked.to, asked.until = last, until
    elif last:
        asked.complaints["to"] = f"{_quoted(last)} is no date; write it as 2026-11-24."


def _read_cursor(query: QueryDict, asked: Asked) -> None:
    text = _last(query, "after")
    if not text:
        return
    try:
        asked.after = asked.sorting.order.decode(text)
    except CursorError:
        asked.complaints["after"] = "The link to this page was damaged; the list starts at the top."


# Asking the database -------------------------------------------------------------------------


class Answer(NamedTuple):
    """`total`: how many runs match, up to `most`, and one more if there may be more than that."""

    page: Page
    total: int
    most: int


def answer(asked: Asked, length: int, now: dt.datetime) -> Answer:
    """A page of the list as rows show it, and how many runs match."""
    sought = searching.seek(asked.q) if asked.q else None
    others = _but_for_words(asked)
    found = sought.among(others) if sought else others
    shown = page(_listed(found, others, asked, sought), for_rows, asked, length, now)
    if shown.next is None and asked.after is None:
        return Answer(shown, len(shown.runs), len(shown.runs))
    if sought is None:
        most = MOST_MATCHING if asked.is_filtered else MOST_COUNTED
        return Answer(shown, _how_many_match(found, asked, most), most)
    counted = sought.how_many(others, MOST_HELD)
    number = max(counted.number, len(shown.runs))
    if counted.is_exact or number > MOST_HELD:
        return Answer(shown, number, MOST_HELD)
    unit = 10 ** (len(str(number)) - 1)
    most = number // unit * unit
    return Answer(shown, most + 1, most)


def _how_many_match(found: QuerySet[Run], asked: Asked, most: int) -> int:
    """As `how_many`; what a label alone is asked of, its own index tells, without a look at the
    runs."""
    others = asked.statuses, asked.agent, asked.model, asked.since, asked.until
    if not asked.label or any(others):
        return how_many(found, most)
    return _bearing(asked.label).values("run").distinct()[: most + 1].count()


def matching(asked: Asked) -> QuerySet[Run]:
    """The runs asked for, in no order."""
    found = _but_for_words(asked)
    return searching.matching(found, asked.q) if asked.q else found


def _but_for_words(asked: Asked, *, is_on_the_way: bool = False) -> QuerySet[Run]:
    """What all other conditions leave; `is_on_the_way`: to be met on a way through an order."""
    runs: QuerySet[Run] = Run.objects.all()
    if asked.statuses:
        runs = runs.filter(status__in=_statuses(asked.statuses))
    if asked.agent:
        runs = runs.filter(agent_id=asked.agent)
    if asked.label:
        runs = _labelled(runs, asked.label, is_on_the_way=is_on_the_way)
    if asked.model:
        # The same expression as the index `list_by_model`.
        runs = runs.alias(used=Coalesce("usage_model", "model")).filter(used=asked.model)
    if asked.since:
        runs = runs.filter(within(asked.sorting.time, gte=asked.since))
    if asked.until:
        runs = runs.filter(within(asked.sorting.time, lt=asked.until))
    return runs.order_by()


def _labelled(runs: QuerySet[Run], name: str, *, is_on_the_way: bool) -> QuerySet[Run]:
    """Those of `runs` that bear a label, in whatever case it is written.

    Of a join, PostgreSQL knows too little to see whether few or many do. So few are looked up, and
    of those on a way each is asked whether it does.
    """
    borne = _bearing(name)
    most = searching.worth_looking_up(newest()) if is_on_the_way else searching.FEWEST
    keys = list(borne.values_list("run", flat=True)[: most + 1])
    if len(keys) <= most:
        return runs.filter(pk__among=keys)
    if not is_on_the_way:
        return runs.filter(pk__in=borne.values("run"))
    here = borne.filter(run=OuterRef("pk")).values("pk")[:1]
    return runs.alias(borne=Subquery(here)).filter(borne__isnull=False)


def _bearing(name: str) -> QuerySet[RunLabel]:
    labels = list(Label.objects.filter(name__iexact=name).values_list("pk", flat=True))
    return RunLabel.objects.filter(label__in=labels).order_by()


def _listed(
    found: QuerySet[Run], others: QuerySet[Run], asked: Asked, sought: searching.Sought | None
) -> QuerySet[Run]:
    """`found`, so that they are quickly told in the order asked for.

    What several conditions leave is looked up where it is little: an index knows an order or a
    condition, and on the way through the order these few are far apart.
    """
    conditions = asked.statuses, asked.agent, asked.label, asked.model, asked.since or asked.until
    needed = 1 if sought else 2  # with the words these are two
    is_known = sought is not None and sought.keys is not None
    if not is_known and asked.sort != DEFAULT_SORT and sum(map(bool, conditions)) >= needed:
        keys = list(others.values_list("pk", flat=True)[: MOST_HELD + 1])
        if len(keys) <= MOST_HELD:
            few = Run.objects.filter(pk__among=keys).order_by()
            return sought.among(few) if sought else few
    if not asked.label:
        return found
    met = _but_for_words(asked, is_on_the_way=True)
    return sought.among(met) if sought else met


def _statuses(asked: list[str]) -> list[str]:
    """Those that are asked for, as they are stored: unknown ones by the names that occur."""
    wanted = [status for status in asked if status != OTHER]
    if OTHER in asked:
        wanted += [status for status in statuses() if status not in Run.Status.values]
    return wanted


def within(column: str, **bound: dt.datetime) -> Q:
    """`column` on the right side of one bound (`gte=` or `lt=`)."""
    told, *untold = parts_within(column, **bound)
    return told | untold[0] if untold else told


def parts_within(column: str, **bound: dt.datetime) -> list[Q]:
    """The same as conditions of which no run meets two, each for an index of its own.

    A run without that time, such as a failed one without an end, counts by its creation.
    """
    (lookup, moment), *_ = bound.items()
    told = Q(**{f"{column}__{lookup}": moment})
    if column == "listed_at":
        return [told]
    return [told, Q(**{column: None, f"listed_at__{lookup}": moment})]


def page(runs: QuerySet[Run], shown: Shown, asked: Asked, length: int, now: dt.datetime) -> Page:
    """Of those `matching`, in the order asked for, the ones to show, as `shown` makes them."""
    at = asked.after.at if asked.after else now
    order = asked.sorting.order
    if order.column == LASTED.column:
        return by_length(runs, shown, asked.after, length, at)
    # Follows from `within`, but only so does an index know where to begin and to end.
    bounds = {"gte": asked.since, "lt": asked.until} if asked.sorting.time == order.column else {}
    return order.page(runs, shown, asked.after, length, at, bounds)


def how_many(runs: QuerySet[Run], most: int = MOST_COUNTED) -> int:
    """Exact up to `most`; one more says "more than that", whatever the true number."""
    return runs[: most + 1].count()
