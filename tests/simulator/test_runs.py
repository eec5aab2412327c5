"""Properties that hold for every script and every variant, at every moment of a run."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.simulator.clock import ManualClock
from runs.simulator.run import TERMINAL, SimulatedRun
from runs.simulator.scripts import SCRIPTS
from runs.simulator.variants import NAMES, Variant, VariantError, variant
from runs.simulator.world import SimulatorConfig, World

ORDER = {"queued": 0, "running": 1, "paused": 1, "completed": 2, "failed": 2, "cancelled": 2}


def started(script: str, chosen: object = None, **options: Any) -> tuple[World, SimulatedRun]:
    world = World(SimulatorConfig(), ManualClock())
    return world, world.start(script, variant=chosen, **options)


def moments(run: SimulatedRun, count: int = 12) -> Iterator[int]:
    """Some moments over the life of a run, and well after its end."""
    begun_ms = run.facts.created_ms
    length_ms = min(run.facts.length_ms, 40 * 60 * 1000)
    for number in range(count + 1):
        yield begun_ms + length_ms * number // count
    yield begun_ms + length_ms + 60_000


@pytest.mark.parametrize("chosen", sorted(NAMES))
@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_costs_sum_and_status_goes_forward_only(script: str, chosen: str) -> None:
    _, run = started(script, chosen)
    last = 0
    ended_as = None
    for now_ms in moments(run, 7):
        details = run.details(now_ms)
        assert ORDER[details["status"]] >= last
        assert ended_as in (None, details["status"])
        last = ORDER[details["status"]]
        ended_as = details["status"] if details["status"] in TERMINAL else None
        assert (details.get("completedAt") is not None) == (ended_as is not None)
        usage = details.get("usage") or {}
        if "summary" in usage and "entries" in usage:
            check_sums(usage)


def check_sums(usage: dict[str, Any]) -> None:
    entries, summary = usage["entries"], usage["summary"]
    prompt = sum(entry.get("promptTokens") or 0 for entry in entries)
    completion = sum(entry.get("completionTokens") or 0 for entry in entries)
    assert summary["costMicros"] == sum(entry["costMicros"] for entry in entries)
    assert summary["totalInputTokens"] == prompt
    assert summary["totalOutputTokens"] == completion
    assert summary["totalTokens"] == prompt + completion
    assert len({entry["id"] for entry in entries}) == len(entries)


@pytest.mark.parametrize("chosen", ["live", "two_step", "output_object", "absent_keys"])
@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_steps_only_grow_or_gain_an_answer(script: str, chosen: str) -> None:
    _, run = started(script, chosen)
    before: list[dict[str, Any]] = []
    for now_ms in moments(run, 40):
        steps = run.details(now_ms)["steps"]
        assert len(steps) >= len(before)
        for old, new in zip(before, steps, strict=False):
            gained = {key for key in new if new[key] != old.get(key)}
            assert gained <= {"toolOutput", "durationMs"}
            assert all(old.get(key) is None for key in gained)
        before = steps
    assert [step["id"] for step in before] == [f"step_{n:03d}" for n in range(1, len(before) + 1)]
    stamps = [step["timestamp"] for step in before]
    assert len(before) > 1
    assert stamps == sorted(stamps, key=lambda stamp: stamp.removesuffix("Z").ljust(23, "."))


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_the_kept_body_is_the_encoded_details(script: str) -> None:
    _, run = started(script)
    for now_ms in moments(run, 25):
        assert msgspec.json.decode(run.body(now_ms).plain()) == run.details(now_ms)


@pytest.mark.parametrize("chosen", sorted(NAMES))
def test_the_kept_body_is_the_encoded_details_in_every_variant(chosen: str) -> None:
    _, run = started("privilege_log", chosen)
    for now_ms in moments(run, 25):
        assert msgspec.json.decode(run.body(now_ms).plain()) == run.details(now_ms)


@given(ages=st.lists(st.integers(0, 400_000), min_size=2, max_size=12))
def test_an_answer_depends_on_the_time_only_and_not_on_earlier_questions(ages: list[int]) -> None:
    _, asked_often = started("deposition_contradictions", seed=5)
    for age in ages:
        now_ms = asked_often.facts.created_ms + age
        _, asked_once = started("deposition_contradictions", seed=5)
        assert asked_often.body(now_ms).plain() == asked_once.body(now_ms).plain()


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_the_same_seed_gives_the_same_bytes(script: str) -> None:
    (_, first), (_, second) = started(script, seed=11), started(script, seed=11)
    for now_ms in moments(first):
        assert first.body(now_ms).plain() == second.body(now_ms).plain()


def test_another_seed_gives_another_run() -> None:
    (_, first), (_, second) = started("nda_review", seed=1), started("nda_review", seed=2)
    last_ms = first.facts.created_ms + 3_600_000
    assert first.details(last_ms)["steps"] != second.details(last_ms)["steps"]


def timeless(details: dict[str, Any]) -> dict[str, Any]:
    """Details without times, durations and the stamps of log lines."""
    steps = [
        {key: step[key] for key in step.keys() - {"timestamp", "durationMs"}}
        for step in details["steps"]
    ]
    entries = [
        {key: entry[key] for key in entry.keys() - {"timestamp"}}
        for entry in details["usage"]["entries"]
    ]
    result = (details["result"] or {}) | {"logs": None}
    return {"steps": steps, "entries": entries, "result": result, "prompt": details["prompt"]}


@pytest.mark.parametrize("script", sorted(SCRIPTS.keys() - {"privilege_log_stalled"}))
def test_speed_changes_when_and_not_what(script: str) -> None:
    (_, slow), (_, fast) = started(script, seed=3), started(script, seed=3, speed=60)
    begun_ms = slow.facts.created_ms
    slow_end_ms, fast_end_ms = slow.end_ms, fast.end_ms
    assert slow_end_ms is not None
    assert fast_end_ms is not None
    assert abs((slow_end_ms - begun_ms) / 60 - (fast_end_ms - begun_ms)) <= 1
    whole, quick = slow.details(slow_end_ms), fast.details(fast_end_ms)
    assert timeless(whole) == timeless(quick)
    assert quick["usage"]["durationMs"] == fast_end_ms - begun_ms


def test_at_end_shows_no_step_before_the_end() -> None:
    _, run = started("nda_review", "at_end")
    end_ms = run.end_ms or 0
    assert run.details(end_ms - 1)["steps"] == []
    assert len(run.details(end_ms)["steps"]) == len(run.timeline.moments) > 5


def test_a_tool_call_gains_its_answer_when_the_tool_returns() -> None:
    _, run = started("nda_review")
    position, moment = next(
        (number, moment)
        for number, moment in enumerate(run.timeline.moments)
        if moment.step.type == "tool_call"
    )
    assert moment.done_ms is not None
    early = run.step(position, moment.done_ms - 1)
    late = run.step(position, moment.done_ms)
    assert (early["toolOutput"], early["durationMs"]) == (None, None)
    assert late["toolOutput"] == moment.step.tool_output
    assert late["durationMs"] == moment.done_ms - moment.visible_ms


def test_two_steps_hold_what_one_step_holds() -> None:
    (_, one), (_, two) = (
        started("privilege_log", seed=4),
        started("privilege_log", "two_step", seed=4),
    )
    last_ms = one.facts.created_ms + 3_600_000
    whole = [step for step in one.details(last_ms)["steps"] if step["type"] == "tool_call"]
    split = two.details(last_ms)["steps"]
    calls = [step for step in split if step["type"] == "tool_call"]
    results = [step for step in split if step["type"] == "tool_result"]
    assert [step["toolInput"] for step in calls] == [step["toolInput"] for step in whole]
    assert [step["toolOutput"] for step in results] == [step["toolOutput"] for step in whole]
    assert all(step["toolOutput"] is None for step in calls)
    assert two.details(last_ms)["usage"]["toolCalls"] == len(whole)


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [
        ("output_object", dict),
        ("output_array", list),
        ("output_number", int),
        ("output_null", type(None)),
        ("output_text", str),
        ("default", str),
    ],
)
def test_tool_output_takes_every_json_type(chosen: str, kind: type) -> None:
    _, run = started("nda_review", chosen)
    steps = run.details(run.end_ms or 0)["steps"]
    outputs = [step["toolOutput"] for step in steps if step["type"] == "tool_call"]
    assert {type(output) for output in outputs} == {kind}


def test_the_default_tool_output_is_often_json_in_a_string() -> None:
    _, run = started("nda_review")
    outputs = [moment.step.tool_output for moment in run.timeline.moments if moment.step.tool_name]
    parsed = [msgspec.json.decode(output) for output in outputs if output.startswith("{")]
    assert len(parsed) >= 3


def test_absent_keys_replace_nulls_but_leave_tool_data_alone() -> None:
    _, run = started("nda_review", "absent_keys")
    details = run.details(run.facts.created_ms)
    assert "result" not in details
    assert "completedAt" not in details
    done = run.details(run.end_ms or 0)
    assert all(None not in step.values() for step in done["steps"])
    assert all(None not in entry.values() for entry in done["usage"]["entries"])


@pytest.mark.parametrize(
    ("chosen", "gone"),
    [
        ("usage_absent", {"usage"}),
        ("no_summary", {"summary"}),
        ("no_entries", {"entries"}),
    ],
)
def test_usage_lacks_what_the_variant_says(chosen: str, gone: set[str]) -> None:
    _, run = started("nda_review", chosen)
    details = run.details(run.end_ms or 0)
    present = set(details) | set(details.get("usage") or {})
    assert not gone & present
    assert ({"usage", "summary", "entries"} - gone) & present or chosen == "usage_absent"


def test_usage_can_be_null_while_the_run_goes_on() -> None:
    _, run = started("nda_review", "usage_null_while_running")
    end_ms = run.end_ms or 0
    assert run.details(end_ms - 1)["usage"] is None
    assert run.details(end_ms)["usage"]["summary"]["costMicros"] > 0


def test_late_costs_arrive_after_the_end() -> None:
    _, run = started("nda_review", {"lateCosts": "arrive", "lateCostsSeconds": 20})
    end_ms = run.end_ms or 0
    early, late = run.details(end_ms + 19_999)["usage"], run.details(end_ms + 20_000)["usage"]
    assert not {"summary", "entries"} & set(early)
    assert early["inputTokens"] == late["inputTokens"] > 0
    assert late["summary"]["costMicros"] == sum(entry["costMicros"] for entry in late["entries"])


def test_late_costs_grow_after_the_end() -> None:
    _, run = started("nda_review", "late_costs_grow")
    end_ms = run.end_ms or 0
    early, late = run.details(end_ms)["usage"], run.details(end_ms + 15_000)["usage"]
    assert 0 < len(early["entries"]) < len(late["entries"])
    assert late["entries"][: len(early["entries"])] == early["entries"]
    assert early["summary"]["costMicros"] < late["summary"]["costMicros"]


def test_a_run_can_stay_queued_for_ever() -> None:
    world, run = started("nda_review", "queued_for_ever")
    world.advance(10 * 24 * 3600)
    assert run.details(world.now_ms())["status"] == "queued"
    assert world.cancel(run)


def test_a_failed_run_leaves_its_logs_only() -> None:
    _, run = started("nda_review", "failed_logs_only")
    details = run.details(run.end_ms or 0)
    assert details["status"] == "failed"
    assert set(details["result"]) == {"logs"}
    assert details["result"]["logs"]["runner"]
    assert details["steps"]


def test_a_failed_run_can_leave_no_result() -> None:
    for script, chosen in (("nda_review", "failed_null_result"), ("runtime_crash", None)):
        _, run = started(script, chosen)
        details = run.details(run.end_ms or 0)
        assert (details["status"], details["result"]) == ("failed", None)


def test_a_run_is_cancelled_before_it_starts() -> None:
    world, run = started("nda_review", "cancelled_queued")
    assert run.status(world.now_ms()) == "queued"
    world.advance(5)
    details = run.details(world.now_ms())
    assert (details["status"], details["startedAt"], details["steps"]) == ("cancelled", None, [])


def test_a_run_is_cancelled_in_the_middle() -> None:
    world, run = started("nda_review", "cancelled_running")
    assert run.status(world.now_ms()) == "running"
    world.advance(3600)
    details = run.details(world.now_ms())
    assert details["status"] == "cancelled"
    assert details["startedAt"] is not None
    assert details["steps"]


def test_the_sandbox_limit_ends_a_run_after_30_minutes() -> None:
    _, run = started("production_qc_timeout")
    details = run.details(run.end_ms or 0)
    assert details["status"] == "failed"
    assert details["usage"]["durationMs"] == 30 * 60 * 1000
    assert "30 minute limit" in details["result"]["logs"]["runner"]
    assert details["steps"][-1]["toolOutput"] is None


def test_a_stalled_run_stays_running_without_a_new_step() -> None:
    world, run = started("privilege_log_stalled")
    world.advance(600)
    before = run.body(world.now_ms())
    world.advance(7 * 24 * 3600)
    assert run.status(world.now_ms()) == "running"
    assert run.body(world.now_ms()) is before


def test_every_script_reads_like_work() -> None:
    for name, script in SCRIPTS.items():
        _, run = started(name)
        played = run.timeline.played
        assert len(played.prompt) > 60, name
        assert played.steps, name
        if script.ends == "completed":
            assert played.result is not None, name
            assert len(played.result.output or "") > 120, name
            assert played.result.summary, name
        text = msgspec.json.encode([played.steps, played.result, played.prompt]).decode()
        assert "{vault}" not in text, name


def test_the_scripts_cover_what_goes_wrong_in_real_runs() -> None:
    plays = [started(name)[1].timeline.played for name in SCRIPTS]
    outputs = [str(step.tool_output) for play in plays for step in play.steps]
    codes = {entry.status_code for play in plays for entry in play.entries}
    assert sum("unknown flag" in output for output in outputs) >= 8
    assert {404, 429, 500, 503} <= codes
    assert sum(not entry.direct for play in plays for entry in play.entries) >= 1
    lengths = [script.seconds for script in SCRIPTS.values()]
    assert min(lengths) < 10
    assert max(lengths) > 580


def test_variants_are_read_from_names_lists_and_objects() -> None:
    assert variant("at_end") == Variant(steps="at_end")
    assert variant(["at_end", "two_step"]) == Variant(steps="at_end", tool_calls="two_step")
    assert variant({"toolCalls": "two_step"}, Variant(steps="at_end")).steps == "at_end"
    assert variant("default", Variant(steps="at_end")) == Variant()


@pytest.mark.parametrize("wrong", ["sideways", ["at_end", 3], {"steps": "never"}, {"tempo": 1}, 7])
def test_wrong_variants_are_refused(wrong: object) -> None:
    with pytest.raises(VariantError):
        variant(wrong)
