"""Find runs: through the list endpoint, or because a person names one.

The first walk goes through all pages, newest first, and remembers after each page where it is,
so that it can be interrupted at any point. From then on a walk stops at the first page that
holds nothing new. An unfinished walk goes on where it was, or a gap would stay for ever. For the
same reason a page and how far it brought the walk are written together: runs that were stored
without it would look, the next time, like the end of what is new.

A walk can take long, and what is newest is what people look for: while one is unfinished, each
turn begins with a look at the top.
"""

import datetime as dt
import logging
import random
import re
import string
from urllib.parse import unquote

import msgspec
from django.db import transaction
from django.db.models import F, Q, QuerySet

from runs import agents, breaker, columns, direct, leases, notices, poller, schedule, spending
from runs.casedev import network
from runs.casedev.client import DEADLINE, Client, client, is_run_id
from runs.casedev.errors import CaseDevError, NotFound, Rejected, Unreadable
from runs.casedev.payloads import ListedRun, Notes, RunPage, read, read_part
from runs.claims import claim, release
from runs.leases import Hold
from runs.models import Discovery, Poll, Run

logger = logging.getLogger(__name__)

# Ten seconds by the ticks, which come every five: one just before its time would make 15 of them.
EVERY = dt.timedelta(seconds=9)
# A list may have skipped a run, or led in a circle: a whole walk now and then finds what it hid.
WHOLE_EVERY = dt.timedelta(days=1)
AGAIN_AFTER_CIRCLE = dt.timedelta(minutes=15)
FIRST_WALK_LIMIT = 250  # runs a page; the API's most
LIMIT = 50
PAGES_A_TURN = 8
_CURSOR = re.compile(r"[!-~]{1,200}")  # what we can store and send


class NotARunId(ValueError):
    """What was pasted holds no run id; the message is for the field it was pasted into."""


class _Page(msgspec.Struct):
    """One page of the list, read."""

    listed: dict[str, ListedRun]  # by run id, in the order of the list
    next_cursor: str  # empty: nothing further
    notes: Notes


def discover_due(case_dev: Client | None = None) -> bool:
    """Walk on if it is time to; whether the walk is unfinished and wants to go on at once."""
    now = _now()
    Discovery.objects.get_or_create(pk=Discovery.SOLE)
    # The allowance may be the one probe of an outage: it is not spent before the time has come.
    if not _claimable(now).exists() or not breaker.allowance(now, 1):
        return False
    held = _claim(now)
    if held is None:
        return False
    case_dev, hold = case_dev or client(), Hold(Discovery, held.pk, held.fence, now)
    try:
        with leases.kept([hold]), network.deadline(hold.ends_at):
            unfinished = _walk(held, case_dev)
    except CaseDevError as error:
        if hold.lasts():  # else it was broken off, which tells nothing of Case.dev
            breaker.note([error], case_dev, _now())
            _give_back_after_failure(held, error)
        return False
    breaker.note([None], case_dev, _now())
    if not unfinished:
        agents.refresh(case_dev)
    return unfinished


def wake() -> None:
    """Look for new runs at the next tick, whatever failed before."""
    Discovery.objects.filter(pk=Discovery.SOLE).update(due_at=None, failures=0)


def _claimable(now: dt.datetime) -> QuerySet[Discovery]:
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    due = Q(due_at=None) | Q(due_at__lte=now)
    return Discovery.objects.filter(free, due, pk=Discovery.SOLE)


def _claim(now: dt.datetime) -> Discovery | None:
    taken = _claimable(now).update(fence=F("fence") + 1, leased_until=now + leases.LEASE)
    return Discovery.objects.get(pk=Discovery.SOLE) if taken else None


def _walk(held: Discovery, case_dev: Client) -> bool:
    """Up to PAGES_A_TURN pages; whether more are left. Raises CaseDevError."""
    if held.cursor and not _look_at_top(held, case_dev):
        return False
    if not held.cursor and held.walked_at and _now() - held.walked_at > WHOLE_EVERY:
        held.walked_at = None
    limit = LIMIT if held.walked_at else FIRST_WALK_LIMIT
    visited: set[str] = set()
    for _ in range(PAGES_A_TURN):
        visited.add(held.cursor)
        page = _read_page(case_dev.runs(held.cursor, limit).body)
        if page.next_cursor in visited:  # a circle ends the walk like the last page does
            page.next_cursor = ""
            held.walked_at = held.walked_at or _now() - WHOLE_EVERY + AGAIN_AFTER_CIRCLE
        if not _take(held, page) or not held.cursor:
            return False
    Discovery.objects.filter(pk=held.pk, fence=held.fence).update(leased_until=None)
    return True


