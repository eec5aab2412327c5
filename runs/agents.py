"""Names of agents, cached: details of a run carry only its agent's id."""

import datetime as dt
import logging
from collections.abc import Iterable
from itertools import islice

from runs import columns, notices
from runs.casedev.client import Client, is_run_id
from runs.casedev.errors import CaseDevError, Forbidden, NotFound, Rejected, Unreadable
from runs.casedev.payloads import AgentPage, AgentPayload, Notes, read, read_part
from runs.models import Agent, Run

logger = logging.getLogger(__name__)

FRESH_FOR = 600  # seconds
ASKED_AT_ONCE = 20  # agents asked for one by one in a turn
PAGES = 40


def names(agent_ids: Iterable[str | None]) -> dict[str, str]:
    """Agent id -> name, for those whose name is known."""
    wanted = {agent_id for agent_id in agent_ids if agent_id}
    known = Agent.objects.filter(agent_id__in=wanted).exclude(name=None)
    return {agent_id: name for agent_id, name in known.values_list("agent_id", "name") if name}


def refresh(case_dev: Client) -> None:
    """Bring the cache up to date: all that the list holds, now and then; unknown ones at once.

    Names are an ornament: whatever goes wrong here is logged and waits for a later turn.
    """
    now = dt.datetime.now(dt.UTC)
    try:
        if notices.is_first("agents-listed", FRESH_FOR):
            _fetch_list(case_dev, now)
    except CaseDevError as error:
        logger.info("the list of agents could not be read: %s", error.sentence)
    for agent_id in _unknown_ids():
        try:
            _fetch_one(case_dev, agent_id, now)
        except CaseDevError as error:
            logger.info("agent %s could not be read: %s", agent_id, error.sentence)
            return


def _fetch_list(case_dev: Client, now: dt.datetime) -> None:
    cursor, visited = "", set[str]()
    for _ in range(PAGES):
        visited.add(cursor)
        notes: Notes = []
        page = read(case_dev.agents(cursor).body, AgentPage, notes)
        for raw in page.agents or []:
            agent = read_part(raw, AgentPayload, "agents", notes)
            if isinstance(agent.id, str) and is_run_id(agent.id):
                _keep(agent.id, agent, now)
        following = page.next_cursor if page.has_more is not False else None
        if not isinstance(following, str) or not following or following in visited:
            return
        cursor = following


def _unknown_ids() -> list[str]:
    """Ids that runs name and the cache does not: agents of `execute` are in no list."""
    known = Agent.objects.values("agent_id")
    ids = Run.objects.exclude(agent_id=None).exclude(agent_id__in=known)
    found = ids.order_by("agent_id").values_list("agent_id", flat=True).distinct()
    askable = (agent_id for agent_id in found if agent_id and is_run_id(agent_id))
    return list(islice(askable, ASKED_AT_ONCE))


def _fetch_one(case_dev: Client, agent_id: str, now: dt.datetime) -> None:
    notes: Notes = []
    try:
        agent = read(case_dev.agent(agent_id).body, AgentPayload, notes)
    except (NotFound, Forbidden, Rejected, Unreadable) as error:
        # Remembered without a name, so that it is not asked for again and again.
        logger.info("agent %s has no name for us: %s", agent_id, error.sentence)
        agent = AgentPayload()
    _keep(agent_id, agent, now)


def _keep(agent_id: str, agent: AgentPayload, now: dt.datetime) -> None:
    Agent.objects.update_or_create(
        agent_id=agent_id,
        defaults=columns.of_agent(agent) | {"fetched_at": now},
    )
