"""Rows to test with: `make_run(status="failed")`, `make_steps(run, 5)`, `make_entries(run, 3)`.

Everything not named has a plain, believable value. Derived columns (step counts, cost) are set
as sync would set them, unless named.
"""

import datetime as dt
import itertools
import json
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from runs import outlines, searching, spending
from runs.models import Agent, Poll, Run, Step, UsageEntry

PROMPTS = (
    "Review the NDA in vault_acme for liability issues",
    "Search vault_xyz for all references to force majeure clauses and compile a summary",
    "Summarize these depositions and identify contradictions.",
    "Build a privilege log for the documents of custodian Hale, 2019 to 2021",
    "Research California case law on liquidated damages and write a memo",
    "Make a medical chronology from the records in vault_torres, with page cites",
)
MODEL = "anthropic/claude-sonnet-4.6"

_numbers = itertools.count(1)


def make_user(username: str = "alice", **fields: Any) -> User:
    fields.setdefault("email", f"{username}@example.com")
    return User.objects.create_user(username, password=fields.pop("password", "secret"), **fields)


def make_agent(agent_id: str = "agent_review", name: str | None = "Contract Reviewer") -> Agent:
    return Agent.objects.create(agent_id=agent_id, name=name, fetched_at=timezone.now())


def run_fields(status: str = "completed", **fields: Any) -> dict[str, Any]:
    """Column values of a believable run: created 10 minutes ago, started after 5 s, 3:41 long."""
    number = next(_numbers)
    created = fields.get("created_at", timezone.now() - dt.timedelta(minutes=10))
    has_started = status != Run.Status.QUEUED
    started = created + dt.timedelta(seconds=5) if has_started and created else None
    started = fields.get("started_at", started)
    has_ended = status in Run.TERMINAL and started is not None
    ended = started + dt.timedelta(seconds=221) if has_ended and started else None
    ended = fields.get("completed_at", ended)
    lasted = max(ended - started, dt.timedelta(0)) if started and ended else None
    goes_on = ended is None and status not in Run.TERMINAL
    return {
        "run_id": f"run_{number:06}",
        "agent_id": "agent_review",
        "status": status,
        "prompt": PROMPTS[number % len(PROMPTS)],
        "created_at": created,
        "started_at": started,
        "completed_at": ended,
        "lasted_micros": None if lasted is None else lasted // dt.timedelta(microseconds=1),
        "going_since": started if goes_on else None,
        "usage_model": MODEL if has_started else None,
        "input_tokens": 45_000 if has_started else None,
        "output_tokens": 3_238 if has_started else None,
        "summary_cost_micros": 185_100 if has_ended else None,
        "cost_micros": fields.get("summary_cost_micros", 185_100 if has_ended else None),
        "tool_calls": 9 if has_started else None,
        "tool_call_count": 9 if has_started else 0,
        "step_count": 14 if has_started else 0,
        "listed_at": created or timezone.now(),
        "first_seen_at": timezone.now(),
        "changed_at": timezone.now(),
        "version": 1,
    } | fields


def make_run(status: str = "completed", **fields: Any) -> Run:
    """A run with its place in the schedule, polled a moment ago without trouble.

    Names that start with `poll_` go to the poll: `make_run(poll_quarantined_at=now)`.
    """
    of_poll = {
        name.removeprefix("poll_"): fields.pop(name)
        for name in list(fields)
        if name.startswith("poll_")
    }
    run = Run(**run_fields(status, **fields))
    run.odd_at = run.listed_at if run.disagrees else None
    run.save()
    spending.add([run])
    searching.keep([run])
    make_poll(run, **of_poll)
    return run


def make_poll(run: Run, **fields: Any) -> Poll:
    now = timezone.now()
    due = now + dt.timedelta(seconds=5) if run.is_active else None
    return Poll.objects.create(
        run=run, **({"due_at": due, "last_ok_at": now, "last_tried_at": now} | fields)
    )


def make_runs(number: int, **fields: Any) -> list[Run]:
    """Many runs at once, without polls, a minute apart, the newest first in the list."""
    now = fields.pop("now", timezone.now())
    runs = Run.objects.bulk_create(
        Run(**run_fields(**({"created_at": now - dt.timedelta(minutes=index)} | fields)))
        for index in range(number)
    )
    spending.add(runs)
    searching.keep(runs)
    return runs


def make_steps(run: Run, number: int = 4, **fields: Any) -> list[Step]:
    """Steps in the API's commonest shape: thinking, then a tool call with its output, an output."""
    start = run.started_at or timezone.now()
    first = run.steps.count() + 1
    kinds = (Step.Type.THINKING, Step.Type.TOOL_CALL, Step.Type.OUTPUT)
    steps = []
    for position in range(first, first + number):
        kind = fields.get("type", kinds[(position - 1) % len(kinds)])
        is_call = kind == Step.Type.TOOL_CALL
        found = json.dumps({"chunks": [{"object": "obj_msa_2021", "page": position}]})
        values: dict[str, Any] = {
            "step_id": f"step_{position:03}",
            "type": kind,
            "content": None if is_call else f"Said in step {position}.",
            "tool_name": "bash" if is_call else None,
            "tool_input": json.dumps({"command": "casedev vault list"}) if is_call else None,
            "tool_output": json.dumps(found) if is_call else None,
            "duration_ms": 1_840 if is_call else None,
            "timestamp": start + dt.timedelta(seconds=3 * position),
            "changed_version": run.version,
        }
        steps.append(Step(run=run, position=position, **(values | fields)))
    Step.objects.bulk_create(steps)
    present = run.steps.present()
    run.step_count = present.count()
    run.tool_call_count = present.filter(type=Step.Type.TOOL_CALL).count()
    run.last_step_at = steps[-1].timestamp if steps else run.last_step_at
    run.save(update_fields=["step_count", "tool_call_count", "last_step_at"])
    outlines.rebuild(run, judge=True)
    return steps


def make_entries(run: Run, number: int = 2, **fields: Any) -> list[UsageEntry]:
    """Usage entries, llm and api in turn, 1,000 micro-dollars each; the run's sums follow them."""
    start = run.started_at or timezone.now()
    first = run.entries.count() + 1
    entries = []
    for position in range(first, first + number):
        is_llm = position % 2 == 1
        values: dict[str, Any] = {
            "entry_id": f"ue_{position}",
            "kind": UsageEntry.Kind.LLM if is_llm else UsageEntry.Kind.API,
            "service": "llm" if is_llm else "vault",
            "endpoint": "/llm/v1/chat/completions" if is_llm else "/vault/vault_xyz/search",
            "method": "POST",
            "status_code": 200,
            "cost_micros": 1_000,
            "prompt_tokens": 900 if is_llm else None,
            "completion_tokens": 100 if is_llm else None,
            "total_tokens": 1_000 if is_llm else None,
            "model": MODEL if is_llm else None,
            "timestamp": start + dt.timedelta(seconds=3 * position),
        }
        entries.append(UsageEntry(run=run, position=position, **(values | fields)))
    UsageEntry.objects.bulk_create(entries)
    before = spending.part(run)
    costs = [cost for cost in run.entries.values_list("cost_micros", flat=True) if cost is not None]
    run.entry_count = run.entries.count()
    run.entries_cost_micros = sum(costs) if costs else None
    if run.summary_cost_micros is None:
        run.cost_micros = run.entries_cost_micros
    run.save(update_fields=["entry_count", "entries_cost_micros", "cost_micros"])
    spending.move(before, spending.part(run))
    return entries
