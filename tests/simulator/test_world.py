"""The demo, the state file, the ledger, the control routes, and the command."""

import ast
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
import pytest

from runs.simulator import demo
from runs.simulator.clock import ManualClock, iso
from runs.simulator.run import RunFacts
from runs.simulator.state import StateFile
from runs.simulator.testing import SimulatorServer
from runs.simulator.world import SimulatorConfig, World

ROOT = Path(__file__).parents[2]


def demo_world(seed: int = 1) -> World:
    world = World(SimulatorConfig(seed=seed, demo=True), ManualClock())
    demo.furnish(world)
    return world


def test_the_demo_begins_with_two_weeks_of_history() -> None:
    world = demo_world()
    now_ms = world.now_ms()
    past = [run for run in world.runs() if now_ms - run.facts.created_ms > 3600 * 1000]
    created = [run.facts.created_ms for run in world.runs()]
    days = {datetime.fromtimestamp(run.facts.created_ms / 1000, UTC) for run in past}
    assert len(past) >= 60
    assert created == sorted(created)
    assert all(now_ms - moment <= 15 * 24 * 3600 * 1000 for moment in created)
    assert sum(day.weekday() >= 5 for day in days) < len(days) / 4
    assert {run.status(now_ms) for run in past} == {"completed", "failed", "cancelled"}


def test_the_demo_begins_with_one_run_of_each_trouble() -> None:
    world = demo_world()
    now_ms = world.now_ms()
    (queued,) = [run for run in world.runs() if run.status(now_ms) == "queued"]
    assert now_ms - queued.facts.created_ms > 40 * 60 * 1000
    (stalled,) = [run for run in world.runs() if run.facts.script == demo.STALLED_SCRIPT]
    assert stalled.status(now_ms) == "running"
    assert now_ms - stalled.timeline.visible_ms[-1] > 20 * 60 * 1000
    recent = [run for run in world.runs() if now_ms - run.facts.created_ms < 15 * 60 * 1000]
    assert "failed" in {run.status(now_ms) for run in recent}
    middle = [run for run in demo.active(world) if run.details(now_ms)["steps"]]
    assert len(middle) >= 3


def test_the_demo_is_the_same_for_the_same_seed() -> None:
    first, again, other = demo_world(3), demo_world(3), demo_world(4)
    assert [run.facts for run in first.runs()] == [run.facts for run in again.runs()]
    assert [run.id for run in first.runs()] != [run.id for run in other.runs()]


def test_the_demo_keeps_four_to_six_runs_active() -> None:
    with SimulatorServer(demo=True, speed=60, seed=2) as server:
        counts: list[int] = []
        give_up_at = time.monotonic() + 20
        while len(counts) < 40 and time.monotonic() < give_up_at:
            counts.append(len(demo.active(server.world)))
            time.sleep(0.1)
        runs = server.world.runs()
    assert max(counts) <= demo.MOST_ACTIVE
    assert sum(count >= demo.FEWEST_ACTIVE - 1 for count in counts) > len(counts) * 0.7
    assert len(runs) > demo.HISTORY_RUNS + 10


def test_the_demo_hurries_only_while_too_few_are_active() -> None:
    rng = Random(1)
    for running in range(8):
        low, high = demo.HURRY_S if running < demo.FEWEST_ACTIVE else demo.PAUSE_S
        assert all(low <= demo.next_pause_s(rng, running) <= high for _ in range(50))


def test_a_stalled_run_is_replaced_after_two_hours() -> None:
    world = demo_world()
    world.advance(2 * 3600)
    demo._renew_stalled(world)
    now_ms = world.now_ms()
    stalled = [run for run in world.runs() if run.facts.script == demo.STALLED_SCRIPT]
    assert [run.status(now_ms) for run in stalled] == ["cancelled", "running"]


def test_a_world_goes_on_from_its_state_file(tmp_path: Path) -> None:
    clock = ManualClock()
    config = SimulatorConfig(state=tmp_path / "deep" / "runs.jsonl")
    before = World(config, clock)
    running = before.start("nda_review", variant="two_step")
    queued = before.create("privilege_log", prompt="A prompt of its own")
    cancelled = before.start("research_memo")
    clock.advance(30)
    before.cancel(cancelled)
    clock.advance(30)
    after = World(config, clock)
    assert [run.id for run in after.runs()] == [running.id, queued.id, cancelled.id]
    for run in before.runs():
        assert after.run(run.id).details(clock.now_ms()) == run.details(clock.now_ms())
    fresh = [after.create("nda_review").id for _ in range(50)]
    assert not set(fresh) & {run.id for run in before.runs()}


def test_run_ids_differ_between_worlds_of_one_seed() -> None:
    early, late = ManualClock(), ManualClock()
    late.advance(60)
    first, second = World(clock=early), World(clock=late)
    ids = {first.create("nda_review").id for _ in range(20)}
    assert not ids & {second.create("nda_review").id for _ in range(20)}
    assert all(run_id.startswith("run_") and len(run_id) == 14 for run_id in ids)


