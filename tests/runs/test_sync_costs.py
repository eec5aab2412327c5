"""Entries and what they cost."""

import pytest

from runs.models import Revision, Run
from tests.runs.answers import ABSENT, details, entry, put
from tests.runs.syncing import body_of, new_run, notes, take

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return new_run()


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
