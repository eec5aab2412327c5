"""From one answer to rows, and from the next answer to the same rows."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runs import columns, sync
from runs.casedev.errors import Unreadable
from runs.casedev.payloads import Details, EntryPayload, StepPayload, read, read_part
from runs.models import Payload, Revision, Run, Step, UsageEntry
from tests.runs.answers import ABSENT, REFERENCE, details, entry, put, put_all, step
from tests.runs.test_payloads import ALL_PATHS, ANY_JSON, ODDITIES

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2025, 1, 15, 10, 31, tzinfo=dt.UTC)


@pytest.fixture
def run() -> Run:
    return new_run()


def new_run(**fields: Any) -> Run:
    return Run.objects.create(
        **{"run_id": "run_1", "listed_at": NOW, "first_seen_at": NOW, "changed_at": NOW} | fields
    )


def take(run: Run, body: bytes, seconds: float = 0) -> sync.Change:
    """Sync the run as it is in the database, and bring `run` up to date."""
    with transaction.atomic():
        change = sync.apply(Run.objects.get(pk=run.pk), body, NOW + dt.timedelta(seconds=seconds))
    run.refresh_from_db()
    assert change.version == run.version
    return change


def dump() -> dict[str, list[dict[str, Any]]]:
    """Every row of the record."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for model in apps.get_app_config("runs").get_models():
        tables[model.__name__] = [_row(item) for item in model._default_manager.order_by("pk")]
    return tables


def _row(item: Model) -> dict[str, Any]:
    values = {field.attname: getattr(item, field.attname) for field in item._meta.concrete_fields}
    return {
        name: bytes(value) if isinstance(value, memoryview) else value
        for name, value in values.items()
    }


def notes(run: Run) -> list[str]:
    return [item["text"] for item in run.contradictions]


def steps(run: Run) -> dict[int, Step]:
    """Present steps by position."""
    return {one.position: one for one in run.steps.filter(vanished_at=None)}


def ids(run: Run) -> list[str | None]:
    return [one.step_id for one in run.steps.filter(vanished_at=None).order_by("position")]


def pks(run: Run) -> dict[str | None, int]:
    return {one.step_id: one.pk for one in run.steps.all()}


def body_of(revision: Revision) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(revision.body)
    return found


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
        "lasted_micros",  # 0: it ends at its start
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


# Steps that gain, change, go and come back --------------------------------------------------------

CALL = {"type": "tool_call", "toolName": "bash", "toolInput": {"command": "ls"}, "content": None}


def test_a_step_that_gains_its_output_later_leaves_no_revision(run: Run) -> None:
    take(run, details([step(1, **CALL), step(2)]))
    first = steps(run)[1].pk
    take(run, details([step(1, **CALL, toolOutput="done", durationMs=1200), step(2)]))
    gained = steps(run)[1]
    assert (gained.pk, gained.tool_output, gained.duration_ms) == (first, '"done"', 1200)
    assert gained.changed_version == 2
    assert steps(run)[2].changed_version == 1
    assert not Revision.objects.exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"content": "I found"}, {"content": "I found 3 vaults."}),
        ({"toolOutput": "line one"}, {"toolOutput": "line one\nline two"}),
        ({"durationMs": 900}, {"durationMs": 1200}),
        ({"toolOutput": ABSENT}, {"toolOutput": None}),
        ({"content": ABSENT}, {"content": ""}),
        ({"timestamp": None}, {}),
        ({"id": None}, {}),
    ],
)
def test_what_merely_grows_leaves_no_revision(run: Run, before: Any, after: Any) -> None:
    take(run, details([step(1, **before)]))
    pk = steps(run)[1].pk
    take(run, details([step(1, **after)]))
    assert steps(run)[1].pk == pk
    assert not Revision.objects.exists()
    assert notes(run) == []


