"""Bring a run's rows up to one answer of Case.dev: `read` it, then `write` it inside a transaction
that holds the run's poll.

What the API says now is what the rows say; what it said before and takes back is never lost: a
value it withdraws stays and is flagged, a value it replaces is kept as a `Revision`, an item it
drops is marked vanished. The same answer twice changes nothing.
"""

import datetime as dt
import json
from concurrent.futures import Future
from typing import Any

import msgspec
from django.core.serializers.json import DjangoJSONEncoder

from runs import columns, direct, items, packing, prompts, searching, spending, text
from runs.casedev.errors import Unreadable
from runs.casedev.payloads import Details, Notes, Usage
from runs.casedev.payloads import read as read_payload
from runs.causes import failure_cause
from runs.models import Fingerprint, Payload, Revision, Run, Step, UsageEntry
from runs.models.run import disagree
from runs.tally import Tally

# A value among these that changes after it was set is a contradiction in the record, so the
# earlier one is kept. The others (tokens, logs, states) move as a run goes on.
LASTING = (
    "agent_id",
    "prompt",
    "guidance",
    "output",
    "summary",
    "created_at",
    "started_at",
    "completed_at",
    "summary_cost_micros",
)
# These may go back to null: they tell the present state of the sandbox.
FLEETING = ("provider", "runtime_id", "runtime_state")
# These rise while a run goes on; only a fall, or a change after the end, is a contradiction.
RISING = ("summary_cost_micros",)
CONTRADICTIONS_CAP = 100
SAFE_SUM = 2**63 // text.MOST  # as many numbers a database can add up without overflow
# While a run is active, a body is kept at most this many seconds after the last a megabyte.
SECONDS_A_MEGABYTE = 20.0


class Change(msgspec.Struct, frozen=True):
    """What a sync did: the run's version after it, and whether that is a new one."""

    version: int
    is_new: bool


class Reading(msgspec.Struct, frozen=True):
    """An answer on its way into rows, as far as that goes without the database's writing lock.

    `packed` will be its bytes, compressed, if they are to be kept.
    """

    details: Details
    notes: Notes
    sent: columns.Columns
    size: int
    packed: Future[bytes] | None


def read(key: int, run_id: str, body: bytes, now: dt.datetime, *, has_ended: bool) -> Reading:
    """Decode the details `body` of the run `run_id`, whose row is `key`.

    Call outside any transaction: on large bodies this takes longer than the writing. Raises
    Unreadable.
    """
    notes: Notes = []
    details = read_payload(body, Details, notes)
    if details.id and details.id != run_id:
        # Shown under this run, another's steps would reach whoever may see this one.
        raise Unreadable("The answer cannot be used: it is about another run.", body=body)
    sent = columns.of_run(details, notes)
    must = has_ended or sent["status"] in Run.TERMINAL
    packed = packing.packing(body) if _is_to_be_kept(key, body, now, must=must) else None
    return Reading(details, notes, sent, len(body), packed)


def apply(run: Run, body: bytes, now: dt.datetime) -> Change:
    """Store the details `body` of `run`, read at `now`. Raises Unreadable, having written nothing.

    `run` is changed in memory too.
    """
    return write(run, read(run.pk, run.run_id, body, now, has_ended=run.is_terminal), now)


