"""The memory of a world: one JSON line each time the facts of a run change.

Later lines replace earlier ones of the same run. A line that was cut off by a crash is ignored.
"""

from pathlib import Path

import msgspec

from runs.simulator.run import RunFacts


class StateFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[RunFacts]:
        """The facts of every run, in the order of creation."""
        if not self._path.exists():
            return []
        facts: dict[str, RunFacts] = {}
        for line in self._path.read_bytes().splitlines():
            try:
                read = msgspec.json.decode(line, type=RunFacts)
            except msgspec.DecodeError:
                continue
            facts[read.id] = read
        return list(facts.values())

    def append(self, facts: RunFacts) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(facts) + b"\n")
