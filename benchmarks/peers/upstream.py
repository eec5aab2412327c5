"""Case.dev for all three programs: the simulator, and its answers as files for those that need
them in another language."""

from pathlib import Path

import httpx
import msgspec

from runs.simulator.testing import SimulatorServer

STEP_BYTES = 1_500  # of text a step
HOUR = 3_600
# Runs that ended so long ago are read once and never asked about again.
ENDED_AGO = 2 * HOUR
PROMPT = "Benchmark:"  # as the simulator's prompts begin; lists show it


class Sent(msgspec.Struct, frozen=True):
    """An ended run: its id, how many steps it has, and the answer about it in a file."""

    run_id: str
    steps: int
    body: Path


class Upstream:
    """`folder` is for the files."""

    def __init__(self, simulator: SimulatorServer, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder

    def make(self, steps: int, step_bytes: int = STEP_BYTES) -> Sent:
        """A new ended run of `steps` steps, a second each. From now on the list tells of it."""
        world = self.simulator.world
        began_ms = world.now_ms() - (ENDED_AGO + steps) * 1_000
        run = world.start(
            "synthetic",
            steps=steps,
            step_bytes=step_bytes,
            seconds=steps,
            created_ms=began_ms,
        )
        url = f"{self.simulator.url}/agent/v1/run/{run.id}/details"
        answer = httpx.get(url, headers=self.simulator.headers, timeout=60, trust_env=False)
        body = self.folder / f"{run.id}.json"
        body.write_bytes(answer.raise_for_status().content)
        return Sent(run.id, steps, body)
