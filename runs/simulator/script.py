"""What a scripted run consists of, before a start time and a variant are applied.

A script is a function that tells the recorder what the agent does. Performing it with a seed
gives a `Performance`: every step, cost and log line with its offset from the start of the run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from runs.simulator.recorder import Recorder

Outcome = Literal["completed", "failed"]
StepType = Literal["output", "thinking", "tool_call"]
SANDBOX_LIMIT_MS = 30 * 60 * 1000  # API facts, lifecycle: the sandbox lives 30 minutes
NEVER_MS = 10 * 365 * 24 * 3600 * 1000  # a run that no one will ever end


@dataclass(slots=True)
class ScriptedStep:
    """One step, `at_ms` after the start; a tool call is answered `took_ms` later."""

    at_ms: int
    type: StepType
    content: str | None = None
    tool_name: str | None = None
    tool_input: Any = None
    tool_output: Any = None
    took_ms: int = 0


@dataclass(slots=True)
class ScriptedEntry:
    """One line of the usage audit log. Costs are integer micro-dollars."""

    at_ms: int
    id: str
    kind: Literal["llm", "api"]
    service: str
    endpoint: str
    status_code: int
    cost_micros: int
    method: str = "POST"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    metadata: Any = None
    direct: bool = True  # the agent's own model call; False: one made by a service it called


@dataclass(slots=True)
class ScriptedResult:
    """What the run leaves behind. `output` is None for a run that died with only its logs."""

    output: str | None = None
    object_ids: list[str] = field(default_factory=list)
    summary: str | None = None
    issues: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LogLine:
    at_ms: int
    source: Literal["runner", "server"]
    text: str


@dataclass(slots=True)
class Performance:
    """A script played with one seed. Lists are in the order of time."""

    prompt: str
    guidance: str | None
    model: str
    object_ids: list[str]
    length_ms: int
    outcome: Outcome
    steps: list[ScriptedStep]
    entries: list[ScriptedEntry]
    logs: list[LogLine]
    result: ScriptedResult | None
    server_log_key: Literal["runtime", "server"] = "runtime"


@dataclass(frozen=True, slots=True)
class Script:
    """A named script and who plays it. `seconds` is its usual length at speed 1."""

    name: str
    title: str
    agent: str
    seconds: float
    perform: "Callable[[Recorder], None]"
    model: str | None = None  # override of the agent's default, as create allows
    ends: Outcome = "completed"
    demo_weight: int = 2  # how often the demo starts it, against the others; 0 = never by itself


_REGISTRY: dict[str, Script] = {}


def script(
    *,
    title: str,
    agent: str,
    seconds: float,
    model: str | None = None,
    ends: Outcome = "completed",
    demo_weight: int = 2,
) -> "Callable[[Callable[[Recorder], None]], Callable[[Recorder], None]]":
    """Register the decorated function as the script of its own name."""

    def register(perform: "Callable[[Recorder], None]") -> "Callable[[Recorder], None]":
        name = perform.__name__
        if name in _REGISTRY:
            raise ValueError(f"two scripts are called {name}")
        _REGISTRY[name] = Script(name, title, agent, seconds, perform, model, ends, demo_weight)
        return perform

    return register


def registered() -> dict[str, Script]:
    return _REGISTRY
