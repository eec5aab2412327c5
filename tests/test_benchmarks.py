"""That benchmarks can be run at all; what they find is no test."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks import fleet, lists, writes
from benchmarks.figures import Figure, Growth, in_turns, quantile, ratio, value
from benchmarks.sections import SECTIONS
from benchmarks.table import table
from runs.models import Poll, Run
from tests import environment
from tests.factories import make_run
from tests.product import ROOT


def test_a_target_is_met_or_missed_by_ours_or_by_its_ratio_to_the_floor() -> None:
    def met(*targets: object, floor: float | None = 4.0) -> bool | None:
        return Figure(what="x", ours=10, floor=floor, targets=targets).is_met  # type: ignore[arg-type]

    assert met(ratio(2.5)) is True
    assert met(ratio(2.4)) is False
    assert met(value(10), ratio(2.4)) is False
    assert met(ratio(at_least=2.5)) is True
    assert met(value(at_least=11)) is False
    assert met() is None
    assert met(ratio(2.5), floor=None) is None


def test_growth_is_told_by_its_steepest_part() -> None:
    def power(*costs: float) -> float:
        points = tuple((10**number, cost) for number, cost in enumerate(costs, start=1))
        found = Growth(what="x", by="steps", unit="ms", points=points).power
        assert found is not None
        return found

    assert power(5, 5, 5, 5) == pytest.approx(0)
    assert power(1, 10, 100, 1000) == pytest.approx(1)
    assert power(5, 5, 50, 5000) > 1.15


def test_a_cost_that_must_not_grow_is_told_by_its_extremes() -> None:
    points = ((10, 1.0), (100, 4.0), (1_000, 6.0), (10_000, 5.0))

    def growth(within: float, beyond: int = 100) -> Growth:
        return Growth(what="x", by="steps", unit="ms", points=points, within=within, beyond=beyond)

    assert growth(1.5).spread == 1.5
    assert (growth(1.5).is_met, growth(1.4).is_met) == (True, False)
    assert growth(1.5, beyond=10_000).is_met is None
    assert "1.50 x from 100 on, target ≤ 1.4 x: NO" in table([("sqlite", growth(1.4))])


def test_what_is_timed_in_turns_leaves_the_first_turn_out() -> None:
    order: list[str] = []

    def act(name: str, *figures: float) -> float:
        order.append(name)
        return figures[order.count(name) - 1]

    taken = in_turns(2, lambda: act("a", 99, 1, 2), lambda: act("b", 99, 3, 4))
    assert taken == [[1, 2], [3, 4]]
    assert order == ["a", "b"] * 3
    assert [quantile([4, 1, 3, 2], share) for share in (0.5, 0.75, 1)] == [2, 3, 4]


def test_a_poll_is_late_by_when_it_arrived_and_one_that_never_came_by_all_that_has_passed() -> None:
    arrived = {1: [100.0, 105.2, 110.1], 2: [100.0]}
    promised = [
        *(fleet.Promise(1, 105.0), fleet.Promise(1, 110.3)),  # a claim may be a little early
        *(fleet.Promise(2, 105.0), fleet.Promise(2, 121.0)),  # the last was not due by then
    ]
    lags, overdue = fleet.lags_behind(promised, arrived, 120.0)
    assert lags == [pytest.approx(0.2), 0.0, 15.0]
    assert overdue == 1


def test_each_second_request_of_a_question_is_for_another_value() -> None:
    asked = {lists.Values(Random(seed), 100_000)["number"] for seed in range(20)}
    assert len(asked) == 20
    for name, address in lists.ADDRESSES.items():
        assert "{" not in address.format_map(lists.Values(Random(1), 1_000)), name


@pytest.mark.django_db(transaction=True)
def test_rows_that_are_written_are_counted_but_for_those_of_one_table() -> None:
    run = make_run("running")
    changed = Run.objects.filter(pk=run.pk)
    assert writes.rows(lambda: Poll.objects.update(failures=0), but_of=Poll) == 0
    assert writes.rows(lambda: changed.update(version=7), but_of=Poll) == 1
    assert writes.rows(lambda: changed.count(), but_of=Poll) == 0


def test_each_section_is_a_module_that_measures() -> None:
    for name in SECTIONS:
        text = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert "\ndef measure(bench: Bench)" in text, name


@pytest.mark.same_on_either
def test_a_section_runs_and_its_results_are_told_and_written(tmp_path: Path) -> None:
    into = tmp_path / "results.json"
    words = ["--only", "poll", "--databases", "sqlite", "--quick", "--json", str(into)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env=environment.bare(),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(into.read_text(encoding="utf-8"))
    (section,) = report["sections"]
    (figure,) = section["results"]
    assert figure["ours"] > 0
    assert figure["floor"] > 0
    assert report["machine"]["cores"] > 0
    assert "polls of runs of 20 steps" in done.stdout


def test_a_table_says_what_was_promised_and_whether_it_was_kept() -> None:
    kept = Figure(what="kept", ours=2, floor=1, floor_is="bare", targets=(ratio(2.5),))
    missed = Figure(what="missed", ours=300, unit="MB", targets=(value(256),))
    grown = Growth(what="grown", by="steps", unit="ms", points=((10, 1.0), (100, 100.0)))
    lines = table([("sqlite", kept), ("sqlite", missed), ("sqlite", grown)]).splitlines()
    assert [line.split("|")[-1].strip() for line in lines[2:4]] == ["yes", "NO"]
    assert "2.00 x" in lines[2]
    assert lines[-1].endswith(": NO")