def test_a_broken_line_of_the_state_file_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    facts = RunFacts(
        id="run_a", script="nda_review", seed=1, agent_id="agent_a", created_ms=5, length_ms=9
    )
    StateFile(path).append(facts)
    with path.open("ab") as file:
        file.write(b'{"id":"run_b","scr')
    assert StateFile(path).load() == [facts]


def test_the_ledger_tells_when_each_step_could_first_be_seen(
    server: SimulatorServer, http: httpx.Client
) -> None:
    run = server.start("nda_review")
    first_seen: dict[str, str] = {}
    first_done: dict[str, str] = {}
    while not run.ended(server.world.now_ms()):
        now = iso(server.world.now_ms())
        for step in http.get(f"/agent/v1/run/{run.id}/details").json()["steps"]:
            first_seen.setdefault(step["id"], now)
            if step["type"] != "tool_call" or step["toolOutput"] is not None:
                first_done.setdefault(step["id"], now)
        next_ms = run.next_change_ms(server.world.now_ms()) or server.world.now_ms()
        server.advance((next_ms - server.world.now_ms()) / 1000)
    ledger = http.get(f"/_simulator/ledger/{run.id}").json()
    truth = {step["id"]: step for step in ledger["steps"]}
    assert len(first_seen) > 10
    for identity, moment in first_seen.items():
        assert truth[identity]["visibleAt"] == moment
        assert truth[identity]["completedAt"] == first_done[identity]


def test_the_ledger_totals_are_those_of_the_answer(
    server: SimulatorServer, http: httpx.Client
) -> None:
    runs = [server.start(name) for name in ("nda_review", "research_memo", "deadline_lookup")]
    server.advance(100)
    ledger = http.get("/_simulator/ledger").json()
    assert [entry["id"] for entry in ledger["runs"]] == [run.id for run in runs]
    for entry in ledger["runs"]:
        details = http.get(f"/agent/v1/run/{entry['id']}/details").json()
        assert entry["status"] == details["status"]
        assert entry["totals"]["steps"] == len(details["steps"]) == len(entry["steps"])
        assert entry["totals"]["costMicros"] == details["usage"]["summary"]["costMicros"]
        assert entry["finalTotals"]["costMicros"] >= entry["totals"]["costMicros"]
    short = http.get("/_simulator/ledger?steps=0").json()["runs"]
    assert all("steps" not in entry for entry in short)


def test_runs_are_started_over_http(server: SimulatorServer, http: httpx.Client) -> None:
    wanted = {"script": "synthetic", "steps": 7, "stepBytes": 50, "seconds": 2, "seed": 3}
    started = http.post("/_simulator/runs", json=wanted | {"variant": ["two_step"], "speed": 2})
    assert started.status_code == 201
    assert started.json()["status"] == "running"
    server.advance(1)
    details = http.get(f"/agent/v1/run/{started.json()['id']}/details").json()
    assert details["status"] == "completed"
    assert sum(step["type"] != "tool_result" for step in details["steps"]) == 7
    queued = http.post("/_simulator/runs", json={"script": "nda_review", "start": False})
    assert queued.json()["status"] == "queued"
    many = http.post("/_simulator/runs", json={"script": "nda_review", "count": 5}).json()
    assert len({run["id"] for run in many["runs"]}) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"script": "no_such_script"},
        {"script": "nda_review", "steps": 5},
        {"script": "nda_review", "variant": "sideways"},
        {"scrip": "nda_review"},
    ],
)
def test_a_run_that_cannot_be_started_is_refused(
    http: httpx.Client, wrong: dict[str, object]
) -> None:
    response = http.post("/_simulator/runs", json=wrong)
    assert response.status_code == 400
    assert http.get("/agent/v1/run").json()["runs"] == []


def test_variants_are_switched_for_one_run_or_for_all(
    server: SimulatorServer, http: httpx.Client
) -> None:
    one, other = server.start("nda_review"), server.start("nda_review")
    http.post("/_simulator/variants", json={"variant": "at_end", "runId": one.id})
    server.advance(60)
    assert http.get(f"/agent/v1/run/{one.id}/details").json()["steps"] == []
    assert http.get(f"/agent/v1/run/{other.id}/details").json()["steps"] != []
    http.post("/_simulator/variants", json={"variant": {"usage": "absent"}})
    later = server.start("nda_review")
    assert "usage" not in http.get(f"/agent/v1/run/{later.id}/details").json()
    shown = http.post("/_simulator/variants", json={"variant": "default"}).json()
    assert shown["variant"] == {}


def test_requests_are_counted_by_route_and_run(server: SimulatorServer, http: httpx.Client) -> None:
    run = server.start("nda_review")
    server.advance(60)
    sizes = [len(http.get(f"/agent/v1/run/{run.id}/details").content) for _ in range(3)]
    http.get(f"/agent/v1/run/{run.id}/status")
    http.get("/agent/v1/run")
    counts = http.get("/_simulator/requests").json()
    assert counts["byRoute"] == {"details": 3, "status": 1, "list": 1}
    assert counts["byRun"][run.id] == {
        "total": 4,
        "byRoute": {"details": 3, "status": 1},
        "mostInFlight": 1,
    }
    assert counts["byStatus"] == {"200": 5}
    assert 0 < counts["bytesByRoute"]["details"] < sum(sizes)
    assert http.delete("/_simulator/requests").json()["total"] == 0


