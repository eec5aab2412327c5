"""Runs whose every text is a payload, stored as a poll stores them."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard.notes.models import Note
from runs import sync
from runs.models import Agent, Poll, Revision, Run
from tests.attacks.corpus import Payload, placed
from tests.attacks.extent import extent
from tests.factories import make_poll

# At full length as many as a page shows at once.
STEPS, ENTRIES, BLOCKS = extent(64, 100), extent(60, 200), extent(80, 280)
ISSUES, IDS, LOGS = extent(40, 90), extent(50, 150), extent(8, 20)
TOOLS = ("bash", "read", "grep", "webfetch", "todowrite", "task", "")


class Supply:
    """Payloads without end, each in its turn."""

    def __init__(self, payloads: Sequence[Payload], start: int = 0) -> None:
        self._turn = itertools.cycle([*payloads[start:], *payloads[:start]])

    def one(self) -> str:
        return placed(next(self._turn))

    def some(self, count: int, between: str = "\n") -> str:
        return between.join(self.one() for _ in range(count))

    def block(self) -> str:
        """For Markdown, where much has to begin a line."""
        payload = next(self._turn)
        return f"{payload.canary}\n\n{payload.text}\n\n{payload.canary}"


def details(run_id: str, supply: Supply, status: str = "failed", steps: int = STEPS) -> Any:
    """An answer of Case.dev about a run, by the keys of its reference."""
    one = supply.one
    return {
        "id": run_id,
        **{key: one() for key in ("agentId", "model", "workflowId", "modalSandboxId")},
        **{key: one() for key in ("provider", "runtimeId", "runtimeState")},
        "status": status,
        "prompt": supply.some(20),
        "guidance": supply.some(20),
        "result": {
            "output": "\n\n".join(supply.block() for _ in range(BLOCKS)),
            "outputObjectIds": [one() for _ in range(IDS)],
            "finalResponse": {
                "summary": supply.some(40),
                "createdObjectIds": [one() for _ in range(IDS)],
                "issues": [one() for _ in range(ISSUES)],
            },
            "logs": {one(): supply.some(25) for _ in range(LOGS)},
        },
        "usage": {"model": one(), "entries": [_entry(supply, n) for n in range(ENTRIES)]},
        "steps": [_step(supply, number) for number in range(steps)],
        "createdAt": "2026-11-07T05:30:49Z",
        "startedAt": "2026-11-07T05:31:05Z",
        "completedAt": None if status == "running" else "2026-11-07T05:33:51Z",
    }


def _entry(supply: Supply, number: int) -> dict[str, Any]:
    one = supply.one
    texts = {key: one() for key in ("id", "service", "endpoint", "method", "model")}
    odd = {"kind": one()} if number % 5 == 0 else {"kind": "api"}
    return texts | odd | {"metadata": {one(): [one(), {one(): one()}]}, "costMicros": number}


def _step(supply: Supply, number: int) -> dict[str, Any]:
    one = supply.one
    common: dict[str, Any] = {"id": one(), "timestamp": f"2026-11-07T05:32:{number % 60:02}Z"}
    match number % 5:
        case 0:
            return common | {"type": "output", "content": supply.some(3, "\n\n")}
        case 1:
            return common | {"type": "thinking", "content": supply.some(3)}
        case 2:
            return common | {"type": "tool_call", "toolName": one(), **_given(supply)}
        case 3:
            tool = TOOLS[number // 5 % len(TOOLS)]
            return common | {"type": "tool_call", "toolName": tool, **_given(supply)}
    return common | {"type": one(), "content": one(), "toolName": one(), "toolOutput": one()}


def _given(supply: Supply) -> dict[str, Any]:
    one = supply.one
    names = ("command", "description", "filePath", "pattern", "url", "query", "prompt", "path")
    given: dict[str, Any] = {name: one() for name in names}
    given["todos"] = [{"content": one(), "status": one()}]
    given[one()] = json.dumps({one(): [one()]})
    return {"toolInput": given, "toolOutput": f"Error: {one()}"}


def step_of_many(supply: Supply, count: int) -> dict[str, Any]:
    """One step whose own page shows `count` payloads."""
    third = count // 3
    return {
        "id": supply.one(),
        "type": "tool_call",
        "toolName": supply.one(),
        "content": supply.some(third),
        "toolInput": {"list": [supply.one() for _ in range(third)]},
        "toolOutput": json.dumps([{supply.one(): supply.one()} for _ in range(third // 2)]),
    }


def stored(answer: dict[str, Any]) -> Run:
    """The run that `answer` makes, through the very way that a poll takes."""
    now = timezone.now()
    run, is_new = Run.objects.get_or_create(
        run_id=answer["id"], defaults={"first_seen_at": now, "changed_at": now, "listed_at": now}
    )
    if is_new:
        make_poll(run)
    with transaction.atomic():
        sync.apply(run, json.dumps(answer).encode(), now)
    return run


def surround(run: Run, supply: Supply) -> None:
    """What else we keep in words about a run: its agent, its poll, and what it said before."""
    now = timezone.now()
    Agent.objects.get_or_create(
        agent_id=run.agent_id,
        defaults={
            "name": supply.one(),
            "description": supply.some(5),
            "model": supply.one()[:200],
            "fetched_at": now,
        },
    )
    Poll.objects.filter(run=run).update(
        last_error=supply.some(5), last_error_at=now, quarantined_at=now, failures=6
    )
    earlier = json.dumps({supply.one(): supply.one() for _ in range(10)})
    for position in (1, 2):
        Revision.objects.create(
            run=run, of="step", position=position, replaced_version=1, replaced_at=now, body=earlier
        )


def annotate(run: Run, by: User, supply: Supply) -> None:
    """What people say of a run can be pasted from anywhere too."""
    for number in range(40):
        position = number % 3 + 1 if number % 2 else None
        Note.objects.create(
            run=run, position=position, author=by, text=supply.some(4), created_at=timezone.now()
        )
