"""Answers of Case.dev to measure with: of the documented shape, every text different."""

import datetime as dt
import json
from itertools import accumulate
from random import Random
from typing import Any

_SYLLABLES = (
    *("con", "tra", "dis", "clo", "sure", "mo", "tion", "de", "pose", "hib", "it", "li"),
    *("a", "ble", "in", "dem", "ni", "fy", "sec", "par", "ty", "§", "é"),
)
_MADE = Random(1)
# As frequent as words are in a language: the n-th takes 1/n of the first's share.
WORDS = ["".join(_MADE.choices(_SYLLABLES, k=_MADE.randint(1, 4))) for _ in range(5_000)]
_SHARES = list(accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))
BEGAN = dt.datetime(2026, 4, 20, 10, 30, tzinfo=dt.UTC)


def step(position: int, size: int) -> dict[str, Any]:
    """A tool call with its output, and every fourth a thought, of about `size` bytes as JSON."""
    chance = Random(position)
    words = " ".join(chance.choices(WORDS, cum_weights=_SHARES, k=size // 5))
    text = words[: max(size - 260, 1)]
    at = (BEGAN + dt.timedelta(seconds=position)).isoformat(timespec="milliseconds")
    same = {"id": f"step_{position:06}", "timestamp": at.replace("+00:00", "Z")}
    if position % 4 == 0:
        return same | {"type": "thinking", "content": text}
    return same | {
        "type": "tool_call",
        "toolName": "bash",
        "toolInput": {"command": f'casedev vault search --id vault_b --query "passage {position}"'},
        "toolOutput": text,
        "durationMs": 900 + position % 700,
    }


def details(run_id: str, steps: list[str], status: str = "running") -> bytes:
    """The body of an answer; `steps` are JSON texts, as of `json_steps`."""
    head = {
        "id": run_id,
        "agentId": "agent_bench",
        "status": status,
        "prompt": "Search the vault for force majeure clauses.",
        "guidance": None,
        "model": None,
        "workflowId": "wf_bench",
        "modalSandboxId": None,
        "result": None,
        "usage": {"model": "anthropic/claude-sonnet-4.6", "inputTokens": 45_000, "entries": []},
        "createdAt": "2026-04-20T10:30:00Z",
        "startedAt": "2026-04-20T10:30:05Z",
        "completedAt": None,
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    return f'{text[:-1]},"steps":[{",".join(steps)}]}}'.encode()


def json_steps(count: int, size: int, first: int = 1) -> list[str]:
    return [
        json.dumps(step(position, size), ensure_ascii=False, separators=(",", ":"))
        for position in range(first, first + count)
    ]
