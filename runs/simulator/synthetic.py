"""Runs of any size for benchmarks: `steps` steps of about `step_bytes` bytes in `seconds`."""

from random import Random
from typing import Literal

from runs.simulator.plain import prose
from runs.simulator.prices import DEFAULT_MODEL, llm_cost_micros
from runs.simulator.recorder import ID_ALPHABET
from runs.simulator.script import (
    LogLine,
    Performance,
    ScriptedEntry,
    ScriptedResult,
    ScriptedStep,
    StepType,
)

NAME = "synthetic"
DISTINCT_TEXTS = 97  # a prime, so that the texts do not fall into step with the step types
STEPS_PER_ENTRY = 4
_CYCLE: tuple[StepType, ...] = ("thinking", "tool_call", "tool_call", "output")
_WORDS = prose(
    """
    the parties shall indemnify defend and hold harmless from any claim arising out of breach of
    confidentiality notwithstanding the foregoing limitation of liability provided that notice is
    given within thirty days exhibit deponent stated record produced privileged
    """
).split(" ")


def _texts(rng: Random, size: int) -> list[str]:
    texts = []
    for _ in range(DISTINCT_TEXTS):
        words = " ".join(rng.choices(_WORDS, k=size // 5 + 4))
        texts.append(words[:size])
    return texts


def _step(position: int, at_ms: int, gap_ms: int, text: str) -> ScriptedStep:
    type_ = _CYCLE[position % len(_CYCLE)]
    if type_ != "tool_call":
        return ScriptedStep(at_ms, type_, content=text)
    command = f'casedev vault search --id vault_bench --query "passage {position}"'
    return ScriptedStep(
        at_ms,
        "tool_call",
        tool_name="bash",
        tool_input={"command": command},
        tool_output=text,
        took_ms=max(1, gap_ms * 3 // 4),
    )


def _entry(rng: Random, position: int, at_ms: int) -> ScriptedEntry:
    identity = "ue_" + "".join(rng.choices(ID_ALPHABET, k=10))
    if position % 3 == 2:
        return ScriptedEntry(at_ms, identity, "api", "vault", "/vault/vault_bench/search", 200, 700)
    asked, written = 3_000 + position * 7 % 40_000, 80 + position % 300
    return ScriptedEntry(
        at_ms,
        identity,
        "llm",
        "llm",
        "/llm/v1/chat/completions",
        200,
        llm_cost_micros(DEFAULT_MODEL, asked, written),
        prompt_tokens=asked,
        completion_tokens=written,
        model=DEFAULT_MODEL,
    )


def synthetic(
    seed: int,
    *,
    steps: int = 200,
    step_bytes: int = 600,
    seconds: float = 60.0,
    ends: Literal["completed", "failed"] = "completed",
) -> Performance:
    """A run without a story. The texts repeat by reference: memory is not `steps * step_bytes`."""
    rng = Random(f"{NAME}:{seed}")
    length_ms = round(seconds * 1000)
    texts = _texts(rng, max(1, step_bytes))
    gap_ms = length_ms // (steps + 1)
    moments = [length_ms * (position + 1) // (steps + 1) for position in range(steps)]
    return Performance(
        prompt=f"Benchmark: {steps} steps of {step_bytes} bytes in {seconds:g} seconds.",
        guidance=None,
        model=DEFAULT_MODEL,
        object_ids=[],
        length_ms=length_ms,
        outcome=ends,
        steps=[
            _step(position, at_ms, gap_ms, texts[position % DISTINCT_TEXTS])
            for position, at_ms in enumerate(moments)
        ],
        entries=[
            _entry(rng, position, at_ms)
            for position, at_ms in enumerate(moments[::STEPS_PER_ENTRY])
        ],
        logs=[LogLine(0, "runner", f"synthetic run of {steps} steps")],
        result=ScriptedResult("# Done\n\nEvery step was played.", [], f"{steps} steps played."),
    )
