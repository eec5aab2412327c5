"""What runs have cost is kept as sums, which are always those of the runs."""

import datetime as dt
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from runs import discovery, spending
from runs.models import Run, Spent, SpentByDay, SpentInAll
from tests import recounted
from tests.factories import make_run, make_runs
from tests.runs.answers import client_of, details, entry, reply
from tests.runs.organisation import Org, listed
from tests.runs.polling import in_threads
from tests.runs.syncing import NOW, take

pytestmark = pytest.mark.django_db


def new_run(run_id: str = "run_1") -> Run:
    Org.discover(org_of(listed(1, id=run_id)))
    return Run.objects.get(run_id=run_id)


def org_of(*runs: dict[str, Any]) -> Org:
    org = Org()
    org.spoil = lambda cursor: reply({"runs": list(runs), "hasMore": False})
    return org


# Each write ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_sums_follow_whatever_is_listed_and_answered(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "MANY", 15)
    chance = random.Random(seed)
    spending.fold()
    assert spending.total() == 0
    for _ in range(60):
        run_id = f"run_{chance.randrange(6)}"
        run = Run.objects.filter(run_id=run_id).first()
        if run is None or chance.random() < 0.1:
            org_of(listed(0, **any_fields(chance, run_id))).discover()
        else:
            body = any_details(chance, run_id)
            take(run, body)
            if chance.random() < 0.3:
                take(run, body)
        if chance.random() < 0.3:
            spending.fold()
        recounted.check()
    assert Run.objects.count() == 6
    assert SpentByDay.objects.exists()


def any_fields(chance: random.Random, run_id: str) -> dict[str, Any]:
    created = NOW + dt.timedelta(hours=chance.randrange(-60, 60))
    return {
        "id": run_id,
        "agentId": chance.choice((None, "agent_1", "agent_2")),
        "status": chance.choice((*Run.Status.values, None, "odd")),
        "model": chance.choice((None, "", "model_1")),
        "createdAt": chance.choice((None, created.isoformat())),
    }


def any_details(chance: random.Random, run_id: str) -> bytes:
    entries = [
        entry(number, costMicros=chance.choice((None, 0, 5, 700)))
        for number in range(chance.randrange(4))
    ]
    usage: dict[str, Any] = {"model": chance.choice((None, "", "model_1", "model_2"))}
    if chance.random() < 0.3:
        usage |= {"summary": {"costMicros": chance.choice((None, chance.randrange(900)))}}
    return details(entries=entries, usage=usage, **any_fields(chance, run_id))


def test_what_moves_no_sum_adds_no_row_and_what_stays_in_its_group_adds_one() -> None:
    run = new_run()
    Spent.objects.all().delete()
    same = {"agentId": "agent_x", "createdAt": run.listed_at.isoformat()}
    take(run, details(entries=[entry(1, costMicros=500)], **same))
    Spent.objects.all().delete()
    step = {"id": "step_1", "type": "output"}
    take(run, details([step], entries=[entry(1, costMicros=500)], **same))
    assert not Spent.objects.exists()
    take(run, details([step], entries=[entry(1, costMicros=700)], **same))
    assert Spent.objects.values_list("micros", "runs").get() == (200, 0)
    take(run, details([step], entries=[entry(1, costMicros=700)], **same | {"agentId": "agent_y"}))
    assert set(Spent.objects.values_list("micros", "runs", "agent_id")) == {
        *((200, 0, "agent_x"), (-700, -1, "agent_x"), (700, 1, "agent_y"))
    }


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_added_while_the_list_tells_of_it_counts_once() -> None:
    for number in range(5):
        run_id = f"run_{number}"
        case_dev = client_of(lambda request: reply(details(id=request.url.path.split("/")[-2])))
        acts: list[Callable[[], Any]] = [
            org_of(listed(number)).discover,
            partial(discovery.add, run_id, case_dev),
        ]
        in_threads(2, partial(next_of, acts))
    recounted.check()
    assert Run.objects.count() == 5


# Changes become sums ------------------------------------------------------------------------------


