"""How often a healthy run is called stalled, and how soon one that stands still is.

`python -m benchmarks.false_alarms [RUNS] [SEED]` plays simulated runs one after another, each of a
script, a speed and a way of telling its steps that the seed chooses, on a clock of its own. Every
run is judged by `stalls.stall` at the worst moments there are: just before it starts, just
before each step comes into sight, and just before it ends. What it showed then becomes history of
its agent, so the first runs are judged without any. Needs a database, which it leaves as it was.
"""

import datetime as dt
import os
import random
import sys
from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction

if TYPE_CHECKING:
    from runs.models import Poll, Run

UTC = dt.UTC
TELLING, CALLS = ("live", "at_end"), ("one_step", "two_step")
LONGEST_S = 29 * 60  # a sandbox ends after 30 minutes, so no healthy run takes longer


class Figures(NamedTuple):
    """`alarms`: a cause for each healthy run that was called stalled. `noticed`: minutes after
    their last step until runs that stopped for ever were called so; None: never."""

    runs: int
    moments: int
    alarms: list[str]
    noticed: list[float | None]

    @property
    def rate(self) -> float:
        return len(self.alarms) / self.runs

    def __str__(self) -> str:
        told = [minutes for minutes in self.noticed if minutes is not None]
        late = f"{min(told):.0f} to {max(told):.0f} min" if told else "never"
        return (
            f"{self.runs} healthy runs, {self.moments} moments: {len(self.alarms)} called stalled "
            f"({self.rate:.2%}). {len(told)} of {len(self.noticed)} dead ones noticed, {late} "
            "after their last step."
        )


def measure(runs: int = 1_000, seed: int = 1, dead: int = 20) -> Figures:
    """Needs an open database; changes in it are rolled back."""
    from runs import habits

    with transaction.atomic():
        try:
            habits.forget()
            return _measured(runs, random.Random(seed), dead)
        finally:
            transaction.set_rollback(True)
            habits.forget()


def _measured(count: int, chance: random.Random, dead: int) -> Figures:
    from runs import habits, stalls
    from runs.simulator.world import World

    world, alarms, moments = World(), list[str](), 0
    for _ in range(count):
        played = Played(world, chance)
        causes = []
        for now, run in played.judged():
            stall = stalls.stall(run, played.poll(now), now)
            causes += [stall.cause.value] if stall else []
            moments += 1
        alarms += causes[:1]
        played.remember()
        habits.forget()
    return Figures(count, moments, alarms, [Played(world, chance).noticed() for _ in range(dead)])


class Played:
    """One simulated run that completes, as the record would show it from moment to moment."""

    def __init__(self, world: object, chance: random.Random) -> None:
        from runs.simulator.scripts import SCRIPTS
        from runs.simulator.world import World

        assert isinstance(world, World)
        scripts = [one for one in SCRIPTS.values() if one.ends == "completed" and one.demo_weight]
        script = chance.choice(scripts)
        slowness = min(chance.lognormvariate(0, 0.6), LONGEST_S / (script.seconds * 1.5))
        told = [*chance.choices(TELLING, [4, 1]), chance.choice(CALLS)]
        created = world.now_ms() - 86_400_000
        simulated = world.create(
            script.name,
            seed=chance.randrange(1, 7),
            speed=1 / slowness,
            variant=told,
            created_ms=created,
        )
        world.execute(simulated, created + round(chance.expovariate(1 / 60) * 1000))
        self.simulated, self.line = simulated, simulated.timeline
        self.created_at = _at(simulated.facts.created_ms)
        self.started_at, self.ended_at = _at(self.line.start_ms), _at(self.line.end_ms)

    def judged(self) -> "list[tuple[dt.datetime, Run]]":
        """Moments and what is known of the run in each."""
        from runs.models import Run

        instant = dt.timedelta(milliseconds=1)
        known = [(self.started_at - instant, self._run(Run.Status.QUEUED))]
        for turn_ms in sorted({*self.line.visible_ms, self.line.end_ms}):
            run = self._run(Run.Status.RUNNING, self.line.seen(turn_ms - 1))
            known.append((_at(turn_ms) - instant, run))
        return known

    def _run(self, status: str, seen: int = 0) -> "Run":
        from runs.models import Run

        moments = self.line.moments[:seen]
        return Run(
            agent_id=self.simulated.facts.agent_id,
            status=status,
            created_at=self.created_at,
            first_seen_at=self.created_at,
            started_at=None if status == Run.Status.QUEUED else self.started_at,
            step_count=seen,
            last_step_at=max((_at(one.timestamp_ms) for one in moments), default=None),
        )

    def poll(self, now: dt.datetime) -> "Poll":
        from runs.models import Poll

        return Poll(last_ok_at=now, due_at=now)

    def remember(self) -> None:
        """Its end enters the history of its agent, through the record's own code."""
        from runs import habits
        from runs.models import Run, Step

        run = self._run(Run.Status.COMPLETED, len(self.line.moments))
        run.run_id, run.completed_at = self.simulated.id, self.ended_at
        run.listed_at = run.changed_at = self.created_at
        run.save()
        Step.objects.bulk_create(
            Step(run=run, position=place, timestamp=_at(one.timestamp_ms), changed_version=1)
            for place, one in enumerate(self.line.moments, 1)
        )
        habits.note(run, was_over=False)

    def noticed(self) -> float | None:
        """Minutes after its last step, if that had been the last sign of it for ever."""
        from runs import stalls
        from runs.models import Run

        run = self._run(Run.Status.RUNNING, max(len(self.line.visible_ms) // 2, 1))
        assert run.last_step_at
        for minutes in range(60):
            now = run.last_step_at + dt.timedelta(minutes=minutes)
            if stalls.stall(run, self.poll(now), now):
                return float(minutes)
        return None


def _at(moment_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment_ms / 1000, UTC)


def main() -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    numbers = [int(word) for word in sys.argv[1:]]
    runs, seed = (*numbers, *(1_000, 1)[len(numbers) :])
    figures = measure(runs, seed)
    print(f"seed {seed}: {figures}")
    return 0 if figures.rate < 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
