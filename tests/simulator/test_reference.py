"""The reference page of GET details, field by field, against what the simulator answers."""

from typing import Any

import msgspec
import pytest

from runs.simulator.clock import ManualClock
from runs.simulator.scripts import SCRIPTS
from runs.simulator.world import World

# The sample answer of the page, as published; null stands for "any".
PAGE: dict[str, Any] = msgspec.json.decode(
    """
    {"id": "<string>", "agentId": "<string>", "status": "queued", "prompt": "<string>",
     "guidance": "<string>", "model": "<string>", "workflowId": "<string>",
     "modalSandboxId": "<string>",
     "result": {"output": "<string>", "outputObjectIds": ["<string>"],
       "finalResponse": {"summary": "<string>", "createdObjectIds": ["<string>"],
         "issues": ["<string>"]},
       "logs": {"opencode": "<string>", "runner": "<string>"}},
     "usage": {"model": "<string>", "inputTokens": 123, "outputTokens": 123, "toolCalls": 123,
       "durationMs": 123,
       "summary": {"costMicros": 123, "totalInputTokens": 123, "totalOutputTokens": 123,
         "totalTokens": 123},
       "entries": [{"id": "<string>", "kind": "llm", "service": "<string>",
         "endpoint": "<string>", "method": "<string>", "statusCode": 123, "costMicros": 123,
         "promptTokens": 123, "completionTokens": 123, "totalTokens": 123, "model": "<string>",
         "timestamp": "2023-11-07T05:31:56Z", "metadata": null}]},
     "steps": [{"id": "<string>", "type": "output", "content": "<string>",
       "toolName": "<string>", "toolInput": null, "toolOutput": null, "durationMs": 123,
       "timestamp": "2023-11-07T05:31:56Z"}],
     "createdAt": "2023-11-07T05:31:56Z", "startedAt": "2023-11-07T05:31:56Z",
     "completedAt": "2023-11-07T05:31:56Z"}
    """
)
NEWER = {"provider", "runtimeId", "runtimeState", "result.logs.runtime", "result.logs.server"}
ENUMS = {
    "status": {"queued", "running", "completed", "failed", "cancelled"},
    "steps[].type": {"output", "thinking", "tool_call", "tool_result"},
    "usage.entries[].kind": {"llm", "api"},
    "provider": {"daytona", "vercel"},
    "runtimeState": {"running", "stopped", "archived", "ended", "error"},
}
ANY = {"steps[].toolInput", "steps[].toolOutput", "usage.entries[].metadata"}


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """(path, value) of everything below; what may be anything is one leaf."""
    if path in ANY:
        return [(path, value)]
    if isinstance(value, dict):
        return [
            leaf
            for key, item in value.items()
            for leaf in [
                (f"{path}.{key}".lstrip("."), item),
                *leaves(item, f"{path}.{key}".lstrip(".")),
            ]
        ]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item, f"{path}[]")]
    return [(path, value)]


def answers(variant: object, moments: tuple[float, ...] = (0, 20, 45, 2000)) -> list[Any]:
    """Details of every script at several ages, and of a run that nobody started."""
    clock = ManualClock()
    world = World(clock=clock)
    found = [world.create("nda_review", variant=variant).details(world.now_ms())]
    for name in SCRIPTS:
        run = world.start(name, variant=variant)
        begun_ms = world.now_ms()
        found += [run.details(begun_ms + round(age * 1000)) for age in moments]
    return found


def test_every_field_of_the_page_has_a_value_in_some_answer() -> None:
    wanted = {path for path, _ in leaves(PAGE)}
    given = {
        path for answer in answers("seed") for path, value in leaves(answer) if value is not None
    }
    assert wanted - given == set()


def test_the_seed_field_set_has_no_field_that_the_page_lacks() -> None:
    known = {path for path, _ in leaves(PAGE)}
    given = {path for answer in answers("seed") for path, _ in leaves(answer)}
    assert given - known == set()


def test_the_newer_field_set_adds_exactly_the_newer_fields() -> None:
    known = {path for path, _ in leaves(PAGE)}
    given = {
        path for answer in answers("newer") for path, value in leaves(answer) if value is not None
    }
    assert given - known == NEWER


def test_the_oldest_field_set_lacks_what_came_later() -> None:
    given = {path for answer in answers("oldest") for path, _ in leaves(answer)}
    assert "usage.inputTokens" in given
    assert not given & {"usage.summary", "usage.entries", "result.finalResponse"}
    assert "result.outputObjectIds" not in given


@pytest.mark.parametrize("variant", [None, "seed", "oldest", "two_step", "at_end", "absent_keys"])
def test_no_unknown_enum_value_occurs(variant: object) -> None:
    for answer in answers(variant):
        for path, value in leaves(answer):
            if path in ENUMS and value is not None:
                assert value in ENUMS[path], path


@pytest.mark.parametrize(
    ("variant", "paths"),
    [
        ("unknown_values", {"steps[].type", "usage.entries[].kind", "provider"}),
        ("unknown_status", {"status"}),
    ],
)
def test_unknown_enum_values_occur_when_switched_on(variant: str, paths: set[str]) -> None:
    strange = {
        path
        for answer in answers(variant)
        for path, value in leaves(answer)
        if path in ENUMS and value is not None and value not in ENUMS[path]
    }
    assert strange == paths


def test_values_have_the_types_of_the_page() -> None:
    types = {path: type(value) for path, value in leaves(PAGE) if path not in ANY}
    for answer in answers("seed"):
        for path, value in leaves(answer):
            if path in types and value is not None:
                assert type(value) is types[path], path


def test_timestamps_come_with_and_without_milliseconds() -> None:
    stamps = [
        value
        for answer in answers(None)
        for path, value in leaves(answer)
        if path.endswith(("At", "timestamp")) and value is not None
    ]
    assert any("." in stamp for stamp in stamps)
    assert any("." not in stamp for stamp in stamps)
