"""The rig itself: what it lets pass, and what not."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from tests.chaos import rows
from tests.chaos.__main__ import fault_of
from tests.chaos.checker import NEVER_LATER, Checker
from tests.chaos.rows import ROWS, Cases
from tests.factories import make_run


@pytest.mark.parametrize(
    ("took", "is_starved", "met", "waived"),
    [(9.9, False, 1, 0), (9.9, True, 1, 0), (29, True, 0, 1)],
)
def test_a_limit_is_met_or_waived_on_a_starved_machine(
    monkeypatch: pytest.MonkeyPatch, took: float, is_starved: bool, met: int, waived: int
) -> None:
    monkeypatch.setattr(rows, "is_starved", lambda: is_starved)
    cases = Cases(ROWS["kills"])
    cases.within(10, took, "work went on")
    assert (cases.met, cases.waived) == (met, waived)


@pytest.mark.parametrize(("took", "is_starved"), [(10.1, False), (30.1, True)])
def test_a_limit_is_waived_on_no_calm_machine_and_never_by_far(
    monkeypatch: pytest.MonkeyPatch, took: float, is_starved: bool
) -> None:
    monkeypatch.setattr(rows, "is_starved", lambda: is_starved)
    with pytest.raises(AssertionError, match=r"work went on after .* s, not 10"):
        Cases(ROWS["kills"]).within(10, took, "work went on")


def test_a_row_that_ran_nothing_or_met_none_of_its_limits_fails_the_pass() -> None:
    assert fault_of(0, 0, 0) == "none"
    assert "every limit was waived" in fault_of(3, 0, 6)
    assert fault_of(3, 1, 5) == fault_of(3, 0, 0) == ""


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [-2, 2])
def test_a_run_that_nobody_polls_is_found_while_a_worker_lives(seconds: int) -> None:
    alive = ["a worker"]
    requests = SimpleNamespace(answer=lambda: {"mostInFlightOfARun": 1})
    world = SimpleNamespace(world=SimpleNamespace(requests=requests))
    rig: Any = SimpleNamespace(simulator=world, alive=lambda kind: alive)
    due_at = timezone.now() - NEVER_LATER - dt.timedelta(seconds=seconds)
    make_run("running", run_id="run_1", poll_due_at=due_at)
    checker = Checker(rig)
    checker.look(is_held_back=True)
    if seconds < 0:
        checker.look()
        return
    with pytest.raises(AssertionError, match=r"I5: overdue.*run_1"):
        checker.look()
    alive.clear()
    checker.look()
