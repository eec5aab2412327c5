"""What time does: an outage of two hours, clocks that jump and differ, a run that is poison (what
poison costs in time is in test_poison.py)."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from runs import claims, leases, poller, stalls
from runs.models import Poll, Run, Upstream
from tests.chaos.rows import Cases
from tests.factories import make_runs
from tests.runs.answers import details, reply, step
from tests.runs.polling import Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]

START = dt.datetime(2026, 11, 2, 15, 0, tzinfo=dt.UTC)
HOUR, YEAR = 3600.0, 365 * 86_400.0
LONGEST_OVERDUE = dt.timedelta(seconds=15)  # three intervals of a running run


class Org:
    """Case.dev on the clock of the test: every run goes on for ever, a step a minute."""

    def __init__(self, count: int) -> None:
        self.is_down = False
        self.asked: Counter[int] = Counter()  # by second of the clock
        self.by_run: Counter[str] = Counter()
        self.poison: set[str] = set()
        self.ended: dict[str, str] = {}  # when, by run
        self.chance = Random(count)
        self.meanwhile: Callable[[str], None] | None = None
        self.api = Api(self._says)
        self.runs = make_runs(count, status="running", now=timezone.now(), version=0)
        poller.schedule_new(self.runs, timezone.now())

    def _says(self, run_id: str) -> Any:
        now = timezone.now()
        minute = now.replace(second=0, microsecond=0).isoformat()
        self.asked[int(now.timestamp())] += 1
        self.by_run[run_id] += 1
        if self.is_down:
            return reply({}, 503)
        if run_id in self.poison:
            return reply(b"<html>")
        if meanwhile := self.meanwhile:
            self.meanwhile = None  # what it asks is answered at once
            meanwhile(run_id)
        steps = [step(1, timestamp=minute)]
        if (ended_at := self.ended.get(run_id)) and self.chance.random() < 0.7:
            # Else as a copy of Case.dev that lags behind says: it goes on.
            told = {"startedAt": ended_at, "completedAt": ended_at, "status": "completed"}
            return details(steps, id=run_id, createdAt=ended_at, **told)
        return details(steps, id=run_id, createdAt=START.isoformat(), startedAt=minute)

    def tick(self) -> None:
        while self.api.poll() >= poller.BATCH:
            pass

    def requests(self) -> int:
        return sum(self.asked.values())


def pass_time(clock: Any, org: Org, seconds: int, pace: float = 1.0) -> None:
    for _ in range(int(seconds / pace)):
        clock.shift(pace)
        org.tick()


@pytest.mark.row("outage")
def test_two_hours_without_case_dev_and_the_return(cases: Cases) -> None:
    for case in cases:
        with time_machine.travel(START, tick=False) as clock:
            _live_through_outage(clock, Org(case.chance.choice((60, 100))))
            Run.objects.all().delete()
            Upstream.objects.all().delete()


def _live_through_outage(clock: Any, org: Org) -> None:
    steady = len(org.runs) / 5
    pass_time(clock, org, 20)
    asked = org.requests()
    org.is_down = True
    pass_time(clock, org, 60)
    assert Upstream.objects.get().state == Upstream.State.DOWN
    opened = org.requests()
    assert opened - asked <= poller.BATCH * 3  # until the first failures were told
    pass_time(clock, org, 7_140, pace=10)
    assert (7_140 / 30) - 3 <= org.requests() - opened <= 7_140 / 30 + 2  # one probe in 30 s
    now = timezone.now()
    polls = Poll.objects.select_related("run")
    assert not [poll for poll in polls if stalls.stall(poll.run, poll, now)]
    org.is_down = False
    org.asked.clear()
    pass_time(clock, org, 60)
    assert max(org.asked.values()) <= 2 * steady, sorted(org.asked.items())
    ok_at = Poll.objects.values_list("last_ok_at", flat=True)
    assert all(moment and moment > now for moment in ok_at)  # all are back


@pytest.mark.row("poison")
def test_a_poison_run_is_put_aside_and_slows_the_others_by_a_tenth_at_most(cases: Cases) -> None:
    for case in cases:
        counts, seconds = [], 80 + case.chance.randrange(10)
        for is_poisoned in (False, True):
            with time_machine.travel(START, tick=False) as clock:
                org = Org(10)
                good = {run.run_id for run in org.runs[2:]}
                if is_poisoned:
                    org.poison = {run.run_id for run in org.runs[:2]}
                pass_time(clock, org, seconds)
                counts.append(sum(org.by_run[run_id] for run_id in good))
                aside = Poll.objects.exclude(quarantined_at=None)
                assert aside.count() == (2 if is_poisoned else 0)
                assert all(poll.sync_failures == 5 for poll in aside)
                Run.objects.all().delete()
                Upstream.objects.all().delete()
        assert counts[1] >= 0.9 * counts[0]


@pytest.mark.row("clocks")
def test_clocks_that_jump_and_workers_that_differ_harm_nothing(cases: Cases) -> None:
    with time_machine.travel(START, tick=False) as clock:
        org = Org(2)
        for case in cases:
            _live_through_jumps(clock, org, case.chance)


def _live_through_jumps(clock: Any, org: Org, chance: Random) -> None:
    """Some jumps and ticks, of two workers whose clocks differ; then all must be as ever."""
    fences = dict(Poll.objects.values_list("pk", "fence"))
    skew = chance.choice((0, 0, 5, -5, 20, HOUR, -HOUR))
    mortal = _mortal()
    ends_at = chance.randrange(4)
    for number in range(chance.randrange(1, 4)):
        if number == ends_at:
            org.ended[mortal.run_id] = timezone.now().isoformat()
        jump = chance.choice((1, 30, -30, HOUR, -HOUR, YEAR, -YEAR, _to_dst(chance)))
        clock.shift(max(jump, dt.datetime(2000, 1, 1, tzinfo=dt.UTC).timestamp() - _seconds()))
        org.tick()
        clock.shift(skew)
        org.tick()
        clock.shift(-skew)
        _see_that_what_ended_stays_so()
    org.ended.setdefault(mortal.run_id, timezone.now().isoformat())
    asked = Counter(org.by_run)
    for number in range(24):
        clock.shift(5)
        claims.mend(timezone.now())
        if number in (7, 19):
            _tick_while_another_asks(clock, org, chance)
        org.tick()
    now = timezone.now()
    for poll in Poll.objects.all():
        assert poll.fence >= fences.get(poll.pk, 0), "I4"
        assert poll.leased_until is None
        if poll.pk in {run.pk for run in org.runs}:
            assert poll.due_at
            assert now - poll.due_at <= LONGEST_OVERDUE, "I5"
    assert all(org.by_run[run.run_id] >= asked[run.run_id] + 2 for run in org.runs), "I5"
    _see_that_what_ended_stays_so()
    assert Run.objects.get(pk=mortal.pk).status == "completed"


def _mortal() -> Run:
    """One more run, which ends."""
    (run,) = make_runs(1, status="running", now=timezone.now(), version=0)
    poller.schedule_new([run], timezone.now())
    return run


def _see_that_what_ended_stays_so() -> None:
    """I3. Only what has an end reported is `end_read_at`."""
    reopened = Run.objects.exclude(end_read_at=None).exclude(status="completed")
    assert not reopened.exists(), f"I3: {reopened.first()} goes on"


def _tick_while_another_asks(clock: Any, org: Org, chance: Random) -> None:
    """I6: while one worker waits for an answer, for as long as a lease may be before it is renewed,
    the other, whose clock differs by as much as it may, does not ask about the same run."""
    skew, open_for = chance.choice((0, 5, -5, leases.SKEW, -leases.SKEW)), 2 * leases.RENEW
    met = []

    def tick_of_the_other(run_id: str) -> None:
        met.append(run_id)
        before = Counter(org.by_run)
        clock.shift(open_for + skew)
        org.tick()
        clock.shift(-skew)
        assert org.by_run[run_id] == before[run_id], f"I6: asked twice at once, {skew} s apart"

    Poll.objects.exclude(due_at=None).update(due_at=timezone.now())
    org.meanwhile = tick_of_the_other
    org.api.poll(1)  # one is asked about in this thread
    assert met


def _seconds() -> float:
    return timezone.now().timestamp()


def _to_dst(chance: Random) -> float:
    """Seconds from now to just before an hour that some place on Earth has twice, or not at all."""
    moment = chance.choice(
        (dt.datetime(2027, 3, 14, 6, 59, 58), dt.datetime(2026, 11, 1, 5, 59, 58))
    )
    return moment.replace(tzinfo=dt.UTC).timestamp() - _seconds()
