"""What in a record cannot all be true at once, in a table."""

import datetime as dt
from typing import Any

import pytest

from runs import oddities
from runs.models import Run

START = dt.datetime(2026, 11, 2, 10, 0, tzinfo=dt.UTC)


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("fields", "counts", "sentences"),
    [
        ({}, {}, []),
        ({}, {"open_calls": 1}, ["The run completed, but 1 tool call has no answer."]),
        ({}, {"open_calls": 2}, ["The run completed, but 2 tool calls have no answer."]),
        ({"status": "failed"}, {"open_calls": 2}, []),
        (
            {"status": "running", "completed_at": None},
            {"gone": 2},
            ["2 steps are no longer reported by Case.dev; they are kept in the timeline."],
        ),
        ({"created_at": after(4)}, {}, []),
        ({"created_at": after(6)}, {}, ["It is said to have started before it was created."]),
        (
            {"completed_at": after(-6), "duration_ms": None, "last_step_at": None},
            {},
            ["It is said to have ended before it started."],
        ),
        (
            {"last_step_at": after(306)},
            {},
            ["Its last step is said to have come after its end."],
        ),
        ({"status": "running"}, {}, ["It is said to be running, and to have ended."]),
        ({"duration_ms": 270_000}, {}, ["Its usage tells of 270 s, its start and end of 300 s."]),
        ({"duration_ms": 280_000}, {}, []),
        ({"duration_ms": 1_000}, {}, ["Its usage tells of 1 s, its start and end of 300 s."]),
        (
            {"total_input_tokens": 10, "total_output_tokens": 5, "total_tokens": 16},
            {},
            ["Its summary counts 16 tokens in all, but 10 in and 5 out."],
        ),
        ({"total_input_tokens": 10, "total_tokens": 16}, {}, []),
        ({"created_at": None, "started_at": None, "completed_at": None}, {}, []),
    ],
)
def test_what_cannot_all_be_true_is_said(
    fields: dict[str, Any], counts: dict[str, int], sentences: list[str]
) -> None:
    plain: dict[str, Any] = {
        "status": "completed",
        "created_at": after(-5),
        "started_at": START,
        "last_step_at": after(299),
        "completed_at": after(300),
        "duration_ms": 300_400,
    }
    assert oddities.of(Run(**(plain | fields)), **counts) == sentences
