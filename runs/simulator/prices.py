"""What a token costs, in micro-dollars per 1,000 tokens (API facts, usage and cost).

Integers only: a cost is rounded down once, per call, and sums are exact from there on.
"""

DEFAULT_MODEL = "anthropic/claude-sonnet-4.6"

_PER_THOUSAND: dict[str, tuple[int, int]] = {
    DEFAULT_MODEL: (3_000, 15_000),
    "anthropic/claude-sonnet-4.5": (3_000, 15_000),
    "anthropic/claude-haiku-3.5": (800, 4_000),
    "casemark/core-large": (2_000, 8_000),
}


def llm_cost_micros(model: str, prompt_tokens: int, completion_tokens: int) -> int:
    per_prompt, per_completion = _PER_THOUSAND.get(model, _PER_THOUSAND[DEFAULT_MODEL])
    return (prompt_tokens * per_prompt + completion_tokens * per_completion) // 1000