@pytest.mark.parametrize(
    ("before", "after", "column"),
    [
        ({"content": "I found 3 vaults."}, {"content": "I found 4 vaults."}, "content"),
        ({"content": "text"}, {"content": ""}, "content"),
        ({"toolOutput": {"a": 1}}, {"toolOutput": {"a": 2}}, "tool_output"),
        ({"toolOutput": "abc"}, {"toolOutput": "abx"}, "tool_output"),
        ({"durationMs": 1200}, {"durationMs": 900}, "duration_ms"),
        ({"type": "output"}, {"type": "thinking"}, "type"),
        ({"content": "null"}, {"content": "something"}, "content"),
    ],
)
def test_what_is_replaced_is_kept_as_a_revision(
    run: Run, before: Any, after: Any, column: str
) -> None:
    take(run, details([step(1, **before)]))
    old = getattr(steps(run)[1], column)
    take(run, details([step(1, **after)]), 7)
    revision = Revision.objects.get()
    assert (revision.of, revision.position, revision.replaced_version) == ("step", 1, 2)
    assert revision.replaced_at == NOW + dt.timedelta(seconds=7)
    assert body_of(revision)[column] == old
    assert getattr(steps(run)[1], column) != old


@pytest.mark.parametrize("nothing", [None, ABSENT])
def test_what_a_step_no_longer_says_stays_and_is_flagged(run: Run, nothing: Any) -> None:
    whole = step(1, **CALL, toolOutput={"a": 1}, durationMs=5)
    take(run, details([whole, step(2)]))
    before = dump()["Step"]
    poor = step(1, **CALL | {"toolInput": nothing}, toolOutput=nothing, durationMs=nothing)
    assert take(run, details([poor, step(2)])).is_new
    assert dump()["Step"] == before
    assert notes(run) == [
        "steps[1].toolInput is no longer reported; the last value is shown.",
        "steps[1].toolOutput is no longer reported; the last value is shown.",
        "steps[1].durationMs is no longer reported; the last value is shown.",
    ]
    assert take(run, details([poor, step(2)])) == sync.Change(2, False)
    assert take(run, details([whole, step(2)])) == sync.Change(2, False)
    assert not Revision.objects.exists()


def test_steps_that_are_appended_leave_the_others_alone(run: Run) -> None:
    take(run, details([step(1)]))
    before = pks(run)
    take(run, details([step(1), step(2), step(3)]))
    assert ids(run) == ["step_001", "step_002", "step_003"]
    assert pks(run).items() >= before.items()
    assert [one.changed_version for one in run.steps.all()] == [1, 2, 2]
    assert run.step_count == 3


@pytest.mark.parametrize("gone", [0, 1, 2])
@pytest.mark.parametrize("has_ids", [True, False])
def test_a_step_that_vanishes_is_kept_and_the_others_stay_themselves(
    run: Run, gone: int, has_ids: bool
) -> None:
    all_steps = [step(n, **({} if has_ids else {"id": None})) for n in (1, 2, 3)]
    take(run, details(all_steps))
    before = {one.content: one.pk for one in run.steps.all()}
    rest = [one for index, one in enumerate(all_steps) if index != gone]
    take(run, details(rest), 9)
    assert {one.content: one.pk for one in run.steps.all()} == before
    vanished = run.steps.exclude(vanished_at=None).get()
    assert vanished.content == f"Said in step {gone + 1}."
    assert vanished.vanished_at == NOW + dt.timedelta(seconds=9)
    assert vanished.changed_version == 2
    assert [steps(run)[place].content for place in (1, 2)] == [one["content"] for one in rest]
    assert run.step_count == 2
    assert notes(run) == ["1 of steps vanished upstream."]
    assert not Revision.objects.exists()


def test_a_step_that_comes_back_is_the_same_row(run: Run) -> None:
    take(run, details([step(1), step(2), step(3)]))
    before = pks(run)
    take(run, details([step(1), step(3)]))
    take(run, details([step(1), step(3), step(4)]))
    take(run, details([step(1), step(2), step(3), step(4)]))
    assert ids(run) == ["step_001", "step_002", "step_003", "step_004"]
    assert pks(run).items() >= before.items()
    assert not run.steps.exclude(vanished_at=None).exists()
    assert run.step_count == 4
    assert not Revision.objects.exists()


