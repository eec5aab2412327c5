"""Find runs: through the list endpoint, or because a person names one.

The first walk goes through all pages, newest first, and remembers after each page where it is,
so that it can be interrupted at any point. From then on a walk stops at the first page that
holds nothing new. An unfinished walk goes on where it was, or a gap would stay for ever.
"""

import datetime as dt
import logging
import random
import re
from urllib.parse import unquote

import msgspec
from django.db import transaction
from django.db.models import F, Q, QuerySet

from runs import agents, breaker, columns, notices, poller, schedule
from runs.casedev.client import Client, client, is_run_id
from runs.casedev.errors import CaseDevError, Unreadable
from runs.casedev.payloads import ListedRun, Notes, RunPage, read, read_part
from runs.models import Discovery, Poll, Run

logger = logging.getLogger(__name__)

EVERY = dt.timedelta(seconds=10)
LEASE = dt.timedelta(seconds=60)
FIRST_WALK_LIMIT = 250  # runs a page; the API's most
LIMIT = 50
PAGES_A_TURN = 8


class NotARunId(ValueError):
    """What was pasted holds no run id; the message is for the field it was pasted into."""


class _Turn(msgspec.Struct):
    """One page's worth of the walk."""

    new: int
    next_cursor: str  # empty: nothing further


def discover_due() -> bool:
    """Walk on if it is time to; whether the walk is unfinished and wants to go on at once."""
    now = _now()
    Discovery.objects.get_or_create(pk=Discovery.SOLE)
    # The allowance may be the one probe of an outage: it is not spent before the time has come.
    if not _claimable(now).exists() or not breaker.allowance(now, 1):
        return False
    held = _claim(now)
    if held is None:
        return False
    try:
        unfinished = _walk(held, client())
    except CaseDevError as error:
        breaker.note([error], client(), _now())
        _give_back_after_failure(held, error)
        return False
    breaker.note([None], client(), _now())
    return unfinished


def wake() -> None:
    """Look for new runs at the next tick, whatever failed before."""
    Discovery.objects.filter(pk=Discovery.SOLE).update(due_at=None, failures=0)


def _claimable(now: dt.datetime) -> QuerySet[Discovery]:
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    due = Q(due_at=None) | Q(due_at__lte=now)
    return Discovery.objects.filter(free, due, pk=Discovery.SOLE)


def _claim(now: dt.datetime) -> Discovery | None:
    taken = _claimable(now).update(fence=F("fence") + 1, leased_until=now + LEASE)
    return Discovery.objects.get(pk=Discovery.SOLE) if taken else None


def _walk(held: Discovery, case_dev: Client) -> bool:
    """Up to PAGES_A_TURN pages; whether more are left. Raises CaseDevError."""
    limit = LIMIT if held.walked_at else FIRST_WALK_LIMIT
    visited: set[str] = set()
    for _ in range(PAGES_A_TURN):
        visited.add(held.cursor)
        turn = _page(case_dev.runs(held.cursor, limit).body)
        knows_the_rest = held.walked_at is not None and turn.new == 0
        # A cursor that leads in a circle ends the walk like the last page does.
        is_last = not turn.next_cursor or turn.next_cursor in visited or knows_the_rest
        if not _advance(held, turn, is_last):
            return False
        if is_last:
            agents.refresh(case_dev)
            return False
    return True


def _advance(held: Discovery, turn: _Turn, is_last: bool) -> bool:
    """Remember how far the walk has come; whether the claim is still ours."""
    now = _now()
    held.cursor = "" if is_last else turn.next_cursor
    if is_last:
        held.walked_at = held.walked_at or now
    fields = {
        "cursor": held.cursor,
        "walked_at": held.walked_at,
        "found": F("found") + turn.new,
        "failures": 0,
        "last_ok_at": now,
        "last_error": "",
        "leased_until": None if is_last else now + LEASE,
        "due_at": now + EVERY if is_last else now,
    }
    return bool(Discovery.objects.filter(pk=held.pk, fence=held.fence).update(**fields))


