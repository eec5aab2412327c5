"""All runs and agents of one simulated organisation, and the acts that change them.

The only writer of run facts. Called from the event loop and, in tests, from another thread;
each act is one short change of plain attributes.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from runs.simulator.agents import Agent, agent_id_for, staff
from runs.simulator.clock import Clock, ManualClock, WallClock
from runs.simulator.errors import ApiError, Shape
from runs.simulator.faults import Fault, FaultBook
from runs.simulator.ledger import run_ledger
from runs.simulator.meter import RequestMeter
from runs.simulator.recorder import ID_ALPHABET, perform
from runs.simulator.run import CANCELLED_AFTER, RunFacts, SimulatedRun
from runs.simulator.script import Performance, Script
from runs.simulator.scripts import SCRIPTS
from runs.simulator.state import StateFile
from runs.simulator.synthetic import NAME as SYNTHETIC
from runs.simulator.synthetic import synthetic
from runs.simulator.variants import Variant, variant

KEPT_RUNS = 1_000  # derived data of this many runs stays in memory; the rest is made again
KEPT_PERFORMANCES = 128
SYNTHETIC_AGENT = "Litigation Support"


@dataclass(kw_only=True)
class SimulatorConfig:
    """How a world behaves. Everything has the documented behaviour as its default."""

    seed: int = 1
    speed: float = 1.0
    key: str | None = None  # None: any bearer with the documented prefix
    variant: Variant = field(default_factory=Variant)
    error_shape: Shape = "a"
    allow_private_callbacks: bool = False
    demo: bool = False
    state: Path | None = None
    requests_per_minute: int = 600  # advertised in headers; enforced only if asked for
    enforce_rate_limit: bool = False


@lru_cache(maxsize=KEPT_PERFORMANCES)
def _play_script(name: str, seed: int) -> Performance:
    return perform(SCRIPTS[name], seed)


class World:
    def __init__(self, config: SimulatorConfig | None = None, clock: Clock | None = None) -> None:
        self.config = config or SimulatorConfig()
        self.clock: Clock = clock or WallClock()
        self.faults = FaultBook()
        self.requests = RequestMeter()
        self.agents: dict[str, Agent] = {agent.id: agent for agent in staff()}
        self.on_watch: Callable[[SimulatedRun, str], None] | None = None
        self._runs: dict[str, SimulatedRun] = {}  # oldest first
        self._warm: OrderedDict[str, None] = OrderedDict()
        self._state = StateFile(self.config.state) if self.config.state else None
        for facts in self._state.load() if self._state else []:
            if facts.script == SYNTHETIC or facts.script in SCRIPTS:
                self._runs[facts.id] = self._run(facts)

    # Reading

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def runs(self) -> list[SimulatedRun]:
        """Every run, oldest first."""
        return list(self._runs.values())

    def run(self, run_id: str) -> SimulatedRun:
        """Raises `ApiError` 404 for a run that this organisation does not have."""
        found = self._runs.get(run_id)
        if found is None:
            raise ApiError(404, f"Run {run_id} not found")
        self._keep_warm(found)
        return found

    def newest_first(self, before: str | None = None) -> Iterator[SimulatedRun]:
        """Runs created before the run `before`; ApiError 400 if there is no such run."""
        if before is not None and before not in self._runs:
            raise ApiError(400, "Invalid cursor")
        passed = before is None
        for run in reversed(self.runs()):
            if passed:
                yield run
            passed = passed or run.id == before

    def agent(self, agent_id: str) -> Agent:
        """Raises `ApiError` 404 for an agent that was never made or was deleted."""
        found = self.agents.get(agent_id)
        if found is not None and found.only_run and self.run(found.only_run).ended(self.now_ms()):
            found.is_active = False
        if found is None or not found.is_active:
            raise ApiError(404, f"Agent {agent_id} not found")
        return found

    def ledger(self, run_id: str) -> dict[str, Any]:
        """Ground truth about one run (see `ledger.run_ledger`)."""
        return run_ledger(self.run(run_id), self.now_ms())

    # Acting

    def create(
        self,
        script: str | None = None,
        *,
        seed: int | None = None,
        speed: float | None = None,
        variant: object = None,
        agent_id: str | None = None,
        prompt: str | None = None,
        guidance: str | None = None,
        model: str | None = None,
        object_ids: list[str] | None = None,
        created_ms: int | None = None,
        **arguments: Any,
    ) -> SimulatedRun:
        """Queue a run. Without `script` one is chosen that fits the agent and the prompt.

        `arguments` are those of the `synthetic` script: steps, step_bytes, seconds, ends.
        """
        number = len(self._runs)
        rng = Random(f"{self.config.seed}:{number}")
        if seed is None:
            seed = rng.randrange(1, 1_000_000)
        name = script or self.fitting_script(agent_id, prompt or "", rng).name
        played = self._play(name, seed, arguments)
        created_ms = self.now_ms() if created_ms is None else created_ms
        if rng.random() < 0.5:
            created_ms -= created_ms % 1000  # half of all runs have whole-second timestamps
        facts = RunFacts(
            id=self._new_run_id(created_ms),
            script=name,
            seed=seed,
            agent_id=agent_id or agent_id_for(_agent_name(name)),
            created_ms=created_ms,
            length_ms=played.length_ms,
            outcome=played.outcome,
            speed=speed or self.config.speed,
            variant=_read_variant(variant, self.config.variant),
            arguments=arguments,
            prompt=played.prompt if prompt is None else prompt,
            guidance=played.guidance if prompt is None else guidance,
            model=model or (None if name == SYNTHETIC else SCRIPTS[name].model),
            object_ids=played.object_ids if object_ids is None else object_ids,
        )
        run = self._runs[facts.id] = self._run(facts)
        if facts.variant.outcome == "cancelled_queued":
            facts.cancelled_ms = created_ms + round(5_000 / facts.speed)
        self._remember(run)
        return run

    def execute(self, run: SimulatedRun, started_ms: int | None = None) -> None:
        """Start a queued run. A run that its variant keeps queued accepts this and stays so."""
        facts = run.facts
        if facts.variant.outcome in ("queued", "cancelled_queued"):
            return
        started_ms = self.now_ms() if started_ms is None else started_ms
        if facts.created_ms % 1000 == 0:
            started_ms -= started_ms % 1000
        facts.started_ms = max(started_ms, facts.created_ms)
        if facts.variant.outcome == "cancelled_running":
            played_ms = facts.length_ms * CANCELLED_AFTER / facts.speed
            facts.cancelled_ms = facts.started_ms + round(played_ms)
        run.changed()
        self._remember(run)

    def start(self, script: str | None = None, **options: Any) -> SimulatedRun:
        """Create a run (see `create`) and start it at the same moment."""
        run = self.create(script, **options)
        self.execute(run, options.get("created_ms"))
        return run

    def cancel(self, run: SimulatedRun, at_ms: int | None = None) -> bool:
        """False if the run had ended before and nothing changed."""
        at_ms = self.now_ms() if at_ms is None else at_ms
        if run.ended(at_ms):
            return False
        if run.status(at_ms) == "queued":
            run.facts.started_ms = None  # also takes back a start that was still to come
        run.facts.cancelled_ms = max(at_ms, run.facts.created_ms)
        run.changed()
        self._remember(run)
        return True

    def watch(self, run: SimulatedRun, callback_url: str) -> None:
        """Call back when the run ends; only a served world has a loop to do so."""
        if self.on_watch is not None:
            self.on_watch(run, callback_url)

    def vary(self, value: object, run: SimulatedRun | None = None) -> Variant:
        """Change the variant of one run, or of the world's future runs."""
        if run is None:
            self.config.variant = _read_variant(value, self.config.variant)
            return self.config.variant
        run.facts.variant = _read_variant(value, run.facts.variant)
        run.changed()
        self._remember(run)
        return run.facts.variant

    def fault(self, kind: str = "status", **options: Any) -> Fault:
        """Add a fault; the keywords are the fields of `faults.Fault`."""
        return self.faults.add(Fault.read({"kind": kind, **options}))

    def advance(self, seconds: float) -> None:
        """Move a manual clock; `TypeError` if time is real here."""
        if not isinstance(self.clock, ManualClock):
            raise TypeError("this simulator runs on real time")
        self.clock.advance(seconds)

    def fitting_script(self, agent_id: str | None, prompt: str, rng: Random) -> Script:
        """The script that shares most words with the prompt, among those of the agent."""
        agent = self.agents.get(agent_id or "")
        ordinary = [script for script in SCRIPTS.values() if script.demo_weight]
        own = [script for script in ordinary if agent and script.agent == agent.name]
        words = {word.strip(".,;:").lower() for word in prompt.split()}

        def likeness(script: Script) -> int:
            return len(words & set(script.title.lower().replace("-", " ").split()))

        candidates = own or ordinary
        best = max(likeness(script) for script in candidates)
        return rng.choice([script for script in candidates if likeness(script) == best])

    # Bookkeeping

    def _run(self, facts: RunFacts) -> SimulatedRun:
        return SimulatedRun(facts, lambda: self._play(facts.script, facts.seed, facts.arguments))

    def _play(self, name: str, seed: int, arguments: dict[str, Any]) -> Performance:
        if name == SYNTHETIC:
            try:
                return synthetic(seed, **arguments)
            except TypeError as error:
                raise ApiError(400, str(error)) from error
        if name not in SCRIPTS:
            raise ApiError(400, f"There is no script {name!r}")
        if arguments:
            raise ApiError(400, f"Script {name!r} takes no arguments: {', '.join(arguments)}")
        return _play_script(name, seed)

    def _new_run_id(self, created_ms: int) -> str:
        """Unique across restarts, since the moment of creation is part of it."""
        rng = Random(f"run:{self.config.seed}:{len(self._runs)}:{created_ms}")
        while True:
            run_id = "run_" + "".join(rng.choices(ID_ALPHABET, k=10))
            if run_id not in self._runs:
                return run_id

    def _keep_warm(self, run: SimulatedRun) -> None:
        self._warm[run.id] = None
        self._warm.move_to_end(run.id)
        while len(self._warm) > KEPT_RUNS:
            coldest, _ = self._warm.popitem(last=False)
            self._runs[coldest].changed()

    def _remember(self, run: SimulatedRun) -> None:
        if self._state is not None:
            self._state.append(run.facts)


def _agent_name(script: str) -> str:
    return SYNTHETIC_AGENT if script == SYNTHETIC else SCRIPTS[script].agent


def _read_variant(value: object, base: Variant) -> Variant:
    return variant(value, base)