@pytest.mark.parametrize("has_ids", [True, False])
def test_a_step_that_comes_back_at_the_end_is_the_same_row(run: Run, has_ids: bool) -> None:
    three = [step(n, **({} if has_ids else {"id": None})) for n in (1, 2, 3)]
    take(run, details(three))
    before = {one.content: one.pk for one in run.steps.all()}
    take(run, details(three[:2]))
    take(run, details(three))
    assert {one.content: one.pk for one in run.steps.all()} == before
    assert run.step_count == 3


def test_once_something_vanished_a_long_run_goes_on_cheaply(run: Run) -> None:
    many = [step(n) for n in range(1, 60)]
    take(run, details(many))
    del many[10]
    take(run, details(many))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        take(run, details([*many, step(500)]))
    read = [query["sql"] for query in queries if '"runs_step"."content"' in query["sql"]]
    assert all(" IN (" in sql or "LIMIT" in sql or "INSERT" in sql for sql in read), read


def test_steps_that_change_places_are_moved(run: Run) -> None:
    take(run, details([step(1), step(2), step(3), step(4)]))
    before = pks(run)
    take(run, details([step(3), step(1), step(4), step(2)]))
    assert ids(run) == ["step_003", "step_001", "step_004", "step_002"]
    assert pks(run) == before
    assert {one.changed_version for one in run.steps.all()} == {2}
    assert not Revision.objects.exists()


def test_a_step_put_in_between_moves_the_later_ones(run: Run) -> None:
    take(run, details([step(1), step(3)]))
    before = pks(run)
    take(run, details([step(1), step(2), step(3)]))
    assert ids(run) == ["step_001", "step_002", "step_003"]
    assert pks(run).items() >= before.items()


def test_a_step_without_id_put_in_between_moves_the_later_ones_too(run: Run) -> None:
    take(run, details([step(1, id=None), step(3, id=None)]))
    before = {one.content: one.pk for one in run.steps.all()}
    take(run, details([step(1, id=None), step(2, id=None), step(3, id=None)]))
    assert {one.content: one.pk for one in run.steps.all()}.items() >= before.items()
    assert not Revision.objects.exists()


def test_all_steps_vanish_and_all_come_back(run: Run) -> None:
    take(run, details([step(1), step(2)]))
    before = pks(run)
    take(run, details([]))
    assert (run.step_count, run.last_step_at) == (0, None)
    assert run.steps.exclude(vanished_at=None).count() == 2
    take(run, details([step(1), step(2), step(3)]))
    assert ids(run) == ["step_001", "step_002", "step_003"]
    assert pks(run).items() >= before.items()


@pytest.mark.parametrize("nothing", [None, ABSENT, "odd", 7, {}])
def test_no_word_on_steps_touches_none(run: Run, nothing: Any) -> None:
    take(run, details([step(1), step(2)]))
    before = dump()["Step"]
    take(run, details(steps=nothing) if nothing is not None else put(details(), ("steps",), "null"))
    assert dump()["Step"] == before
    assert run.step_count == 2


def test_ids_made_anew_with_each_answer_make_no_new_steps(run: Run) -> None:
    take(run, details([step(n, id=f"x{n}") for n in (1, 2, 3)]))
    before = {one.content: one.pk for one in run.steps.all()}
    take(run, details([step(n, id=f"y{n}") for n in (1, 2, 3, 4)]))
    assert {one.content: one.pk for one in run.steps.all()}.items() >= before.items()
    assert run.step_count == 4
    assert run.steps.count() == 4


def test_another_step_at_the_same_place_is_another_row(run: Run) -> None:
    take(run, details([step(1), step(2, toolOutput="old")]))
    take(run, details([step(1), step(7, type="thinking")]))
    assert ids(run) == ["step_001", "step_007"]
    assert run.steps.get(step_id="step_002").vanished_at is not None
    assert steps(run)[2].tool_output == "null"


def test_a_step_of_five_megabytes_is_stored_whole(run: Run) -> None:
    long = "é" + "x" * 5_000_000
    take(run, details([step(1, toolOutput=long, content=long)]))
    stored = run.steps.get()
    assert stored.content == long
    assert json.loads(stored.tool_output or "") == long
    take(run, details([step(1, toolOutput=long + "x", content=long)]))
    assert json.loads(run.steps.get().tool_output or "") == long + "x"


