"""From one answer to rows, and from the next answer to the same rows."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from runs import sync
from runs.casedev.errors import Unreadable
from runs.models import Payload, Revision, Run
from tests.runs.answers import ABSENT, REFERENCE, details, entry, put, put_all, step
from tests.runs.syncing import NOW, body_of, dump, ids, new_run, notes, take

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return new_run()


# The first answer ---------------------------------------------------------------------------------


def test_the_reference_sample_fills_every_column(run: Run) -> None:
    change = take(run, put(REFERENCE, ("id",), '"run_1"'))
    assert change == sync.Change(1, True)
    empty = {
        field.name
        for field in Run._meta.concrete_fields
        if getattr(run, field.name) in (None, "", [], 0, False)
    }
    assert empty == {
        *("provider", "runtime_id", "runtime_state"),  # not on the page
        *("tool_call_count", "prompt_is_cut", "contradictions", "failure_cause"),
        *("lasted_micros", "going_since"),  # 0: it ends at its start
        *("end_read_at", "odd_at"),  # it had ended, and agrees with itself
    }
    assert (run.step_count, run.entry_count, run.entries_cost_micros) == (1, 1, 123)
    assert run.cost_micros == 123
    assert run.unreported == ["provider", "runtimeId", "runtimeState"]
    assert run.steps.get().tool_input == "null"
    assert run.entries.get().metadata == "null"


def test_a_first_answer_becomes_rows_in_the_order_of_its_lists(run: Run) -> None:
    later_first = [step(9), step(1), step(5, type="tool_call", toolName="bash")]
    take(run, details(later_first, [entry(2), entry(1, costMicros=500)]))
    assert ids(run) == ["step_009", "step_001", "step_005"]
    assert [one.position for one in run.steps.all()] == [1, 2, 3]
    assert [one.entry_id for one in run.entries.all()] == ["ue_2", "ue_1"]
    assert (run.step_count, run.tool_call_count) == (3, 1)
    assert run.last_step_at == dt.datetime(2025, 1, 15, 10, 30, 9, tzinfo=dt.UTC)
    assert {one.changed_version for one in run.steps.all()} == {1}
    assert run.listed_at == run.created_at
    assert run.changed_at == NOW


def test_an_empty_object_is_an_answer_without_any_value(run: Run) -> None:
    assert take(run, b"{}") == sync.Change(1, True)
    assert run.status == ""
    assert (run.step_count, run.entry_count, run.cost_micros) == (0, None, None)
    assert "steps" in run.unreported
    assert notes(run) == []
    assert take(run, b"{}") == sync.Change(1, False)


def test_what_was_cut_in_the_list_gives_way_to_the_whole_without_a_revision() -> None:
    run = new_run(prompt="Review the NDA", prompt_is_cut=True, status="queued")
    take(run, details(prompt=ABSENT))
    assert (run.prompt, run.prompt_is_cut) == ("Review the NDA", True)
    take(run, details(prompt="Something else altogether"))
    assert (run.prompt, run.prompt_is_cut) == ("Something else altogether", False)
    assert not Revision.objects.exists()


# The same answer again ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        details(),
        details(status="completed", completedAt="2025-01-15T10:35:22Z"),
        details([], []),
        details(ABSENT, ABSENT),
        put(put(details(), ("steps",), "null"), ("usage",), "null"),
        b"{}",
        put(details(), ("steps", 0, "durationMs"), '"odd"'),
        put(details(), ("prompt",), '"\\ud800 NaN"'),
        details([step(1), step(1), step(2, id=None), step(3, id="step_001")]),
    ],
)
def test_the_same_answer_twice_changes_no_row(run: Run, body: bytes) -> None:
    take(run, body)
    before = dump()
    for seconds in (1, 1000):
        assert take(run, body, seconds) == sync.Change(1, False)
        assert dump() == before


def test_other_bytes_that_say_the_same_change_the_kept_body_only(run: Run) -> None:
    take(run, details(status="completed"))
    before = dump()
    other = details(status="completed").replace(b", ", b",  ") + b" "
    assert take(run, other, 10) == sync.Change(1, False)
    after = dump()
    assert Payload.objects.get().text == other
    assert {name for name in after if after[name] != before[name]} == {"Fingerprint", "Payload"}
    again = dump()
    assert take(run, other, 20) == sync.Change(1, False)
    assert dump() == again


def test_each_change_raises_the_version_by_one(run: Run) -> None:
    bodies = [
        details(),
        details([step(1), step(2)]),
        details([step(1), step(2)], [entry(1), entry(2)]),
        details([step(1), step(2)], [entry(1), entry(2)], runtimeState="stopped"),
        details([step(1), step(2)], [entry(1), entry(2)], runtimeState=ABSENT),
    ]
    for version, body in enumerate(bodies, start=1):
        assert take(run, body, version) == sync.Change(version, True)
        assert run.changed_at == NOW + dt.timedelta(seconds=version)
        assert take(run, body, version + 0.5) == sync.Change(version, False)


# The run's own fields -----------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, ABSENT])
def test_a_value_that_is_withdrawn_stays_and_is_flagged(run: Run, nothing: Any) -> None:
    take(run, details(guidance="Focus on indemnity", usage={"inputTokens": 5}))
    take(run, details(guidance=nothing, usage={"inputTokens": nothing}))
    assert (run.guidance, run.input_tokens) == ("Focus on indemnity", 5)
    assert notes(run) == [
        "guidance is no longer reported; the last value is shown.",
        "usage.inputTokens is no longer reported; the last value is shown.",
    ]
    assert ("guidance" in run.unreported) is (nothing is ABSENT)
    take(run, details(guidance=nothing, usage={"inputTokens": nothing}))
    assert (len(notes(run)), run.version) == (2, 2)


@pytest.mark.parametrize("is_absent", [True, False])
def test_a_whole_list_that_is_withdrawn_stays_and_is_flagged(run: Run, is_absent: bool) -> None:
    take(run, details())
    without = details(steps=ABSENT, usage={"entries": ABSENT})
    if not is_absent:
        without = put_all(without, {("steps",): "null", ("usage", "entries"): "null"})
    take(run, without)
    assert (run.step_count, run.entry_count) == (1, 1)
    assert notes(run) == [
        "steps is no longer reported; the last ones are shown.",
        "usage.entries is no longer reported; the last ones are shown.",
    ]
    take(run, without)
    assert (len(notes(run)), run.version) == (2, 2)


def test_the_state_of_the_sandbox_may_go_without_a_word(run: Run) -> None:
    take(run, details())
    take(run, details(runtimeState=None, provider=None, runtimeId=None))
    assert (run.runtime_state, run.provider, run.runtime_id) == (None, None, None)
    assert notes(run) == []


def test_a_lasting_value_that_is_replaced_is_kept_as_a_revision(run: Run) -> None:
    take(run, details(result={"output": "First version"}))
    take(run, details(result={"output": "First version, and more"}))
    assert not Revision.objects.exists()
    take(run, details(result={"output": "Another"}, prompt="Another prompt"))
    revision = Revision.objects.get()
    assert (revision.of, revision.position, revision.replaced_version) == ("run", 0, 3)
    assert body_of(revision) == {
        "prompt": "Review the NDA in vault vault_xxx for liability issues",
        "output": "First version, and more",
    }


@pytest.mark.parametrize("later", ["running", "queued", "failed", "cancelled", "paused", None])
def test_a_terminal_run_never_reopens_and_the_contradiction_is_flagged_once(
    run: Run, later: str | None
) -> None:
    take(run, details(status="completed", completedAt="2025-01-15T10:35:22Z"))
    for _ in range(3):
        take(run, details(status=later))
    assert (run.status, run.completed_at) == (
        "completed",
        dt.datetime(2025, 1, 15, 10, 35, 22, tzinfo=dt.UTC),
    )
    said = [note for note in notes(run) if "completed." in note or "status" in note]
    assert len(said) == 1
    assert run.version == 2
    take(run, details(status="completed", completedAt="2025-01-15T10:35:22Z"))
    assert run.status == "completed"


def test_an_unknown_status_is_kept_as_it_is_and_is_no_end(run: Run) -> None:
    take(run, details(status="paused"))
    assert (run.status, run.is_terminal, run.has_known_status) == ("paused", False, False)
    take(run, details(status="running"))
    assert run.status == "running"
    assert not Revision.objects.exists()


def test_an_answer_about_another_run_is_refused(run: Run) -> None:
    take(run, details())
    before = dump()
    with pytest.raises(Unreadable, match="another run"):
        take(run, details([step(9)], id="run_2"))
    assert dump() == before
    take(run, details([step(9)], id=ABSENT))
    assert ids(run) == ["step_009"]


@pytest.mark.parametrize(
    ("status", "end", "goes_on"),
    [
        ("running", None, True),
        ("paused", None, True),  # an unknown word is no end
        ("queued", None, True),  # a contradiction, but it has a start
        ("failed", None, False),
        ("completed", "2025-01-15T10:35:22Z", False),
        ("running", "2025-01-15T10:35:22Z", False),
    ],
)
def test_what_has_started_goes_on_until_an_end_is_told(
    run: Run, status: str, end: str | None, goes_on: bool
) -> None:
    take(run, details(status="running", startedAt=None))
    assert run.going_since is None
    take(run, details(status=status, completedAt=end))
    assert run.started_at
    assert run.going_since == (run.started_at if goes_on else None)


def test_when_an_end_was_read_is_kept_where_it_had_not_come_before(run: Run) -> None:
    take(run, details(status="running"))
    assert run.end_read_at is None
    ended = details(status="completed", completedAt="2025-01-15T10:35:22Z")
    take(run, ended)
    assert run.end_read_at == NOW
    assert sync.apply(run, ended, NOW + dt.timedelta(hours=1)) == sync.Change(2, False)
    assert Run.objects.get(pk=run.pk).end_read_at == NOW


def test_what_had_ended_when_it_was_first_seen_was_not_read_to_end(run: Run) -> None:
    run.status = "completed"
    run.save()
    take(run, details(status="completed", completedAt="2025-01-15T10:35:22Z"))
    assert run.end_read_at is None


@pytest.mark.parametrize(
    ("fields", "costs", "is_odd"),
    [
        ({"status": "completed"}, (100, 100), False),
        ({"status": "completed"}, (100, 99), True),
        ({"status": "completed"}, (ABSENT, 99), False),
        ({"status": "running"}, (100, 99), False),
        ({"status": "paused"}, (100, 100), True),
        ({"status": "completed", "createdAt": "never"}, (100, 100), True),
    ],
)
def test_a_record_that_disagrees_with_itself_is_marked(
    run: Run, fields: dict[str, Any], costs: tuple[Any, int], is_odd: bool
) -> None:
    summary, entries = costs
    usage = {"summary": ABSENT if summary is ABSENT else {"costMicros": summary}}
    take(run, details([], [entry(1, costMicros=entries)], usage=usage, **fields))
    run.refresh_from_db()
    assert run.odd_at == (run.listed_at if is_odd else None)
    assert run.disagrees is is_odd


def test_contradictions_have_an_end(run: Run) -> None:
    for number in range(130):
        take(run, put(details(), ("usage", "inputTokens"), f'"odd {number}"'))
    assert len(run.contradictions) == 100


FAILED = {"status": "failed", "completedAt": "2025-01-15T10:35:22Z"}


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"result": {"finalResponse": {"issues": ["2 of 3 had no text"]}}}, "2 of 3 had no text"),
        ({"result": {"logs": {"runner": "ok\n[runner] Error: no space\n"}}}, "runner: [runner] E"),
        ({"runtimeState": "error"}, "The runtime ended with an error."),
        ({"steps": [step(1), step(2, content="fatal: no such vault")]}, "fatal: no such vault"),
        ({}, ""),
    ],
)
def test_a_failed_run_says_why_as_far_as_the_record_tells(
    run: Run, fields: dict[str, Any], cause: str
) -> None:
    take(run, details(**fields))
    assert run.failure_cause == ""
    take(run, details(**FAILED | fields))
    assert run.failure_cause.startswith(cause)
    assert bool(run.failure_cause) is bool(cause)


# The bytes ----------------------------------------------------------------------------------------


def test_the_bytes_of_the_end_are_kept_always(run: Run) -> None:
    take(run, details())
    bodies = [
        details(status="completed", future={"field": [1, 2]}) + b" " * n for n in (0, 10**6, 5)
    ]
    for seconds, body in enumerate(bodies):
        take(run, body, seconds / 100)
        payload = Payload.objects.get(run=run, kind=Payload.Kind.GOOD)
        assert (payload.text, payload.size) == (body, len(body))
        assert payload.observed_at == NOW + dt.timedelta(seconds=seconds / 100)


def test_the_bytes_of_a_running_run_are_kept_as_often_as_their_size_allows(run: Run) -> None:
    def long(number: int) -> bytes:
        return details([step(n) for n in range(number)], future="x" * 2**20)

    def kept() -> int:
        return len(json.loads(Payload.objects.get().text)["steps"])

    for number, seconds, expected in ((1, 0, 1), (2, 5, 1), (3, 19, 1), (4, 21, 4), (5, 30, 4)):
        take(run, long(number), seconds)
        assert kept() == expected
        assert run.step_count == number  # the rows are never behind


def test_refused_bytes_are_kept_beside_the_good_ones(run: Run) -> None:
    take(run, details())
    sync.refuse(run, b"<html>", "It is not JSON.", NOW)
    sync.refuse(run, b"<html>2", "It is not JSON again.", NOW)
    refused = Payload.objects.get(kind=Payload.Kind.REFUSED)
    assert (refused.text, refused.error) == (b"<html>2", "It is not JSON again.")
    assert Payload.objects.get(kind=Payload.Kind.GOOD).text == details()


def test_a_failure_in_the_middle_leaves_nothing_half_written(run: Run) -> None:
    take(run, details([step(1), step(2)]))
    before = dump()

    def fail(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and "runs_run" in sql:
            raise ZeroDivisionError
        return execute(sql, *rest)

    with connection.execute_wrapper(fail), pytest.raises(ZeroDivisionError):
        take(run, details([step(2), step(3)], [entry(1), entry(2)]))
    assert dump() == before