def _give_back_after_failure(held: Discovery, error: CaseDevError) -> None:
    wait = schedule.after_failure(held.failures + 1, error.retry_after, random.Random())
    Discovery.objects.filter(pk=held.pk, fence=held.fence).update(
        due_at=_now() + dt.timedelta(seconds=wait),
        leased_until=None,
        failures=F("failures") + 1,
        last_error=error.sentence,
    )
    logger.log(
        logging.INFO if held.failures else logging.WARNING,
        "the list of runs could not be read: %s",
        error.sentence,
    )


def _page(body: bytes) -> _Turn:
    """Store the new runs of one page; wake those whose status moved on."""
    notes: Notes = []
    page = read(body, RunPage, notes)
    if not isinstance(page.runs, list):
        raise Unreadable("The answer cannot be read: it holds no list of runs.", body=body)
    listed = [read_part(raw, ListedRun, "runs", notes) for raw in page.runs]
    by_id = {run.id: run for run in listed if isinstance(run.id, str) and is_run_id(run.id)}
    known = dict(Run.objects.filter(run_id__in=by_id).values_list("run_id", "status"))
    new = [run for run_id, run in by_id.items() if run_id not in known]
    _store_new(new, notes)
    _wake([run_id for run_id, status in known.items() if _moved_on(status, by_id[run_id])])
    has_next = page.has_more is not False and listed and isinstance(page.next_cursor, str)
    return _Turn(len(new), str(page.next_cursor) if has_next else "")


def _moved_on(stored: str, listed: ListedRun) -> bool:
    return stored in Run.ACTIVE and isinstance(listed.status, str) and listed.status != stored


def _store_new(listed: list[ListedRun], notes: Notes) -> None:
    if not listed:
        return
    now = _now()
    with transaction.atomic():
        Run.objects.bulk_create(
            [_new_run(str(run.id), columns.of_listed_run(run, notes), now) for run in listed],
            ignore_conflicts=True,
        )
        runs = list(Run.objects.filter(run_id__in=[run.id for run in listed]))
        poller.schedule_new(runs, now)
    notices.publish([notices.Notice(run.pk, run.version) for run in runs])


def _new_run(run_id: str, known: columns.Columns, now: dt.datetime) -> Run:
    listed_at = known.get("created_at") or now
    return Run(run_id=run_id, listed_at=listed_at, first_seen_at=now, changed_at=now, **known)


def _wake(run_ids: list[str]) -> None:
    """The list shows another status than we have: ask for the details now."""
    if run_ids:
        Poll.objects.filter(run__run_id__in=run_ids, failures=0, due_at__gt=_now()).update(
            due_at=_now()
        )


_ID_IN_URL = re.compile(r"(?:^|[/=#])(run_[A-Za-z0-9_-]{1,124})(?=$|[/?#&])")
_SEGMENT_AFTER_RUN = re.compile(r"/runs?/([A-Za-z0-9_-]{1,128})(?=$|[/?#])")


def run_id_in(pasted: str) -> str:
    """The run id that `pasted` is, or that the URL `pasted` holds. Raises NotARunId."""
    words = unquote(pasted.strip())
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


def add(pasted: str) -> Run:
    """The run that a person names, asked about at once if we do not know it yet.

    Raises NotARunId (nothing was asked) or a CaseDevError (nothing was stored).
    """
    run_id = run_id_in(pasted)
    known = Run.objects.filter(run_id=run_id).first()
    if known:
        return known
    try:
        answer = client().details(run_id)
    except CaseDevError as error:
        breaker.note([error], client(), _now())
        raise
    breaker.note([None], client(), _now())
    run = _store_named(run_id)
    for held in poller.claim(_now(), 1, only=run.pk):
        poller.store(held, answer)
    run.refresh_from_db()
    return run


def _store_named(run_id: str) -> Run:
    now = _now()
    with transaction.atomic():
        run, _ = Run.objects.get_or_create(
            run_id=run_id,
            defaults={"listed_at": now, "first_seen_at": now, "changed_at": now},
        )
        poller.schedule_new([run], now)
    return run


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