def test_requests_at_the_same_time_for_one_run_are_noticed(server: SimulatorServer) -> None:
    run = server.start("nda_review")
    server.fault("slow", delay=0.4)

    def get(_: int) -> int:
        url = f"{server.url}/agent/v1/run/{run.id}/status"
        return httpx.get(url, headers=server.headers).status_code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(get, range(3))) == [200, 200, 200]
    assert server.world.requests.answer()["mostInFlightOfARun"] == 3


def test_a_manual_clock_is_moved_over_http(server: SimulatorServer, http: httpx.Client) -> None:
    before = http.get("/_simulator/clock").json()
    after = http.post("/_simulator/clock", json={"advance": 90}).json()
    assert before["manual"] is True
    assert (
        datetime.fromisoformat(after["now"]) - datetime.fromisoformat(before["now"])
    ).seconds == 90
    assert http.post("/_simulator/clock", json={"advance": -1}).status_code == 400


def test_real_time_cannot_be_moved() -> None:
    with SimulatorServer() as server:
        response = httpx.post(f"{server.url}/_simulator/clock", json={"advance": 5})
        assert response.status_code == 409
        with pytest.raises(TypeError):
            server.advance(5)


def test_real_time_passes_and_speed_shortens_runs() -> None:
    with SimulatorServer(speed=50) as server:
        run = server.start("deadline_lookup")
        give_up_at = time.monotonic() + 10
        while not run.ended(server.world.now_ms()) and time.monotonic() < give_up_at:
            time.sleep(0.02)
        details = httpx.get(
            f"{server.url}/agent/v1/run/{run.id}/details", headers=server.headers
        ).json()
    assert details["status"] == "completed"
    assert details["usage"]["durationMs"] < 200


def test_the_scripts_are_listed(http: httpx.Client) -> None:
    listed = {
        script["name"]: script for script in http.get("/_simulator/scripts").json()["scripts"]
    }
    assert len(listed) >= 18
    assert listed["nda_review"]["agent"] == "Contract Reviewer"
    assert listed["vault_unreachable"]["ends"] == "failed"


def test_the_simulator_knows_nothing_of_the_house_that_it_judges() -> None:
    strangers = {
        name
        for path in (ROOT / "runs" / "simulator").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imported(node)
        if name.split(".")[0] in ("runs", "dashboard", "django")
        and not name.startswith("runs.simulator")
    }
    assert strangers == set()


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_wrong_options_of_the_test_server_are_refused() -> None:
    with pytest.raises(TypeError, match="sped"):
        SimulatorServer(sped=3)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def simulate(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "simulate", *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_and_stops_cleanly(number: signal.Signals) -> None:
    port = free_port()
    process = simulate("--port", str(port), "--speed", "5", "--variant", "at_end")
    url = f"http://127.0.0.1:{port}"
    try:
        answer = wait_for(f"{url}/_simulator/variants")
        assert answer.json()["variant"] == {"steps": "at_end"}
        assert httpx.get(f"{url}/agent/v1/run").status_code == 401
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert err == ""
    assert f"http://127.0.0.1:{port}" in out


def test_the_command_serves_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "api"
    process = simulate("--uds", str(path), "--demo", "--state", str(tmp_path / "runs.jsonl"))
    try:
        transport = httpx.HTTPTransport(uds=str(path), retries=0)
        with httpx.Client(transport=transport, base_url="http://simulator") as client:
            give_up_at = time.monotonic() + 30
            while not path.exists() and time.monotonic() < give_up_at:
                time.sleep(0.1)
            listed = client.get("/agent/v1/run", headers={"authorization": "Bearer sk_case_x"})
        assert len(listed.json()["runs"]) == 50
        assert listed.json()["hasMore"] is True
    finally:
        process.terminate()
        process.communicate(timeout=15)
    assert len(StateFile(tmp_path / "runs.jsonl").load()) >= 60


def test_the_command_says_what_is_wrong() -> None:
    process = simulate("--variant", "sideways")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "unknown variant 'sideways'" in err


def test_the_command_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = simulate("--port", str(port))
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in err
    assert out == ""


def wait_for(url: str) -> httpx.Response:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            return httpx.get(url)
        except httpx.ConnectError:
            assert time.monotonic() < give_up_at, f"{url} did not come up"
            time.sleep(0.1)


def test_what_was_derived_from_cold_runs_is_dropped_and_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runs.simulator.world.KEPT_RUNS", 2)
    world = World(clock=ManualClock())
    runs = [world.start("clause_lookup") for _ in range(4)]
    world.advance(60)
    bodies = [world.run(run.id).body(world.now_ms()) for run in runs]
    assert world.run(runs[3].id).body(world.now_ms()) is bodies[3]
    again = world.run(runs[0].id).body(world.now_ms())
    assert again is not bodies[0]
    assert again.plain() == bodies[0].plain()
