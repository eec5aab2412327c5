"""Why a run failed, as far as its record tells."""

from typing import Any

import pytest

from runs.causes import failure_cause


def cause(
    issues: Any = None, state: str | None = None, logs: Any = None, words: str | None = None
) -> str:
    return failure_cause(issues, state, logs, words)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"issues": ["2 of 3\n depositions had no text"]}, "2 of 3 depositions had no text"),
        ({"issues": ["", "  ", "the third"]}, "the third"),
        ({"issues": ["", " "], "state": "error"}, "The runtime ended with an error."),
        ({"issues": ["x" * 400]}, "x" * 299 + "…"),
        ({"issues": ["issue"], "logs": [["runner", "error"]], "state": "error"}, "issue"),
        ({"logs": [["runner", "fine\nError: no space\nbye"]]}, "runner: Error: no space"),
        ({"logs": [["runner", "error one\nerror two"]]}, "runner: error two"),
        ({"logs": [["runner", None], ["server", "it timed out"]]}, "server: it timed out"),
        ({"logs": [["runner", "terror and errors"]], "state": "error"}, "The runtime ended"),
        ({"logs": [["runner", "x\r\nFATAL\x0b\r\n"]]}, "runner: FATAL"),
        ({"logs": []}, ""),
        ({"state": "error", "words": "fatal: x"}, "The runtime ended with an error."),
        ({"state": "ended"}, ""),
        ({"words": "I looked.\nfatal: no such vault\n\n"}, "fatal: no such vault"),
        ({"words": "Error: first\nand then some talk"}, "Error: first"),
        ({"words": '"{\\"error\\": \\"vault not found\\"}"'}, '{"error": "vault not found"}'),
        ({"words": '"line one\\nTraceback\\nKeyError: 7 failed"'}, "KeyError: 7 failed"),
        ({"words": '{"error": "denied", "code": 7}'}, '{"error": "denied", "code": 7}'),
        ({"words": "all went well"}, ""),
        ({"words": ""}, ""),
    ],
)
def test_the_cause_is_looked_for_in_this_order(given: dict[str, Any], expected: str) -> None:
    found = cause(**given)
    assert found.startswith(expected)
    assert bool(found) is bool(expected)


def test_only_the_end_of_long_texts_is_searched() -> None:
    long = "error at the start\n" + "fine\n" * 200_000
    assert cause(logs=[["runner", long]]) == ""
    assert cause(words=long) == ""
    assert cause(words=long + "error at the end") == "error at the end"
