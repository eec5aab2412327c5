"""What all runs have cost is kept as a sum, which is always that of the runs."""

import random

import pytest
from django.db.models import Sum

from runs import spending
from runs.models import Run, Spent
from tests.runs.answers import details, entry
from tests.runs.syncing import new_run, take

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]


def summed() -> int:
    return Run.objects.aggregate(total=Sum("cost_micros"))["total"] or 0


def test_the_sum_follows_each_cost_up_and_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "MANY", 20)
    assert spending.total() == 0
    chance = random.Random(5)
    runs = [new_run(run_id=f"run_{number}") for number in range(3)]
    for _ in range(60):
        entries = [
            entry(number, costMicros=chance.choice((None, 0, 5, 700)))
            for number in range(chance.randrange(4))
        ]
        run = chance.choice(runs)
        usage = {"summary": {"costMicros": chance.randrange(900)}} if chance.random() < 0.3 else {}
        take(run, details(id=run.run_id, entries=entries, usage=usage))
        if chance.random() < 0.2:
            spending.fold()
        assert spending.total() == summed()
    assert summed() > 0


def test_many_changes_are_made_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "MANY", 30)
    for micros in range(1, 30):
        spending.add(micros)
    spending.fold()
    assert Spent.objects.count() == 29
    spending.add(-500)
    spending.fold()
    assert Spent.objects.get().micros == spending.total() == sum(range(1, 30)) - 500


def test_what_costs_no_more_than_before_adds_no_row() -> None:
    run = new_run()
    take(run, details(entries=[entry(1, costMicros=500)]))
    assert Spent.objects.count() == 1
    take(run, details([{"id": "step_1", "type": "output"}], entries=[entry(1, costMicros=500)]))
    assert Spent.objects.count() == 1
