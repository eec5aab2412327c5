"""One performance laid out in wall time: what of it can be seen at a given moment.

Everything here is decided at construction; "now" only selects. That is what makes the answers
of a run a pure function of its facts and the time.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import msgspec

from runs.simulator.clock import iso
from runs.simulator.script import NEVER_MS, Performance, ScriptedEntry, ScriptedStep
from runs.simulator.variants import Variant


@dataclass(slots=True)
class Moment:
    """A step as the API shows it. `done_ms` is None if its tool never answers."""

    step: ScriptedStep
    part: Literal["whole", "call", "result"]
    timestamp_ms: int
    visible_ms: int
    done_ms: int | None
    took_ms: int | None


@dataclass(slots=True, frozen=True)
class Totals:
    """Sums over the usage entries; `own_*` are the agent's direct model calls only."""

    cost_micros: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    own_prompt_tokens: int = 0
    own_completion_tokens: int = 0

    def plus(self, entry: ScriptedEntry) -> "Totals":
        prompt, completion = entry.prompt_tokens or 0, entry.completion_tokens or 0
        return Totals(
            self.cost_micros + entry.cost_micros,
            self.prompt_tokens + prompt,
            self.completion_tokens + completion,
            self.own_prompt_tokens + (prompt if entry.direct else 0),
            self.own_completion_tokens + (completion if entry.direct else 0),
        )


class Timeline:
    """`start_ms` and `end_ms` are wall time; a played second lasts `1 / speed` seconds."""

    def __init__(
        self, played: Performance, variant: Variant, start_ms: int, end_ms: int, speed: float
    ) -> None:
        self.played = played
        self.start_ms = start_ms
        self.end_ms = end_ms
        self._speed = speed
        self._variant = variant
        self.moments = self._moments()
        self.visible_ms = [moment.visible_ms for moment in self.moments]
        self.entries = sorted(
            (entry for entry in played.entries if self.wall(entry.at_ms) <= end_ms),
            key=lambda entry: entry.at_ms,
        )
        self.entry_ms = [self.wall(entry.at_ms) for entry in self.entries]
        self._totals = list(accumulate(self.entries, Totals.plus, initial=Totals()))
        self._tool_calls = list(
            accumulate(int(m.part != "result" and m.step.type == "tool_call") for m in self.moments)
        )

    def wall(self, at_ms: int) -> int:
        """Wall time of an offset from the start of the run."""
        return self.start_ms + round(at_ms / self._speed)

    def seen(self, now_ms: int) -> int:
        """How many steps are visible."""
        return bisect_right(self.visible_ms, now_ms)

    def charged(self, now_ms: int) -> int:
        """How many usage entries are on record."""
        return bisect_right(self.entry_ms, now_ms)

    def totals(self, charged: int) -> Totals:
        return self._totals[charged]

    def tool_calls(self, seen: int) -> int:
        return self._tool_calls[seen - 1] if seen else 0

    def changes_ms(self) -> Iterator[int]:
        """Every moment at which a step or an entry appears or is completed."""
        yield from self.visible_ms
        yield from (moment.done_ms for moment in self.moments if moment.done_ms is not None)
        yield from self.entry_ms

    def logs(self, source: str) -> str:
        return "\n".join(
            f"{iso(self.wall(line.at_ms))} [{source}] {line.text}"
            for line in self.played.logs
            if line.source == source and self.wall(line.at_ms) <= self.end_ms
        )

    def _moments(self) -> list[Moment]:
        expand = self._two_steps if self._variant.tool_calls == "two_step" else self._one_step
        moments = [
            moment
            for step in self.played.steps
            for moment in expand(step)
            if moment.timestamp_ms <= self.end_ms
        ]
        moments.sort(key=lambda moment: moment.timestamp_ms)
        return moments

    def _one_step(self, step: ScriptedStep) -> Iterator[Moment]:
        begun = self.wall(step.at_ms)
        took, done = self._answer(step)
        yield Moment(step, "whole", begun, self._shown(begun), done, took)

    def _two_steps(self, step: ScriptedStep) -> Iterator[Moment]:
        if step.type != "tool_call":
            yield from self._one_step(step)
            return
        begun = self.wall(step.at_ms)
        yield Moment(step, "call", begun, self._shown(begun), self._shown(begun), None)
        took, done = self._answer(step)
        if done is not None:
            ended = begun + (took or 0)
            yield Moment(step, "result", ended, self._shown(ended), done, took)

    def _answer(self, step: ScriptedStep) -> tuple[int | None, int | None]:
        """How long the tool took, and when its answer is there; None if never before the end."""
        begun = self.wall(step.at_ms)
        if step.type != "tool_call":
            return None, self._shown(begun)
        if step.took_ms == NEVER_MS:
            return None, None
        took = max(1, round(step.took_ms / self._speed))
        return (took, self._shown(begun + took)) if begun + took <= self.end_ms else (None, None)

    def _shown(self, moment_ms: int) -> int:
        return self.end_ms if self._variant.steps == "at_end" else moment_ms


def shaped_output(text: str, shape: str) -> Any:
    """A tool's answer in another of the shapes that `toolOutput: any` allows."""
    match shape:
        case "scripted":
            return text
        case "null":
            return None
        case "number":
            return len(text)
        case "array":
            return text.splitlines()
    try:
        value = msgspec.json.decode(text)
    except ValueError:
        value = None
    if shape == "object":
        return value if isinstance(value, dict) else {"output": text}
    return text if value is None else _as_plain_text(value)


def _as_plain_text(value: Any, indent: str = "") -> str:
    if isinstance(value, dict):
        rows = (
            f"{indent}{key}: {_as_plain_text(item, indent + '  ')}" for key, item in value.items()
        )
        return "\n" + "\n".join(rows) if indent else "\n".join(rows)
    if isinstance(value, list):
        return "".join(f"\n{indent}- {_as_plain_text(item, indent + '  ')}" for item in value)
    return str(value)
