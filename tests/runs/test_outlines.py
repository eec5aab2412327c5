"""What is derived from steps: kept as they come, it is what would be derived of all at once."""

import datetime as dt
import importlib
import random
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.db import transaction

from runs import outcomes, outlines, sync
from runs.models import Outline, Run, Step
from runs.tally import Tally, milliseconds
from tests.runs.answers import details

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2025, 1, 15, 10, 31, tzinfo=dt.UTC)
OUTPUTS = (None, "ok", "Error: unknown flag: --vault", '{"exitCode": 2}', {"exitCode": 0})


def new_run(**fields: Any) -> Run:
    named = {"run_id": "run_1", "listed_at": NOW, "first_seen_at": NOW, "changed_at": NOW}
    return Run.objects.create(**named | fields)


def take(run: Run, steps: list[dict[str, Any]]) -> Run:
    with transaction.atomic():
        sync.apply(Run.objects.get(pk=run.pk), details(steps, id=run.run_id), NOW)
    return Run.objects.get(pk=run.pk)


def a_step(chance: random.Random, number: int) -> dict[str, Any]:
    kind = chance.choice(("output", "thinking", "tool_call", "tool_call", "tool_result", "musing"))
    at = NOW + dt.timedelta(seconds=chance.randrange(4_000))
    return {
        "id": f"step_{number}",
        "type": kind,
        "content": None,
        "toolName": chance.choice(("bash", "read", None)) if kind.startswith("tool") else None,
        "toolInput": None,
        "toolOutput": chance.choice(OUTPUTS) if kind.startswith("tool") else None,
        "durationMs": chance.choice((None, 5, 70_000)),
        "timestamp": at.isoformat() if chance.random() < 0.9 else None,
    }


def change(chance: random.Random, steps: list[dict[str, Any]], number: int) -> None:
    """One thing that an answer may say otherwise than the one before."""
    where = chance.randrange(len(steps)) if steps else 0
    match chance.choice(("add", "add", "add", "turn", "turn", "type", "drop", "insert")):
        case "turn" if steps:
            steps[where] |= {"toolOutput": chance.choice(OUTPUTS), "durationMs": 90_000}
        case "type" if steps:
            steps[where] |= {"type": "tool_call", "toolName": "read"}
        case "drop" if steps:
            del steps[where]
        case "insert":
            steps.insert(where, a_step(chance, number))
        case _:
            steps += [a_step(chance, number * 10 + n) for n in range(chance.randrange(1, 4))]


def derived(run: Run) -> tuple[Tally, list[tuple[Any, ...]]]:
    marks = run.steps.present().order_by("position")
    return outlines.of(run), list(marks.values_list("position", "unanswered", "failed", "partner"))


def in_cells(tally: Tally) -> dict[str, Any]:
    """A tally that may be compared: cells that were kept from the start may be coarser."""
    plain: dict[str, Any] = msgspec.to_builtins(
        {"kinds": sorted(map(str, tally.kinds.items())), "gone": tally.gone, "at": tally.spoken_at}
        | {"open": tally.open_calls}
    )
    return plain | {
        "timed": sum(sum(cell[2:]) for cell in tally.timed.cells.values()),
        "lanes": [sum(cell[lane] for cell in tally.timed.cells.values()) for lane in range(2, 6)],
        "timeless": tally.timeless,
        "span": (tally.first_at, tally.last_at, tally.last_end_at),
    }


def test_an_outline_that_followed_each_answer_is_the_one_made_of_all_steps_at_once():
    for seed in range(12):
        chance = random.Random(seed)
        run = new_run(run_id=f"run_{seed}")
        steps: list[dict[str, Any]] = []
        for number in range(12):
            change(chance, steps, number)
            run = take(run, steps)
            followed = derived(run)
            outlines.rebuild(run, judge=True)
            anew = derived(run)
            assert followed[1] == anew[1], f"marks, seed {seed}, answer {number}"
            assert in_cells(followed[0]) == in_cells(anew[0]), f"tally, seed {seed}, {number}"


def test_calls_without_an_answer_are_counted_as_answers_come_and_go():
    call = {"type": "tool_call", "toolName": "bash"}
    result = {"type": "tool_result", "toolName": "bash", "toolOutput": "ok"}
    steps = [call | {"id": "a"}, call | {"id": "b"}]
    run = take(new_run(), steps)

    def open_now() -> tuple[int | None, list[int]]:
        still = run.steps.present().filter(unanswered=True, partner=None).order_by("position")
        return outlines.of(run).open_calls, list(still.values_list("position", flat=True))

    assert open_now() == (2, [1, 2])
    run = take(run, [*steps, result | {"id": "c"}])
    assert open_now() == (1, [1]), "the last call is the one that is answered"
    run = take(run, [*steps, result | {"id": "c"}, result | {"id": "d"}])
    assert open_now() == (0, [])
    run = take(run, [*steps, result | {"id": "c"}])
    assert open_now() == (1, [1]), "an answer vanished"
    run = take(run, [*steps, call | {"id": "e"}, result | {"id": "c"}])
    assert open_now() == (2, [1, 2]), "a call came between: the answer is that call's"
    run = take(run, [call | {"id": "a", "toolOutput": "done"}, *steps[1:], call | {"id": "e"}])
    assert open_now() == (2, [2, 3]), "one carries its own output by now, and the answer went"
    run = take(run, [])
    assert open_now() == (0, [])


