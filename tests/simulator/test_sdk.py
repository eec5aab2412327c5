"""The official SDK, written from the true schema, calls every endpoint and reads every answer."""

from typing import Any

import casedev
import pytest
from casedev import Casedev

from runs.simulator.agents import agent_id_for
from runs.simulator.testing import SimulatorServer

REVIEWER = agent_id_for("Contract Reviewer")


def test_create_queues_a_run_and_does_not_start_it(server: SimulatorServer, sdk: Any) -> None:
    created = sdk.agent.v1.run.create(
        agent_id=REVIEWER, prompt="Review the NDA", guidance="Be brief", object_ids=["obj_1"]
    )
    server.advance(3600)
    status = sdk.agent.v1.run.get_status(created.id)
    assert created.status == "queued"
    assert created.object_ids == ["obj_1"]
    assert (status.status, status.started_at, status.duration_ms) == ("queued", None, None)


def test_exec_starts_a_queued_run_once(server: SimulatorServer, sdk: Any) -> None:
    created = sdk.agent.v1.run.create(agent_id=REVIEWER, prompt="Review the NDA for liability")
    started = sdk.agent.v1.run.exec(created.id)
    assert (started.id, started.status) == (created.id, "running")
    details = sdk.agent.v1.run.get_details(created.id)
    assert details.workflow_id == started.workflow_id
    with pytest.raises(casedev.ConflictError):
        sdk.agent.v1.run.exec(created.id)


def test_a_created_run_echoes_what_was_asked(sdk: Any) -> None:
    created = sdk.agent.v1.run.create(
        agent_id=REVIEWER,
        prompt="Look at clause 9",
        guidance="Only clause 9",
        model="casemark/core-large",
    )
    details = sdk.agent.v1.run.get_details(created.id)
    assert details.prompt == "Look at clause 9"
    assert details.guidance == "Only clause 9"
    assert details.model == "casemark/core-large"
    assert details.steps == []
    assert details.usage is None


def test_status_and_details_agree_from_start_to_end(server: SimulatorServer, sdk: Any) -> None:
    run = server.start("nda_review")
    seen = []
    for _ in range(40):
        status = sdk.agent.v1.run.get_status(run.id)
        details = sdk.agent.v1.run.get_details(run.id)
        assert status.status == details.status
        assert status.started_at == details.started_at
        assert status.completed_at == details.completed_at
        seen.append(status.status)
        server.advance(5)
    assert seen[0] == "running"
    assert seen[-1] == "completed"
    assert status.duration_ms == details.usage.duration_ms
    elapsed = details.completed_at - details.started_at
    assert elapsed.total_seconds() * 1000 == status.duration_ms


def test_completed_details_read_as_the_sdk_models_say(server: SimulatorServer, sdk: Any) -> None:
    run = server.start("nda_review")
    server.advance(300)
    details = sdk.agent.v1.run.get_details(run.id)
    assert details.result.output.startswith("# Halvorsen") or "NDA" in details.result.output
    assert details.result.output_object_ids == details.result.final_response.created_object_ids
    assert details.result.final_response.issues
    assert "agent finished" in details.result.logs.runner
    assert {step.type for step in details.steps} == {"thinking", "output", "tool_call"}
    assert all(step.timestamp is not None for step in details.steps)
    assert {entry.kind for entry in details.usage.entries} == {"llm", "api"}
    assert details.usage.tool_calls == sum(step.type == "tool_call" for step in details.steps)
    assert details.provider in ("daytona", "vercel")
    assert details.runtime_state == "ended"


def test_list_filters_by_agent_and_status(server: SimulatorServer, sdk: Any) -> None:
    done = server.start("clause_lookup")
    server.advance(60)
    running = server.start("nda_review")
    other = server.start("privilege_log")
    listed = sdk.agent.v1.run.list(agent_id=REVIEWER)
    assert [item.id for item in listed.runs] == [running.id, done.id]
    assert [item.id for item in sdk.agent.v1.run.list(status="completed").runs] == [done.id]
    assert [item.id for item in sdk.agent.v1.run.list(status="running").runs] == [
        other.id,
        running.id,
    ]
    assert all(len(item.prompt) <= 200 for item in listed.runs)


def test_cancel_ends_a_running_run_where_it_stands(server: SimulatorServer, sdk: Any) -> None:
    run = server.start("research_memo")
    server.advance(60)
    before = sdk.agent.v1.run.get_details(run.id)
    cancelled = sdk.agent.v1.run.cancel(run.id)
    server.advance(3600)
    after = sdk.agent.v1.run.get_details(run.id)
    assert (cancelled.status, cancelled.message) == ("cancelled", None)
    assert after.status == "cancelled"
    assert len(after.steps) == len(before.steps)
    assert after.usage.summary == before.usage.summary
    assert after.result is None


def test_cancel_is_idempotent_and_says_so(server: SimulatorServer, sdk: Any) -> None:
    finished = server.start("deadline_lookup")
    queued = server.world.create("nda_review")
    server.advance(30)
    assert sdk.agent.v1.run.cancel(queued.id).message is None
    again = sdk.agent.v1.run.cancel(queued.id)
    assert (again.status, bool(again.message)) == ("cancelled", True)
    late = sdk.agent.v1.run.cancel(finished.id)
    assert (late.status, bool(late.message)) == ("completed", True)
    assert sdk.agent.v1.run.get_details(queued.id).started_at is None