def _look_at_top(held: Discovery, case_dev: Client) -> bool:
    """Store what is new above the walk; False if the claim is lost.

    All of it in one transaction: runs that were stored without those between them and the known
    ones would hide these for ever. If there is no end of it, the walk begins anew.
    """
    pages: list[_Page] = []
    cursor = ""
    for _ in range(PAGES_A_TURN):
        pages.append(_read_page(case_dev.runs(cursor, LIMIT).body))
        cursor = pages[-1].next_cursor
        if not cursor or not _unknown(pages[-1]):
            return _take_all(held, pages)
    held.cursor, held.walked_at = "", None
    return _take_all(held, pages)


def _take_all(held: Discovery, pages: list[_Page]) -> bool:
    with transaction.atomic():
        if _hold(held) is None:
            return False
        stored = [run for page in pages for run in _store_new(_unknown(page), page.notes)]
        Discovery.objects.filter(pk=held.pk).update(
            cursor=held.cursor,
            walked_at=held.walked_at,
            found=F("found") + len(stored),
            leased_until=_now() + leases.LEASE,
        )
    notices.publish([notices.Notice(run.pk, run.version) for run in stored])
    return True


def _hold(held: Discovery) -> Discovery | None:
    """The row, locked until the transaction ends; None if the claim is lost."""
    direct.end_if_idle()
    ours = Discovery.objects.select_for_update().filter(pk=held.pk, fence=held.fence)
    return ours.first()


def _unknown(page: _Page) -> list[ListedRun]:
    known = set(Run.objects.filter(run_id__in=page.listed).values_list("run_id", flat=True))
    return [run for run_id, run in page.listed.items() if run_id not in known]


def _read_page(body: bytes) -> _Page:
    """Raises Unreadable."""
    notes: Notes = []
    page = read(body, RunPage, notes)
    if not isinstance(page.runs, list):
        raise Unreadable("The answer cannot be read: it holds no list of runs.", body=body)
    parts = [read_part(raw, ListedRun, "runs", notes) for raw in page.runs]
    listed = {run.id: run for run in parts if isinstance(run.id, str) and is_run_id(run.id)}
    if len(listed) < len(parts):
        logger.info("%d listed runs have no usable id of their own", len(parts) - len(listed))
    return _Page(listed, _next_cursor(page, listed), notes)


def _next_cursor(page: RunPage, listed: dict[str, ListedRun]) -> str:
    if page.has_more is False or not page.runs:
        return ""
    if isinstance(page.next_cursor, str) and _CURSOR.fullmatch(page.next_cursor):
        return page.next_cursor
    # More is promised and nothing told where: a cursor is documented to be a run's id.
    return [*listed][-1] if page.has_more and listed else ""


def _take(held: Discovery, page: _Page) -> bool:
    """Store the new runs of a page and how far the walk has come; False if the claim is lost."""
    now = _now()
    with transaction.atomic():
        if _hold(held) is None:
            return False
        known = dict(Run.objects.filter(run_id__in=page.listed).values_list("run_id", "status"))
        new = [run for run_id, run in page.listed.items() if run_id not in known]
        stored = _store_new(new, page.notes)
        if not new and (held.walked_at or _leads_back(held.cursor, page)):
            page.next_cursor = ""
        _advance(held, page.next_cursor, len(new), now)
    notices.publish([notices.Notice(run.pk, run.version) for run in stored])
    _wake([run_id for run_id, status in known.items() if _moved_on(status, page.listed[run_id])])
    return True


def _leads_back(cursor: str, page: _Page) -> bool:
    """Whether a page without anything new is not older than where the walk had come before."""
    before = Run.objects.filter(run_id=cursor).values_list("created_at", flat=True).first()
    times = [columns.of_listed_run(run, [])["created_at"] for run in page.listed.values()]
    known = [time for time in times if time is not None]
    return before is not None and bool(known) and max(known) > before


def _advance(held: Discovery, cursor: str, found: int, now: dt.datetime) -> None:
    held.cursor = cursor
    fields = {"cursor": cursor, "found": F("found") + found, "last_ok_at": now, "last_error": ""}
    if cursor:
        fields |= {"leased_until": now + leases.LEASE, "due_at": now, "walked_at": held.walked_at}
    else:
        held.walked_at = held.walked_at or now
        fields |= {
            "walked_at": held.walked_at,
            "failures": 0,
            "leased_until": None,
            "due_at": now + EVERY,
        }
    Discovery.objects.filter(pk=held.pk).update(**fields)


