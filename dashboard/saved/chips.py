"""The filters that hold, each as a thing that can be taken away."""

from collections.abc import Iterator
from typing import NamedTuple

from dashboard.filters import PERIODS, Asked


class Chip(NamedTuple):
    """`query` asks the same without this filter."""

    kind: str
    value: str
    query: str


def chips(asked: Asked, agent_names: dict[str, str]) -> Iterator[Chip]:
    if asked.q:
        yield Chip("words", f"“{asked.q}”", asked.query(q=""))
    for status in asked.statuses:
        others = [other for other in asked.statuses if other != status]
        yield Chip("status", status, asked.query(status=others))  # type: ignore[arg-type]
    if asked.agent:
        yield Chip("agent", agent_names.get(asked.agent, asked.agent), asked.query(agent=""))
    if asked.label:
        yield Chip("label", asked.label, asked.query(label=""))
    if asked.model:
        yield Chip("model", asked.model, asked.query(model=""))
    time = asked.sorting.time_word.lower()
    if asked.period:
        yield Chip(time, PERIODS[asked.period].words, asked.query(**{"from": ""}))  # type: ignore[arg-type]
    elif asked.from_:
        yield Chip(f"{time} from", asked.from_, asked.query(**{"from": ""}))  # type: ignore[arg-type]
    if asked.to:
        yield Chip(f"{time} to", asked.to, asked.query(to=""))
