"""What tells at a glance that an output is no failure, beside the rules themselves."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from runs import outcomes

LINES = (
    *("error: bad", "Error: x", "exit code 3", "Process exited with code 2", "(exit code 4)"),
    *("usage: foo", "fatal: no", "panic: a", "failed with exit code 9", "File not found"),
    *("Traceback (most recent call last)", "No such file or directory", "cat: a: Is a directory"),
    *("bash: line 1: foo: command not found", "cat: a: Permission denied", " error: y"),
    *(
        "hello world",
        "x",
        "42",
        '{"exitCode": 1}',
        "[1]",
        "\u2028error: z",
        "érror: w",
        "\x1b[31mno",
    ),
)
SHAPES: tuple[Callable[[str], Any], ...] = (
    *(str, str, str),
    lambda text: {"output": text},
    lambda text: {"error": text},
    lambda text: {"metadata": {"exit": len(text) % 3}},
    lambda text: [text],
    lambda text: None if len(text) % 2 else len(text),
)


def test_a_glance_passes_over_nothing_that_the_rules_call_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = Random(7)
    found = 0
    for _ in range(3_000):
        lines = chance.choices(LINES, k=chance.randrange(1, 9))
        text = chance.choice(("\n", "\n\n", " ", "\r\n")).join(lines)
        raw = json.dumps(chance.choice(SHAPES)(text))
        tool = chance.choice(("bash", "read", "grep", None))
        at_a_glance = outcomes.failure(tool, raw)
        with monkeypatch.context() as patch:
            patch.setattr(outcomes, "_may_tell_of_failure", lambda tool, part: True)
            assert at_a_glance == outcomes.failure(tool, raw), (tool, raw)
        found += bool(at_a_glance)
    assert 300 < found < 2_000
