"""A world that looks lived in: two weeks of history, and always a few runs under way."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random

from runs.simulator.clock import ManualClock
from runs.simulator.run import SimulatedRun
from runs.simulator.script import Script
from runs.simulator.scripts import SCRIPTS
from runs.simulator.world import World

HISTORY_DAYS = 14
HISTORY_RUNS = 60
BUSINESS_HOURS_UTC = range(13, 23)  # nine to six on the East Coast, to five on the West
WEEKEND_SHARE = 0.12
OLD_SHAPE_SHARE = 0.08  # runs whose costs were never reported
FEWEST_ACTIVE, MOST_ACTIVE = 4, 6
PAUSE_S = (20.0, 45.0)  # between two starts while enough runs are active
HURRY_S = (2.0, 6.0)  # while too few are
START_DELAY_S = (1.0, 5.0)  # from created to started (API facts, lifecycle: timings in docs)
RECENT_RUNS = 100  # more than can start within the longest run
STALLED_SCRIPT, QUEUED_SCRIPT = "privilege_log_stalled", "subpoena_intake"
STALLED_SINCE_S, STALLED_UNTIL_S = 26 * 60, 2 * 3600
QUEUED_SINCE_S = 47 * 60
FAILED_SINCE_S = 9 * 60


@asynccontextmanager
async def directed(world: World) -> AsyncIterator[None]:
    """Keeps the demo going while the app serves; does nothing for other worlds."""
    if not world.config.demo:
        yield
        return
    if not world.runs():
        furnish(world)
    task = asyncio.create_task(_direct(world))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def furnish(world: World) -> None:
    """The state at first start: history, runs in the middle, one queued, one stalled."""
    rng = Random(f"demo:{world.config.seed}")
    now_ms = world.now_ms()
    for created_ms in _history_ms(rng, now_ms):
        _past_run(world, rng, created_ms)
    moments: list[tuple[int, str, bool]] = [
        (now_ms - QUEUED_SINCE_S * 1000, QUEUED_SCRIPT, False),
        (now_ms - STALLED_SINCE_S * 1000, STALLED_SCRIPT, True),
    ]
    failing = [script for script in SCRIPTS.values() if script.ends == "failed"]
    short = min(failing, key=lambda script: script.seconds)
    moments.append((now_ms - FAILED_SINCE_S * 1000, short.name, True))
    for script in rng.sample(_long_scripts(), FEWEST_ACTIVE):
        begun_ms = now_ms - round(script.seconds * rng.uniform(0.15, 0.7) * 1000 / _speed(world))
        moments.append((begun_ms, script.name, True))
    for created_ms, name, started in sorted(moments):
        make = world.start if started else world.create
        make(name, created_ms=created_ms)


def pick(rng: Random, avoid: Collection[str] = ()) -> Script:
    """A script for a new run, none of those under way; heavier ones come more often."""
    ordinary = [
        script for script in SCRIPTS.values() if script.demo_weight and script.name not in avoid
    ]
    return rng.choices(ordinary, [script.demo_weight for script in ordinary])[0]


def active(world: World) -> list[SimulatedRun]:
    """Runs that move: started and not ended, without the one that is there to be stalled."""
    now_ms = world.now_ms()
    return [
        run
        for run in world.runs()[-RECENT_RUNS:]
        if run.facts.started_ms is not None
        and not run.ended(now_ms)
        and run.facts.script != STALLED_SCRIPT
    ]


def next_pause_s(rng: Random, running: int) -> float:
    low, high = HURRY_S if running < FEWEST_ACTIVE else PAUSE_S
    return rng.uniform(low, high)


def _speed(world: World) -> float:
    return world.config.speed


def _long_scripts() -> list[Script]:
    return [script for script in SCRIPTS.values() if script.demo_weight and script.seconds >= 120]


def _history_ms(rng: Random, now_ms: int) -> list[int]:
    """Moments of creation over the last two weeks, dense in business hours, oldest first."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    days = [now - timedelta(days=days) for days in range(1, HISTORY_DAYS + 1)]
    weights = [1.0 if day.weekday() < 5 else WEEKEND_SHARE for day in days]
    moments = []
    for day in rng.choices(days, weights, k=HISTORY_RUNS):
        hour = rng.choice(BUSINESS_HOURS_UTC)
        begin = day.replace(hour=hour, minute=rng.randrange(60), second=rng.randrange(60))
        moment_ms = int(begin.timestamp() * 1000) // 1000 * 1000 + rng.randrange(1000)
        moments.append(min(moment_ms, now_ms - 3600 * 1000))
    return sorted(moments)


def _past_run(world: World, rng: Random, created_ms: int) -> None:
    old = rng.random() < OLD_SHAPE_SHARE
    run = world.create(pick(rng).name, created_ms=created_ms, variant="oldest" if old else None)
    chance = rng.random()
    if chance < 0.04:  # somebody thought better of it before it began
        world.cancel(run, created_ms + rng.randrange(20_000, 400_000))
        return
    world.execute(run, created_ms + rng.randrange(900, 6_000))
    if chance < 0.1:
        played_ms = run.facts.length_ms * rng.uniform(0.2, 0.8) / run.facts.speed
        world.cancel(run, (run.facts.started_ms or created_ms) + round(played_ms))


async def _direct(world: World) -> None:
    rng = Random(f"demo:{world.config.seed}:{len(world.runs())}")
    while True:
        under_way = active(world)
        if len(under_way) < MOST_ACTIVE:
            run = world.create(pick(rng, {run.facts.script for run in under_way}).name)
            delay_ms = rng.uniform(*START_DELAY_S) * 1000 / _speed(world)
            world.execute(run, run.facts.created_ms + round(delay_ms))
        _renew_stalled(world)
        await _sleep(world, next_pause_s(rng, len(under_way) + 1) / _speed(world))


def _renew_stalled(world: World) -> None:
    """Somebody cancels the stalled run after two hours, and another one stalls."""
    now_ms = world.now_ms()
    stalled = [
        run
        for run in world.runs()
        if run.facts.script == STALLED_SCRIPT and run.status(now_ms) == "running"
    ]
    for run in stalled:
        if now_ms - (run.facts.started_ms or now_ms) > STALLED_UNTIL_S * 1000:
            world.cancel(run)
            world.start(STALLED_SCRIPT)


async def _sleep(world: World, seconds: float) -> None:
    until_ms = world.now_ms() + round(seconds * 1000)
    while world.now_ms() < until_ms:
        if isinstance(world.clock, ManualClock):
            await world.clock.pause(until_ms)
        else:
            await asyncio.sleep(max(0.0, (until_ms - world.now_ms()) / 1000))