def _give_back_after_failure(held: Discovery, error: CaseDevError) -> None:
    wait = schedule.after_failure(held.failures + 1, error.retry_after, random.Random())
    fields = {
        "due_at": _now() + dt.timedelta(seconds=wait),
        "leased_until": None,
        "failures": F("failures") + 1,
        "last_error": error.sentence,
    }
    if held.cursor and isinstance(error, Rejected | NotFound):
        # Case.dev does not know the cursor any more. Only a whole walk finds what lies behind it.
        fields |= {"cursor": "", "walked_at": None}
    Discovery.objects.filter(pk=held.pk, fence=held.fence).update(**fields)
    logger.log(
        logging.INFO if held.failures else logging.WARNING,
        "the list of runs could not be read: %s",
        error.sentence,
    )


def _moved_on(stored: str, listed: ListedRun) -> bool:
    return stored in Run.ACTIVE and isinstance(listed.status, str) and listed.status != stored


def _store_new(listed: list[ListedRun], notes: Notes) -> list[Run]:
    if not listed:
        return []
    now = _now()
    # None of them can have come meanwhile: who adds a run by hand holds the same row.
    runs = Run.objects.bulk_create(
        _new_run(str(run.id), columns.of_listed_run(run, notes), now) for run in listed
    )
    spending.add(runs)
    poller.schedule_new(runs, now)
    return runs


def _new_run(run_id: str, known: columns.Columns, now: dt.datetime) -> Run:
    listed_at = known.get("created_at") or now
    run = Run(run_id=run_id, listed_at=listed_at, first_seen_at=now, changed_at=now, **known)
    run.odd_at = listed_at if run.disagrees else None
    return run


def _wake(run_ids: list[str]) -> None:
    """The list shows another status than we have: ask for the details now.

    A row that is locked is being polled this moment; to wait for it, holding others, could be to
    wait for each other.
    """
    if not run_ids:
        return
    with transaction.atomic():
        asleep = Poll.objects.filter(run__run_id__in=run_ids, failures=0, due_at__gt=_now())
        free = asleep.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
        Poll.objects.filter(pk__in=list(free)).update(due_at=_now())


_WRAPPING = string.whitespace + "\"'`<>()[]{},;"  # what a pasted id is often wrapped in
_ID_IN_URL = re.compile(r"(?:^|[/=#])(run_[A-Za-z0-9_-]{1,124})(?=$|[/?#&])")
_SEGMENT_AFTER_RUN = re.compile(r"/runs?/([A-Za-z0-9_-]{1,128})(?=$|[/?#])")


def run_id_in(pasted: str) -> str:
    """The run id that `pasted` is, or that the URL `pasted` holds. Raises NotARunId."""
    words = unquote(pasted.strip(_WRAPPING))
    if not words:
        raise NotARunId("Paste a run id or the address of a run.")
    if "/" not in words and is_run_id(words):
        return words
    found = _ID_IN_URL.search(words) or _SEGMENT_AFTER_RUN.search(words)
    if found and "/" in words:
        return found[1]
    raise NotARunId(
        "This holds no run id. An id has letters, digits, “_” and “-” only, like run_abc123."
    )


def add(pasted: str, case_dev: Client | None = None) -> Run:
    """The run that a person names, asked about at once if we do not know it yet.

    Raises NotARunId (nothing was asked) or a CaseDevError (nothing was stored).
    """
    run_id = run_id_in(pasted)
    with notices.alone(f"add:{run_id}", DEADLINE):
        known = Run.objects.filter(run_id=run_id).first()
        return known or _ask_and_store(run_id, case_dev or client())


def _ask_and_store(run_id: str, case_dev: Client) -> Run:
    try:
        answer = case_dev.details(run_id)
    except CaseDevError as error:
        breaker.note([error], case_dev, _now())
        raise
    breaker.note([None], case_dev, _now())
    run = _store_named(run_id)
    for held in claim(_now(), 1, only=run.pk):
        if held.last_ok_at is None:
            poller.store(held, answer)
        else:  # found and polled while we asked: our answer may be the older one
            release(held)
    run.refresh_from_db()
    return run


def _store_named(run_id: str) -> Run:
    now = _now()
    Discovery.objects.get_or_create(pk=Discovery.SOLE)
    with transaction.atomic():
        direct.end_if_idle()
        # A walk counts as new what it did not know when it took this row.
        Discovery.objects.select_for_update().get(pk=Discovery.SOLE)
        run, is_new = Run.objects.get_or_create(
            run_id=run_id,
            defaults={"listed_at": now, "first_seen_at": now, "changed_at": now},
        )
        if is_new:
            spending.add([run])
        poller.schedule_new([run], now)
    return run


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