def test_a_tally_of_before_they_were_counted_has_them_asked_for():
    run = take(new_run(), [{"id": "a", "type": "tool_call", "toolName": "bash"}])
    old = msgspec.msgpack.decode(bytes(Outline.objects.get().body))
    del old["open_calls"]
    Outline.objects.update(body=msgspec.msgpack.encode(old))
    tally = outlines.of(run)
    assert tally.open_calls is None
    assert outlines.open_calls(run, tally) == 1
    more = [{"id": letter, "type": "tool_call", "toolName": "bash"} for letter in "abc"]
    run = take(run, more)
    assert outlines.open_calls(run, outlines.of(run)) == 3


def test_the_same_answer_again_writes_no_outline():
    chance = random.Random(1)
    run, steps = new_run(), [a_step(chance, number) for number in range(30)]
    run = take(run, steps)
    before = bytes(run.outline.body)
    Outline.objects.update(body=b"untouched")
    take(run, steps)
    assert bytes(Outline.objects.get().body) == b"untouched" != before


def test_a_call_fails_with_the_result_that_answers_it():
    run = take(
        new_run(),
        [
            {"id": "a", "type": "tool_call", "toolName": "bash"},
            {"id": "b", "type": "thinking", "content": "Let me see."},
        ],
    )
    failure = {"id": "c", "type": "tool_result", "toolName": "bash", "toolOutput": "Error: no"}
    steps = [{"id": "a", "type": "tool_call", "toolName": "bash"}]
    steps += [{"id": "b", "type": "thinking", "content": "Let me see."}, failure]
    run = take(run, steps)
    call, _, result = run.steps.order_by("position")
    assert (call.partner, call.failed, result.partner) == (3, True, 1)
    assert outlines.of(run).failed == 2


def test_cells_of_time_stay_few_and_hold_every_step():
    run = new_run()
    first = NOW
    Step.objects.bulk_create(
        Step(
            run=run,
            position=place,
            type="output",
            timestamp=first + dt.timedelta(seconds=place**1.5),
            changed_version=1,
        )
        for place in range(1, 3_001)
    )
    outlines.rebuild(run)
    tally = outlines.of(run)
    assert len(tally.timed.cells) <= 400
    assert sum(cell[4] for cell in tally.timed.cells.values()) == 3_000
    key = milliseconds(first + dt.timedelta(seconds=100**1.5)) >> tally.timed.shift
    assert tally.timed.cells[key][0] <= 100 <= tally.timed.cells[key][1]
    assert len(bytes(run.outline.body)) < 12_000


def test_a_run_with_a_tool_of_a_new_name_in_each_call_has_a_small_outline():
    run = new_run()
    Step.objects.bulk_create(
        Step(run=run, position=n, type="tool_call", tool_name=f"t{n}", changed_version=1)
        for n in range(1, 2_001)
    )
    outlines.rebuild(run)
    tally = outlines.of(run)
    assert tally.total == 2_000
    assert len(tally.kinds) <= 510


def test_steps_stored_before_there_were_outlines_are_judged_and_paired_by_the_migration():
    run = new_run()
    Step.objects.create(run=run, position=1, type="tool_call", tool_name="bash", changed_version=1)
    failure = {"type": "tool_result", "tool_name": "bash", "tool_output": '"Error: no such vault"'}
    Step.objects.create(run=run, position=2, changed_version=1, **failure)
    importlib.import_module("runs.migrations.0007_outline_steps").fill(apps, None)
    assert derived(run)[1] == [(1, True, True, 2), (2, False, True, 1)]
    assert Outline.objects.get().rule == outcomes.RULE


def test_what_an_earlier_rule_judged_is_judged_anew_when_its_run_moves():
    failing = {"id": "a", "type": "tool_call", "toolName": "bash", "toolOutput": "Error: no"}
    run = take(new_run(), [failing])
    Outline.objects.update(rule=outcomes.RULE - 1)
    Step.objects.update(failed=False)
    run = take(run, [failing, {"id": "b", "type": "output", "content": "Went on."}])
    assert [step.failed for step in run.steps.order_by("position")] == [True, False]
    assert Outline.objects.get().rule == outcomes.RULE