def test_of_three_thousand_steps_only_the_changed_one_is_read_and_written(run: Run) -> None:
    many = [step(n % 60, id=f"s{n}") for n in range(3000)]
    take(run, details(many))
    many[1234]["content"] = "changed"
    with CaptureQueriesContext(connection) as queries:
        take(run, details(many))
    of_steps = [one["sql"] for one in queries if '"runs_step"' in one["sql"]]
    written = [sql for sql in of_steps if "UPDATE" in sql or "INSERT" in sql]
    assert [sql[:27] for sql in written] == ['1 times: UPDATE "runs_step"']
    assert run.steps.filter(changed_version=2).count() == 1
    assert len(queries) < 20


def test_lists_beyond_any_batch_vanish_and_return(run: Run) -> None:
    many = [step(n % 60, id=f"s{n}") for n in range(1100)]
    take(run, details(many))
    before = pks(run)
    take(run, details(many[:3]))
    assert run.step_count == 3
    take(run, details(list(reversed(many))))
    assert run.step_count == 1100
    assert pks(run) == before
    assert ids(run)[0] == "s1099"


# Entries and costs --------------------------------------------------------------------------------


def test_no_entries_reported_and_no_entries_made_are_two_things(run: Run) -> None:
    take(run, details(entries=ABSENT))
    assert (run.entry_count, run.entries_cost_micros, run.cost_micros) == (None, None, None)
    take(run, details(entries=[]))
    assert (run.entry_count, run.entries_cost_micros, run.cost_micros) == (0, None, None)
    assert run.version == 2
    take(run, details(entries=[entry(1, costMicros=0)]))
    assert (run.entry_count, run.entries_cost_micros, run.cost_micros) == (1, 0, 0)
    take(run, details(entries=[entry(1, costMicros=0), entry(2, costMicros=None)]))
    assert (run.entry_count, run.entries_cost_micros) == (2, 0)


def test_a_null_list_of_entries_is_no_list(run: Run) -> None:
    take(run, put(details(), ("usage", "entries"), "null"))
    assert run.entry_count is None
    take(run, details(usage=None))
    assert run.entry_count is None


def test_the_cost_is_the_summary_s_and_else_the_sum_of_the_entries(run: Run) -> None:
    two = [entry(1), entry(2, costMicros=500)]
    take(run, details(entries=two))
    assert run.cost_micros == 1500
    take(run, details(entries=two, usage={"summary": {"costMicros": 1700}}))
    assert (run.cost_micros, run.entries_cost_micros, run.summary_cost_micros) == (1700, 1500, 1700)
    take(run, details(entries=ABSENT, usage={"summary": {"costMicros": 0}}))
    assert run.cost_micros == 0
    assert run.entries_cost_micros == 1500  # no word on entries touches none


def test_entries_that_come_late_are_added(run: Run) -> None:
    take(run, details(status="completed", entries=[]))
    take(run, details(status="completed", entries=[entry(1)]))
    take(run, details(status="completed", entries=[entry(1), entry(2)]))
    assert (run.entry_count, run.cost_micros, run.version) == (2, 2000, 3)
    assert [one.changed_version for one in run.entries.all()] == [2, 3]


def test_a_revised_cost_keeps_what_it_was(run: Run) -> None:
    take(run, details(entries=[entry(1), entry(2)]))
    take(run, details(entries=[entry(1, costMicros=700), entry(2)]))
    revision = Revision.objects.get()
    assert (revision.of, revision.position) == ("entry", 1)
    assert body_of(revision)["cost_micros"] == 1000
    assert run.cost_micros == 1700


def test_entries_that_vanish_do_not_count(run: Run) -> None:
    take(run, details(entries=[entry(1), entry(2), entry(3)]))
    take(run, details(entries=[entry(1), entry(3)]))
    assert (run.entry_count, run.cost_micros) == (2, 2000)
    assert run.entries.count() == 3
    assert notes(run) == ["1 of usage.entries vanished upstream."]


