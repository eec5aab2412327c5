"""Which `tool_result` step answers which `tool_call` step: a view of the record, never needed.

The API gives no call id. Most calls carry their output themselves; where one does not, the next
result of the same tool answers the last call of that tool that is still open.
"""

from collections.abc import Iterable
from typing import Protocol

CALL, RESULT = "tool_call", "tool_result"


class Pairable(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def tool_name(self) -> str | None: ...
    @property
    def tool_output(self) -> str | None:
        """JSON text; None for an absent key."""


def is_answered(tool_output: str | None) -> bool:
    """Whether a call carries its own output: an absent key and `null` are none."""
    return tool_output is not None and tool_output != "null"


def pair(steps: Iterable[Pairable]) -> dict[int, int]:
    """Position of a call -> position of its result, for `steps` in the API's order.

    A result without a tool name is paired only while a single call is open.
    """
    waiting: dict[str | None, list[int]] = {}
    pairs: dict[int, int] = {}
    for step in steps:
        if step.type == CALL and not is_answered(step.tool_output):
            waiting.setdefault(step.tool_name, []).append(step.position)
        elif step.type == RESULT:
            calls = waiting.get(step.tool_name) or _sole(waiting, step.tool_name)
            if calls:
                pairs[calls.pop()] = step.position
    return pairs


def _sole(waiting: dict[str | None, list[int]], name: str | None) -> list[int]:
    open_calls = [calls for calls in waiting.values() if calls]
    is_sole = name is None and len(open_calls) == 1 and len(open_calls[0]) == 1
    return open_calls[0] if is_sole else []