def write(run: Run, reading: Reading, now: dt.datetime) -> Change:
    """Store what was read of `run` at `now`; `run` is changed in memory too."""
    details, notes = reading.details, list(reading.notes)
    kept = _fingerprint_of(run)
    version = run.version + 1

    before = kept.steps, kept.entries
    tally = items.sync_steps(run, details.steps, kept, version, now, notes)
    usage = details.usage or Usage()
    entries = items.sync_entries(run, usage.entries, kept, version, now, notes)
    fresh = _settled(run, reading.sent, notes) | {"unreported": columns.unreported(details)}
    fresh |= _counted_steps(tally) if tally is not None else {}
    if entries:
        fresh |= _counted_entries(run, len(usage.entries or ()), notes)
        fresh["entries_version"] = version
    fresh["contradictions"] = _contradictions(run, notes, now)
    fresh |= _derived(run, fresh)
    if fresh["status"] in Run.TERMINAL and not run.is_terminal:
        fresh["end_read_at"] = now

    changed = {name: value for name, value in fresh.items() if getattr(run, name) != value}
    is_new = bool(changed) or tally is not None or entries or run.version == 0
    if is_new:
        _keep_replaced(run, changed, version, now)
        moves = run.version == 0 or not spending.COLUMNS.isdisjoint(changed)
        spent = spending.part(run) if moves else None
        _write(run, changed | {"version": version, "changed_at": now})
        if spent is not None:
            spending.move(spent, spending.part(run))
        if {"prompt", "summary"} & changed.keys():
            searching.keep([run])
    if reading.packed is not None:
        _keep_body(run, reading.packed.result(), reading.size, now)
    if before != (kept.steps, kept.entries):
        direct.put(kept, ("run_id",))
    return Change(run.version, is_new)


def refuse(run: Run, body: bytes, error: str, now: dt.datetime) -> None:
    """Keep the bytes of an answer that could not be read, and why."""
    Payload.objects.update_or_create(
        run=run,
        kind=Payload.Kind.REFUSED,
        defaults={
            "body": packing.pack(body),
            "size": len(body),
            "observed_at": now,
            "error": error,
        },
    )


def _settled(run: Run, sent: columns.Columns, notes: Notes) -> columns.Columns:
    """`sent`, but what the API withdrew stays as it was, and what ended stays ended."""
    settled = dict(sent)
    for name, value in sent.items():
        stored = getattr(run, name)
        if value is None and stored not in (None, "") and name not in FLEETING:
            settled[name] = stored
            path = columns.path_of(name)
            notes.append(f"{path} is no longer reported; the last value is shown.")
    if run.is_terminal and settled["status"] != run.status:
        notes.append(f"Case.dev said {settled['status']} after {run.status}.")
        settled["status"] = run.status
    if run.status == Run.Status.RUNNING and settled["status"] == Run.Status.QUEUED:
        notes.append(f"Case.dev said {settled['status']} after {run.status}.")
    settled["status"] = settled["status"] or run.status
    settled["prompt_is_cut"] = run.prompt_is_cut and sent["prompt"] is None
    settled["listed_at"] = settled["created_at"] or run.listed_at
    return settled


def _contradictions(run: Run, notes: Notes, now: dt.datetime) -> list[dict[str, str]]:
    """The run's list with those of `notes` that it does not hold yet."""
    recorded: list[dict[str, str]] = run.contradictions
    known = {item["text"] for item in recorded}
    fresh = [note for note in dict.fromkeys(notes) if note not in known]
    added = [{"text": note, "at": now.isoformat(timespec="seconds")} for note in fresh]
    return (recorded + added)[:CONTRADICTIONS_CAP]


def _counted_steps(tally: Tally) -> columns.Columns:
    return {
        "step_count": tally.total,
        "tool_call_count": tally.types[Step.Type.TOOL_CALL],
        "last_step_at": tally.last_at,
    }


def _counted_entries(run: Run, sent: int, notes: Notes) -> columns.Columns:
    """`sent`: how many the answer held, and so how many are present at most."""
    if sent < SAFE_SUM:
        count, total = direct.counted(UsageEntry, run.pk, "cost_micros")
    else:
        present = run.entries.filter(vanished_at=None)
        costs = list(present.values_list("cost_micros", flat=True))
        count, known = len(costs), [cost for cost in costs if cost is not None]
        total = sum(known) if known else None
    if total is not None and text.whole(total) is None:
        notes.append("The sum of usage.entries is too large a number to be kept.")
        total = None
    return {"entry_count": count, "entries_cost_micros": total}