def test_watch_accepts_several_watchers(server: SimulatorServer, sdk: Any) -> None:
    run = server.start("nda_review")
    for url in ("https://hooks.example/a", "https://hooks.example/b"):
        answer = sdk.agent.v1.run.watch(run.id, callback_url=url)
        assert (answer.ok, answer.callback_url) == (True, url)


def test_events_are_replayed_from_the_last_seen(server: SimulatorServer, sdk: Any) -> None:
    run = server.start("clause_lookup")
    server.advance(60)
    events = list(sdk.agent.v1.run.events(run.id))
    names = [event["type"] for event in events]
    assert names[:2] == ["run.queued", "run.started"]
    assert names[-1] == "run.ended"
    assert names.count("step.created") == len(run.timeline.moments)
    assert events[-1]["run"]["status"] == "completed"
    assert list(sdk.agent.v1.run.events(run.id, last_event_id=4)) == events[4:]


def test_execute_runs_with_an_agent_that_is_never_listed(server: SimulatorServer, sdk: Any) -> None:
    running = sdk.agent.v1.execute.create(prompt="Search for force majeure clauses")
    assert running.status == "running"
    assert sdk.agent.v1.run.get_details(running.run_id).agent_id == running.agent_id
    assert running.agent_id not in {agent.id for agent in sdk.agent.v1.agents.list().agents}
    server.advance(3600)
    with pytest.raises(casedev.NotFoundError):
        sdk.agent.v1.agents.retrieve(running.agent_id)


def test_agents_are_created_changed_and_deleted(server: SimulatorServer, sdk: Any) -> None:
    created = sdk.agent.v1.agents.create(
        name="Lease Reader", instructions="Read leases.", vault_ids=["vault_1"]
    )
    assert created.model == "anthropic/claude-sonnet-4.6"
    server.advance(60)
    changed = sdk.agent.v1.agents.update(created.id, description="Reads leases", vault_ids=None)
    assert (changed.description, changed.vault_ids) == ("Reads leases", None)
    assert changed.updated_at > created.updated_at
    found = sdk.agent.v1.agents.retrieve(created.id)
    assert (found.name, found.instructions, found.is_active) == (
        "Lease Reader",
        "Read leases.",
        True,
    )
    assert sdk.agent.v1.agents.delete(created.id).ok is True
    with pytest.raises(casedev.NotFoundError):
        sdk.agent.v1.agents.retrieve(created.id)
    assert created.id not in {agent.id for agent in sdk.agent.v1.agents.list().agents}


def test_agents_are_listed_in_pages_newest_first(sdk: Any) -> None:
    whole = [agent.id for agent in sdk.agent.v1.agents.list().agents]
    walked: list[str] = []
    cursor = None
    while True:
        page = sdk.agent.v1.agents.list(limit=3, **({"cursor": cursor} if cursor else {}))
        walked += [agent.id for agent in page.agents]
        if not page.has_more:
            break
        cursor = page.next_cursor
    assert walked == whole
    assert whole[-1] == REVIEWER


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"enabled_tools": ["bash"], "disabled_tools": ["read"]}, "mutually exclusive"),
        ({"name": " "}, "name"),
    ],
)
def test_agents_with_wrong_fields_are_refused(
    sdk: Any, fields: dict[str, object], word: str
) -> None:
    wanted = {"name": "A", "instructions": "B"} | fields
    with pytest.raises(casedev.BadRequestError, match=word):
        sdk.agent.v1.agents.create(**wanted)


def test_a_run_that_does_not_exist_is_not_found(sdk: Any) -> None:
    for call in (
        sdk.agent.v1.run.get_details,
        sdk.agent.v1.run.get_status,
        sdk.agent.v1.run.exec,
        sdk.agent.v1.run.cancel,
    ):
        with pytest.raises(casedev.NotFoundError):
            call("run_nobody")


@pytest.mark.parametrize("key", ["sk_live_1", "sk_cas", "nonsense"])
def test_a_key_without_the_prefix_is_refused(server: SimulatorServer, key: str) -> None:
    client = Casedev(api_key=key, base_url=server.url, max_retries=0)
    with pytest.raises(casedev.AuthenticationError, match="AUTH_INVALID"):
        client.agent.v1.run.list()


def test_a_configured_key_is_the_only_one() -> None:
    with SimulatorServer(key="sk_case_mine") as server:
        right = Casedev(api_key="sk_case_mine", base_url=server.url, max_retries=0)
        wrong = Casedev(api_key="sk_case_yours", base_url=server.url, max_retries=0)
        assert right.agent.v1.run.list().runs == []
        with pytest.raises(casedev.AuthenticationError):
            wrong.agent.v1.run.list()


def test_every_script_is_readable_by_the_sdk_at_every_stage(
    server: SimulatorServer, sdk: Any
) -> None:
    from runs.simulator.scripts import SCRIPTS

    runs = [server.start(name) for name in SCRIPTS]
    for _ in range(4):
        for run in runs:
            details = sdk.agent.v1.run.get_details(run.id)
            details.model_validate(details.to_dict())  # strict: wrong types raise
        server.advance(150)
