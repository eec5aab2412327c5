"""Ended runs of any length for the benchmarks of their pages, each kind with what may cost."""

import datetime as dt
import json
from itertools import batched
from typing import Any

from django.utils import timezone

from runs import bulk, outlines
from runs.models import Poll, Run, Step, UsageEntry

KINDS = ("thinking", "tool_call", "tool_call", "output")
TOOLS = ("bash", "read", "grep")
SERVICES = ("llm", "vault", "ocr")
TEXT = "The clause on force majeure stands in section 12 of the agreement. " * 15
AT_ONCE = 1_000


def make_run(length: int, *, fails: bool = True, is_paired: bool = False) -> Run:
    """An ended run of `length` steps of 2 kB. Unless it `fails`, no step of it has failed; if it
    `is_paired`, all are calls and the results that answer them."""
    now = timezone.now()
    run = Run.objects.create(
        run_id=f"run_pages_{length}_{Run.objects.count()}",
        status="completed",
        prompt="Review the agreement.",
        listed_at=now,
        created_at=now,
        started_at=now,
        completed_at=now + dt.timedelta(seconds=3 * length),
        first_seen_at=now,
        changed_at=now,
        version=1,
        step_count=length,
    )
    Poll.objects.create(run=run, last_ok_at=now)
    made = _half if is_paired else _step
    for places in batched(range(1, length + 1), AT_ONCE):
        bulk.insert(Step, [_common(run, place) | made(place, fails=fails) for place in places])
    outlines.rebuild(run, judge=True)
    return run


def fail(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(status="failed")


def add_entries(run: Run) -> None:
    """As many usage entries as there are steps."""
    length = run.step_count
    for places in batched(range(1, length + 1), AT_ONCE):
        bulk.insert(UsageEntry, [_entry(run, place) for place in places])
    cost = sum(place % 1_000 for place in range(1, length + 1))
    Run.objects.filter(pk=run.pk).update(
        entry_count=length, entries_cost_micros=cost, entries_version=run.version
    )


def _common(run: Run, place: int) -> dict[str, Any]:
    return {
        "run_id": run.pk,
        "position": place,
        "step_id": f"step_{place}",
        "timestamp": run.listed_at + dt.timedelta(seconds=3 * place),
        "vanished_at": None,
        "changed_version": 1,
        "unanswered": False,
        "failed": False,
        "partner": None,
    }


def _step(place: int, *, fails: bool) -> dict[str, Any]:
    kind = KINDS[place % len(KINDS)]
    is_call = kind == "tool_call"
    words = TEXT + (" needle" if place % 500 == 0 else "")
    output = json.dumps("Error: no such vault" if fails and place % 997 == 0 else TEXT * 2)
    return {
        "type": kind,
        "content": None if is_call else words,
        "tool_name": TOOLS[place % 3] if is_call else None,
        "tool_input": json.dumps({"command": "casedev vault search"}) if is_call else None,
        "tool_output": output if is_call else None,
        "duration_ms": 1_200 if is_call else None,
    }


def _half(place: int, *, fails: bool) -> dict[str, Any]:
    """A call without an output, or the result that follows it."""
    is_call = place % 2 == 1
    return {
        "type": "tool_call" if is_call else "tool_result",
        "content": None,
        "tool_name": TOOLS[(place + 1) // 2 % 3],
        "tool_input": json.dumps({"command": "casedev vault search"}) if is_call else None,
        "tool_output": None if is_call else json.dumps(TEXT * 2),
        "duration_ms": 1_200 if is_call else None,
    }


def _entry(run: Run, place: int) -> dict[str, Any]:
    is_llm = place % 2 == 1
    return {
        "run_id": run.pk,
        "position": place,
        "entry_id": f"ue_{place}",
        "kind": UsageEntry.Kind.LLM if is_llm else UsageEntry.Kind.API,
        "service": SERVICES[place % 3],
        "endpoint": f"/{SERVICES[place % 3]}/v1/part_{place % 7}",
        "method": "POST",
        "status_code": 200,
        "cost_micros": place % 1_000,
        "prompt_tokens": 900 if is_llm else None,
        "completion_tokens": 100 if is_llm else None,
        "total_tokens": 1_000 if is_llm else None,
        "model": "anthropic/claude-sonnet-4.6" if is_llm else None,
        "timestamp": run.listed_at + dt.timedelta(seconds=3 * place),
        "metadata": None,
        "vanished_at": None,
        "changed_version": 1,
    }
