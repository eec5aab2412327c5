"""Steps that gain, change, go and come back."""

import datetime as dt
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs import sync
from runs.models import Revision, Run
from tests.runs.answers import ABSENT, details, put, step
from tests.runs.syncing import NOW, body_of, dump, ids, new_run, notes, pks, steps, take

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return new_run()


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
