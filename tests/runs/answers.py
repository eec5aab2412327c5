"""Answers of Case.dev for tests: the transport that gives them, and the bodies in them."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx

from runs.casedev.client import Client

KEY = "sk_case_test_4f1c9a77"
BASE = "https://api.case.dev"


class Pieces(httpx.SyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


def reply(body: Any = b"", status: int = 200, **headers: str) -> httpx.Response:
    """A response that was not read yet; what is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, stream=Pieces(iter([raw])), headers=named)


def client_of(act: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
    """A client whose requests `act` answers."""
    return Client(BASE, KEY, transport=httpx.MockTransport(act), **options)


# Bodies -------------------------------------------------------------------------------------------

# The sample of the reference page, word for word.
REFERENCE = b"""{
  "id": "<string>", "agentId": "<string>", "status": "queued", "prompt": "<string>",
  "guidance": "<string>", "model": "<string>", "workflowId": "<string>",
  "modalSandboxId": "<string>",
  "result": {
    "output": "<string>", "outputObjectIds": ["<string>"],
    "finalResponse": {
      "summary": "<string>", "createdObjectIds": ["<string>"], "issues": ["<string>"]
    },
    "logs": {"opencode": "<string>", "runner": "<string>"}
  },
  "usage": {
    "model": "<string>", "inputTokens": 123, "outputTokens": 123, "toolCalls": 123,
    "durationMs": 123,
    "summary": {
      "costMicros": 123, "totalInputTokens": 123, "totalOutputTokens": 123, "totalTokens": 123
    },
    "entries": [{
      "id": "<string>", "kind": "llm", "service": "<string>", "endpoint": "<string>",
      "method": "<string>", "statusCode": 123, "costMicros": 123, "promptTokens": 123,
      "completionTokens": 123, "totalTokens": 123, "model": "<string>",
      "timestamp": "2023-11-07T05:31:56Z", "metadata": null
    }]
  },
  "steps": [{
    "id": "<string>", "type": "output", "content": "<string>", "toolName": "<string>",
    "toolInput": null, "toolOutput": null, "durationMs": 123, "timestamp": "2023-11-07T05:31:56Z"
  }],
  "createdAt": "2023-11-07T05:31:56Z", "startedAt": "2023-11-07T05:31:56Z",
  "completedAt": "2023-11-07T05:31:56Z"
}"""

ABSENT: Any = object()


def step(number: int, **fields: Any) -> dict[str, Any]:
    """A step in the commonest shape, `number` seconds after the start."""
    return _told(
        {
            "id": f"step_{number:03}",
            "type": "output",
            "content": f"Said in step {number}.",
            "toolName": None,
            "toolInput": None,
            "toolOutput": None,
            "durationMs": None,
            "timestamp": f"2025-01-15T10:{30 + number // 60:02}:{number % 60:02}Z",
        }
        | fields
    )


def entry(number: int, **fields: Any) -> dict[str, Any]:
    """An entry that cost 1,000 micro-dollars."""
    return _told(
        {
            "id": f"ue_{number}",
            "kind": "llm",
            "service": "llm",
            "endpoint": "/llm/v1/chat/completions",
            "method": "POST",
            "statusCode": 200,
            "costMicros": 1000,
            "promptTokens": 900,
            "completionTokens": 100,
            "totalTokens": 1000,
            "model": "anthropic/claude-sonnet-4.6",
            "timestamp": f"2025-01-15T10:{30 + number // 60:02}:{number % 60:02}Z",
            "metadata": None,
        }
        | fields
    )


def details(steps: Any = None, entries: Any = None, **fields: Any) -> bytes:
    """The details of a running run, as the API writes them. `ABSENT` leaves a key out; `usage`
    given as a dict changes what it names."""
    given = fields.pop("usage", {})
    usage = {
        "model": "anthropic/claude-sonnet-4.6",
        "inputTokens": 45000,
        "outputTokens": 3200,
        "toolCalls": 12,
        "durationMs": 317000,
        "summary": ABSENT,
        "entries": [entry(1)] if entries is None else entries,
    }
    run = {
        "id": "run_1",
        "agentId": "agent_xyz",
        "status": "running",
        "prompt": "Review the NDA in vault vault_xxx for liability issues",
        "guidance": None,
        "model": None,
        "workflowId": "wf_1",
        "modalSandboxId": None,
        "provider": "daytona",
        "runtimeId": "sandbox_1",
        "runtimeState": "running",
        "result": {
            "output": None,
            "outputObjectIds": None,
            "finalResponse": {"summary": None, "createdObjectIds": None, "issues": None},
            "logs": None,
        },
        "usage": _told(usage | given) if isinstance(given, dict) else given,
        "steps": [step(1)] if steps is None else steps,
        "createdAt": "2025-01-15T10:30:00Z",
        "startedAt": "2025-01-15T10:30:05Z",
        "completedAt": None,
    }
    return json.dumps(_told(run | fields)).encode()


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not ABSENT}


type Path = tuple[str | int, ...]


def put(body: bytes, path: Path, raw: str) -> bytes:
    """`body` with the JSON text `raw`, which need not be JSON, at `path`."""
    return put_all(body, {path: raw})


def put_all(body: bytes, raw_at: dict[Path, str]) -> bytes:
    """The same for several paths, the inner ones first."""
    whole = json.loads(body)
    markers: dict[str, str] = {}
    for path in sorted(raw_at, key=len, reverse=True):
        marker = f"@@{len(markers)}@@"
        markers[f'"{marker}"'] = raw_at[path]
        inner = whole
        for name, following in pairwise(path):
            if isinstance(inner, dict) and not isinstance(inner.get(name), dict | list):
                inner[name] = [] if isinstance(following, int) else {}
            inner = inner[name]
        if isinstance(inner, list) and path[-1] == len(inner):
            inner.append(marker)
        else:
            inner[path[-1]] = marker
    written = json.dumps(whole)
    for marker, raw in markers.items():
        written = written.replace(marker, raw, 1)
    return written.encode("utf-8", "surrogatepass")
