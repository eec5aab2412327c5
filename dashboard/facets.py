"""What the list can be filtered by: the agents and models that occur."""

from typing import NamedTuple

from django.db import connection

from runs.agents import names as names_of

MOST = 200  # of each; more would be no menu

# Walks each index from value to value, so it costs a look-up a value and not a row a run;
# DISTINCT would read the whole index. The same SQL on SQLite and PostgreSQL.
OCCURRING = """
WITH RECURSIVE
agents(value) AS (
    SELECT min(agent_id) FROM runs_run
    UNION ALL
    SELECT (SELECT min(agent_id) FROM runs_run WHERE agent_id > agents.value)
    FROM agents WHERE agents.value IS NOT NULL
),
models(value) AS (
    SELECT min(coalesce(usage_model, model)) FROM runs_run
    UNION ALL
    SELECT (
        SELECT min(coalesce(usage_model, model)) FROM runs_run
        WHERE coalesce(usage_model, model) > models.value
    )
    FROM models WHERE models.value IS NOT NULL
)
SELECT * FROM (SELECT 'agent', value FROM agents WHERE value IS NOT NULL LIMIT %(most)s) AS a
UNION ALL
SELECT * FROM (SELECT 'model', value FROM models WHERE value IS NOT NULL LIMIT %(most)s) AS m
"""


STATUSES = """
WITH RECURSIVE found(value) AS (
    SELECT min(status) FROM runs_run
    UNION ALL
    SELECT (SELECT min(status) FROM runs_run WHERE status > found.value)
    FROM found WHERE found.value IS NOT NULL
)
SELECT value FROM found WHERE value IS NOT NULL LIMIT %(most)s
"""


def statuses() -> list[str]:
    """All that occur, up to MOST: also those that no reference names."""
    with connection.cursor() as cursor:
        cursor.execute(STATUSES, {"most": MOST})
        return [value for (value,) in cursor.fetchall()]


class Choice(NamedTuple):
    value: str
    label: str


class Facets(NamedTuple):
    """`are_cut`: more occur than a menu can hold; the address still takes any."""

    agents: list[Choice]
    models: list[Choice]
    agent_names: dict[str, str]
    are_cut: bool


def facets(chosen_agent: str = "", chosen_model: str = "") -> Facets:
    """All agents and models that some run has, and those chosen in any case."""
    with connection.cursor() as cursor:
        cursor.execute(OCCURRING, {"most": MOST + 1})
        occurring: dict[str, list[str]] = {"agent": [], "model": []}
        for kind, value in cursor.fetchall():
            occurring[kind].append(value)
    are_cut = any(len(values) > MOST for values in occurring.values())
    agents = _with(occurring["agent"][:MOST], chosen_agent)
    names = names_of(agents)
    choices = [Choice(agent, names.get(agent, agent)) for agent in agents]
    choices.sort(key=lambda choice: (choice.value not in names, choice.label.casefold()))
    models = [Choice(model, model) for model in _with(occurring["model"][:MOST], chosen_model)]
    return Facets(choices, models, names, are_cut)


def _with(values: list[str], chosen: str) -> list[str]:
    return [*values, chosen] if chosen and chosen not in values else values
