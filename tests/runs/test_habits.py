"""What is usual for an agent, and what is therefore called stalled."""

import datetime as dt
import logging

import pytest
from django.utils import timezone

from benchmarks import false_alarms
from runs import habits, patience, stalls
from runs.models import Pace, Poll, Run
from runs.patience import Patience
from runs.stalls import StallCause
from tests.factories import make_run, make_runs
from tests.runs.answers import details, step
from tests.runs.polling import Api, due_run

NOW = timezone.now()


def ago(**span: float) -> dt.datetime:
    return NOW - dt.timedelta(**span)


def remembered(agent_id: str, *, silence: float, wait: float = 5.0, count: int = 20) -> None:
    runs = make_runs(count, agent_id=agent_id)
    Pace.objects.bulk_create(
        Pace(
            run=run,
            agent_id=agent_id,
            silence_ms=round(silence * 1000),
            wait_ms=round(wait * 1000),
        )
        for run in runs
    )
    habits.forget()


def silent_for(minutes: float, agent_id: str = "agent_review") -> stalls.Stall | None:
    run = make_run(
        "running", agent_id=agent_id, started_at=ago(minutes=30), step_count=9,
        last_step_at=ago(minutes=minutes), poll_last_ok_at=NOW,
    )  # fmt: skip
    return stalls.stall(run, run.poll, NOW)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], Patience(600.0)),
        ([5.0], Patience(600.0, None, 1)),
        ([900.0], Patience(2700.0, None, 1)),
        ([5.0] * 4 + [2000.0], Patience(3600.0, 2000.0, 5)),
        ([20.0] * 100, Patience(180.0, 20.0, 100)),
        ([100.0] * 95 + [9000.0] * 5, Patience(300.0, 100.0, 100)),
        ([100.0] * 94 + [500.0] * 6, Patience(1500.0, 500.0, 100)),
    ],
)
def test_what_is_long_rests_on_what_was_usual(seen: list[float], expected: Patience) -> None:
    assert patience.of(seen) == expected


def test_the_longest_silence_counts_from_the_start_and_to_the_end() -> None:
    start, end = ago(minutes=10), ago(minutes=1)
    told = [ago(minutes=9), None, ago(minutes=6), ago(minutes=5)]
    assert patience.longest_silence(start, told, end) == dt.timedelta(minutes=4)
    assert patience.longest_silence(None, told, None) == dt.timedelta(minutes=3)
    assert patience.longest_silence(None, [None, start], None) is None


@pytest.mark.django_db
def test_an_agent_that_is_quick_is_called_stalled_sooner() -> None:
    remembered("agent_quick", silence=20)
    assert silent_for(2.9, "agent_quick") is None
    stall = silent_for(4, "agent_quick")
    assert stall == stalls.Stall(
        StallCause.NO_STEP,
        "no new step for 4 min; 95 % of this agent's last 20 runs were never silent for longer "
        "than 20 s",
    )


@pytest.mark.django_db
def test_an_agent_that_is_slow_is_given_its_time() -> None:
    remembered("agent_slow", silence=400)
    assert silent_for(19, "agent_slow") is None
    assert silent_for(21, "agent_slow") is not None


@pytest.mark.django_db
def test_an_agent_without_history_is_measured_by_the_rule_for_all() -> None:
    assert silent_for(9.5, "agent_new") is None
    stall = silent_for(11, "agent_new")
    assert stall is not None
    assert stall.sentence == "no new step for 11 min"


@pytest.mark.django_db
def test_a_queued_run_waits_as_long_as_its_agents_runs_usually_do() -> None:
    remembered("agent_nightly", silence=20, wait=1800)

    def waiting(minutes: int) -> stalls.Stall | None:
        run = make_run("queued", agent_id="agent_nightly", created_at=ago(minutes=minutes))
        return stalls.stall(run, run.poll, NOW)

    assert waiting(50) is None
    stall = waiting(100)
    assert stall is not None
    assert stall.sentence == (
        "queued for 100 min, and nobody started it; 95 % of this agent's last 20 runs did not "
        "wait for longer than 30 min"
    )


@pytest.mark.django_db(transaction=True)
def test_a_run_that_completes_is_remembered_once_and_one_that_fails_never() -> None:
    times = {"createdAt": "2026-11-02T10:00:00Z", "startedAt": "2026-11-02T10:00:08Z"}
    ended = times | {"completedAt": "2026-11-02T10:05:00Z"}
    steps = [step(1, timestamp="2026-11-02T10:01:00Z"), step(2, timestamp="2026-11-02T10:04:00Z")]
    done, failed = due_run(), due_run()
    api = Api()
    api.says[done.run_id] = details(id=done.run_id, status="running", steps=steps[:1], **times)
    api.says[failed.run_id] = details(id=failed.run_id, status="failed", steps=steps, **ended)
    api.poll()
    assert not Pace.objects.exists()
    for summary in ("first", "second"):
        result = {"finalResponse": {"summary": summary}}
        api.says[done.run_id] = details(
            id=done.run_id, status="completed", steps=steps, result=result, **ended
        )
        Poll.objects.update(due_at=ago(seconds=5), leased_until=None)
        api.poll()
    pace = Pace.objects.get()
    assert (pace.run_id, pace.wait_ms, pace.silence_ms, pace.length_ms) == (
        done.pk, 8_000, 180_000, 292_000,
    )  # fmt: skip
    assert pace.agent_id == Run.objects.get(pk=done.pk).agent_id


@pytest.mark.django_db
@pytest.mark.same_on_either
@pytest.mark.timeout(600)  # eight seconds on an idle core
def test_of_a_thousand_healthy_runs_fewer_than_ten_are_called_stalled() -> None:
    figures = false_alarms.measure(runs=1_000, seed=7)
    logging.getLogger(__name__).info("%s", figures)
    assert figures.rate < 0.01, figures
    assert figures.moments > 15_000
    assert None not in figures.noticed, "a run that stopped for ever was never called stalled"
    assert not Pace.objects.exists()


@pytest.mark.django_db
def test_the_habits_of_many_agents_are_read_together(django_assert_num_queries) -> None:
    for number in range(3):
        remembered(f"agent_{number}", silence=100.0 * (number + 1))
    asked = [f"agent_{number}" for number in range(150)] + [None]
    with django_assert_num_queries(2):
        found = habits.of_all(asked)
    with django_assert_num_queries(0):
        assert habits.of_all(asked) == found
        assert habits.of("agent_2") == found["agent_2"]
    assert [found[f"agent_{number}"].silence.usual for number in range(4)] == [100, 200, 300, None]
    assert found[""].silence == Patience(600.0)