def test_a_cost_that_rises_while_the_run_goes_on_is_no_contradiction(run: Run) -> None:
    for cost in (100, 200, 300):
        take(run, details(usage={"summary": {"costMicros": cost}}))
    assert not Revision.objects.exists()
    take(run, details(usage={"summary": {"costMicros": 250}}))
    assert body_of(Revision.objects.get())["summary_cost_micros"] == 300
    take(run, details(status="completed", usage={"summary": {"costMicros": 260}}))
    assert Revision.objects.count() == 1
    take(run, details(status="completed", usage={"summary": {"costMicros": 270}}))
    assert Revision.objects.count() == 2


def test_costs_beyond_all_measure_break_no_sum(run: Run) -> None:
    huge = [entry(n, costMicros=9_223_372_036_854_775_807) for n in (1, 2)]
    take(run, details(entries=huge))
    assert (run.entry_count, run.cost_micros) == (2, None)
    assert "usage.entries[1].costMicros is too large a number to be kept." in notes(run)
    most = [entry(n % 60, id=f"e{n}", costMicros=10**15) for n in range(9_300)]
    take(run, details(entries=most))
    assert run.entry_count == 9_300
    assert run.cost_micros is None


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


# Whatever may come --------------------------------------------------------------------------------


PATHS = [path for path in ALL_PATHS if path != ("id",)]
LEAVES = [path for path in PATHS if not any(path == other[: len(path)] != other for other in PATHS)]


@pytest.mark.parametrize("odd", ODDITIES)
def test_whatever_stands_in_the_fields_can_be_stored(run: Run, odd: str) -> None:
    take(run, put_all(details(), dict.fromkeys(LEAVES, odd)))
    for path in set(PATHS) - set(LEAVES):
        body = put(details(), path, odd)
        take(run, body)
        assert not take(run, body).is_new, path
    json.dumps(dump(), cls=_Bytes)


@pytest.mark.parametrize("odd", ODDITIES)
def test_every_database_gives_back_what_the_columns_were_given(run: Run, odd: str) -> None:
    body = put_all(details(), dict.fromkeys(LEAVES, odd))
    take(run, body)
    read_ = read(body, Details, [])
    told = columns.of_run(read_, [])
    for name in told.keys() - {"status"}:
        assert getattr(run, name) == told[name]
    assert isinstance(read_.steps, list)
    assert read_.usage
    assert isinstance(read_.usage.entries, list)
    told = columns.of_step(read_part(read_.steps[0], StepPayload, "s", []), "s", [])
    assert Step.objects.values(*told).get() == told
    told = columns.of_entry(read_part(read_.usage.entries[0], EntryPayload, "e", []), "e", [])
    assert UsageEntry.objects.values(*told).get() == told


class _Bytes(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        return o.hex() if isinstance(o, bytes) else super().default(o)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
)
@given(st.lists(st.dictionaries(st.sampled_from(PATHS), ANY_JSON, max_size=3), max_size=3))
def test_any_answers_one_after_the_other_can_be_stored(
    run: Run, answers: list[dict[tuple[Any, ...], Any]]
) -> None:
    with transaction.atomic():
        for values in answers:
            raw_at = {path: json.dumps(value) for path, value in values.items()}
            body = put_all(details(), raw_at)
            take(run, body)
            assert not take(run, body).is_new
        transaction.set_rollback(True)


LISTS = st.lists(st.tuples(st.sampled_from([None, "a", "b", "c", "d"]), st.integers(0, 3)))


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
)
@given(st.lists(LISTS, min_size=1, max_size=4))
def test_after_any_lists_the_present_rows_are_the_last_list(
    run: Run, lists: list[list[tuple[str | None, int]]]
) -> None:
    with transaction.atomic():
        for number, given_list in enumerate(lists):
            sent = [
                step(time, id=identifier, content=f"{identifier} {time} {number % 2}")
                for identifier, time in given_list
            ]
            take(run, details(sent))
            stored = [
                (one.position, one.step_id or None, one.content)
                for one in run.steps.filter(vanished_at=None).order_by("position")
            ]
            assert [content for _, _, content in stored] == [one["content"] for one in sent]
            assert [place for place, _, _ in stored] == [*range(1, len(sent) + 1)]
            assert run.step_count == len(sent)
            assert not take(run, details(sent)).is_new
        transaction.set_rollback(True)