def test_folding_changes_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    spending.fold()
    make_runs(30, agent_id=None)
    monkeypatch.setattr(spending, "MANY", 31)
    spending.fold()
    assert Spent.objects.count() == 30
    make_run("failed", cost_micros=None, created_at=timezone.now() - dt.timedelta(days=3))
    before = recounted.kept(), spending.total()
    spending.fold()
    assert not Spent.objects.exists()
    assert (recounted.kept(), spending.total()) == before
    recounted.check()
    monkeypatch.setattr(spending, "MANY", 1)
    make_runs(3)
    spending.fold()
    recounted.check()
    groups = list(SpentByDay.objects.values_list("day", "agent_id", "model"))
    assert len(groups) == len(set(groups))


def test_a_group_that_lost_its_last_run_has_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "MANY", 1)
    spending.fold()
    run = new_run()
    spending.fold()
    take(run, details(agentId="agent_moved"))
    spending.fold()
    assert SpentByDay.objects.get().agent_id == "agent_moved"


@pytest.mark.django_db(transaction=True)
def test_writers_folds_and_rebuilds_at_once_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "MANY", 5)
    spending.fold()
    acts = [make_thirty, fold_thirty_times, make_thirty, fold_thirty_times, rebuild_five_times]
    in_threads(len(acts), partial(next_of, acts))
    assert Run.objects.count() == 60
    recounted.check()


def next_of(acts: list[Callable[[], Any]]) -> None:
    acts.pop()()


def fold_thirty_times() -> None:
    for _ in range(30):
        spending.fold()


def rebuild_five_times() -> None:
    for _ in range(5):
        spending.rebuild()


def make_thirty() -> None:
    for number in range(30):
        with transaction.atomic():
            make_run(summary_cost_micros=number)


# All anew -----------------------------------------------------------------------------------------


def test_another_time_zone_makes_other_days() -> None:
    spending.fold()
    late = dt.datetime(2026, 11, 20, 20, tzinfo=dt.UTC)
    make_run(created_at=late)
    spending.rebuild()
    assert SpentByDay.objects.get().day == dt.date(2026, 11, 20)
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        make_run(created_at=late)  # not folded yet
        spending.fold()
        assert {day for day, _, _ in recounted.kept()} == {dt.date(2026, 11, 21)}
        recounted.check()
        assert SpentInAll.objects.get().zone == "Asia/Tokyo"
    spending.fold()
    recounted.check()
    assert {day for day, _, _ in recounted.kept()} == {dt.date(2026, 11, 20)}


@pytest.mark.parametrize("at", [dt.datetime.min, dt.datetime.max])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_run_at_the_end_of_all_times_is_counted(
    at: dt.datetime, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_settings(TIME_ZONE=zone):
        monkeypatch.setattr(spending, "MANY", 1)
        spending.fold()
        take(new_run(), details(entries=[entry(1)], createdAt=f"{at.isoformat()}Z"))
        spending.fold()
        folded = SpentByDay.objects.values_list("day", "runs").get()
        spending.rebuild()
        assert SpentByDay.objects.values_list("day", "runs").get() == folded
        assert abs(folded[0] - at.date()) <= dt.timedelta(days=1)
        assert spending.total() == 1_000


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_written_while_all_is_made_anew_counts_once() -> None:
    """Between the end of all changes and the reading of the runs."""
    run = new_run()
    is_amid, is_written = threading.Event(), threading.Event()

    def pause(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith(f'DELETE FROM "{SpentByDay._meta.db_table}"'):
            is_amid.set()
            is_written.wait(0.5)
        return execute(sql, *rest)

    def rebuild() -> None:
        try:
            with connection.execute_wrapper(pause):
                spending.rebuild()
        finally:
            connection.close()

    def write() -> None:
        try:
            is_amid.wait(10)
            take(run, details(entries=[entry(1)]))
            is_written.set()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        for ended in [threads.submit(rebuild), threads.submit(write)]:
            ended.result()
    assert spending.total() == 1_000
    recounted.check()