def _derived(run: Run, fresh: columns.Columns) -> columns.Columns:
    """Columns that follow from others."""
    entries_cost = fresh.get("entries_cost_micros", run.entries_cost_micros)
    start, end = fresh["started_at"], fresh["completed_at"]
    has_ended = end is not None or fresh["status"] in Run.TERMINAL
    summary_cost = fresh["summary_cost_micros"]
    is_odd = disagree(fresh["status"], summary_cost, entries_cost, fresh["contradictions"])
    cause = ""
    if fresh["status"] == Run.Status.FAILED:
        cause = failure_cause(
            fresh["issues"], fresh["runtime_state"], fresh["logs"], _last_words(run)
        )
    return {
        "cost_micros": entries_cost if summary_cost is None else summary_cost,
        "prompt_key": _prompt_key(run, fresh),
        "failure_cause": cause,
        "lasted_micros": _lasted(start, end),
        "going_since": None if has_ended else start,
        "odd_at": fresh["listed_at"] if is_odd else None,
    }


def _lasted(start: dt.datetime | None, end: dt.datetime | None) -> int | None:
    """Microseconds, as `Run.elapsed` counts."""
    if start is None or end is None:
        return None
    return max((end - start) // dt.timedelta(microseconds=1), 0)


def _prompt_key(run: Run, fresh: columns.Columns) -> str | None:
    if fresh["prompt_is_cut"]:
        return None
    if run.prompt_key and fresh["prompt"] == run.prompt:
        return run.prompt_key
    return prompts.key(fresh["prompt"])


def _last_words(run: Run) -> str | None:
    """What the last step said or gave back."""
    last = run.steps.filter(vanished_at=None).order_by("-position").first()
    return (last.content or last.tool_output) if last else None


def _keep_replaced(run: Run, changed: columns.Columns, version: int, now: dt.datetime) -> None:
    """A revision of the lasting values that `changed` replaces, if it replaces any."""
    replaced = {
        name: getattr(run, name)
        for name in LASTING
        if name in changed and not _is_gain(run, name, changed[name])
    }
    if run.prompt_is_cut:  # the list's cut prompt gives way to the whole one
        replaced.pop("prompt", None)
    if replaced:
        Revision.objects.create(
            run=run,
            of=Revision.Of.RUN,
            position=0,
            replaced_version=version,
            replaced_at=now,
            body=json.dumps(replaced, cls=DjangoJSONEncoder, ensure_ascii=False),
        )


def _is_gain(run: Run, name: str, new: Any) -> bool:
    old = getattr(run, name)
    if name in RISING and not run.is_terminal and old is not None:
        return bool(new >= old)
    return items.is_gain(old, new)


def _write(run: Run, changed: dict[str, Any]) -> None:
    direct.change(Run, run.pk, changed)
    for name, value in changed.items():
        setattr(run, name, value)


def _is_to_be_kept(key: int, body: bytes, now: dt.datetime, *, must: bool) -> bool:
    """The body of an ended run always, of an active one as often as its size allows."""
    good = Payload.Kind.GOOD
    kept = direct.values(Payload, ("observed_at", "size"), run_id=key, kind=good)
    if kept is None:
        return True
    observed_at, size = kept
    age = (now - observed_at).total_seconds()
    if not must and age < len(body) / 2**20 * SECONDS_A_MEGABYTE:
        return False
    return size != len(body) or Payload.objects.get(run=key, kind=good).text != body


def _keep_body(run: Run, packed: bytes, size: int, now: dt.datetime) -> None:
    kind = Payload.Kind.GOOD
    good = Payload(run=run, kind=kind, body=packed, size=size, observed_at=now)
    direct.put(good, ("run_id", "kind"))


def _fingerprint_of(run: Run) -> Fingerprint:
    try:
        return run.fingerprint  # come with the run, where that was asked for
    except Fingerprint.DoesNotExist:
        return Fingerprint(run=run)
