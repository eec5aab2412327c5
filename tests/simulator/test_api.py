"""What the SDK does not show: headers, codes, lists under change, events as they happen."""

import gzip
import threading
from typing import Any

import httpx
import pytest

from runs.simulator.agents import agent_id_for
from runs.simulator.testing import SimulatorServer

REVIEWER = agent_id_for("Contract Reviewer")


def test_every_response_tells_the_rate_limit(server: SimulatorServer, http: httpx.Client) -> None:
    run = server.start("nda_review")
    server.fault(status=500, route="status")
    answers = [
        http.get("/agent/v1/run"),
        http.get(f"/agent/v1/run/{run.id}/details"),
        http.get(f"/agent/v1/run/{run.id}/status"),
        http.get("/agent/v1/run/run_nobody/details"),
        httpx.get(f"{server.url}/agent/v1/run"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 500, 404, 401]
    for number, answer in enumerate(answers, 1):
        assert answer.headers["x-ratelimit-limit-requests"] == "600"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(600 - number)
        assert answer.headers["x-ratelimit-reset-requests"] == "60s"
        assert answer.headers["x-ratelimit-tier"] == "tier_2"


def test_the_rate_limit_is_enforced_when_asked() -> None:
    with SimulatorServer(manual=True, requests_per_minute=3, enforce_rate_limit=True) as server:
        codes = [
            httpx.get(f"{server.url}/agent/v1/run", headers=server.headers).status_code
            for _ in range(4)
        ]
        server.advance(60)
        later = httpx.get(f"{server.url}/agent/v1/run", headers=server.headers)
    assert codes == [200, 200, 200, 429]
    assert later.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "code", "word"),
    [
        ("GET", "/agent/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/agent/v1/run/run_x/exec", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/agent/v1/run", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/agent/v1/run?limit=0", 400, "limit"),
        ("GET", "/agent/v1/run?limit=251", 400, "limit"),
        ("GET", "/agent/v1/run?limit=ten", 400, "limit"),
        ("GET", "/agent/v1/run?status=canceled", 400, "status"),
        ("GET", "/agent/v1/run?cursor=run_nobody", 400, "cursor"),
    ],
)
def test_wrong_requests_are_refused_in_json(
    http: httpx.Client, method: str, path: str, code: int, word: str
) -> None:
    response = http.request(method, path)
    assert response.status_code == code
    assert word in response.text
    assert set(response.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"{}", "agentId"),
        (b'{"agentId": "REVIEWER"}', "prompt"),
        (b'{"agentId": "REVIEWER", "prompt": 7}', "prompt"),
        (b'{"agentId": "REVIEWER", "prompt": "x", "objectIds": "obj_1"}', "objectIds"),
        (b'{"agentId": "REVIEWER", "prompt": "x", "guidance": 1}', "guidance"),
        (b'{"agentId": "REVIEWER", "prompt": "x", "callbackUrl": "ftp://a.example"}', "callback"),
    ],
)
def test_create_names_the_field_that_is_wrong(http: httpx.Client, body: bytes, word: str) -> None:
    body = body.replace(b"REVIEWER", REVIEWER.encode())
    response = http.post("/agent/v1/run", content=body)
    assert response.status_code == 400
    assert word in response.json()["error"]["message"]
    assert http.get("/agent/v1/run").json()["runs"] == []


def test_create_wants_an_agent_that_exists(http: httpx.Client) -> None:
    wanted = {"agentId": "agent_nobody", "prompt": "x"}
    assert http.post("/agent/v1/run", json=wanted).status_code == 404


def test_error_shapes_are_switched_over_http(http: httpx.Client) -> None:
    shapes = {}
    for shape in ("a", "b", "c"):
        http.post("/_simulator/variants", json={"errorShape": shape})
        shapes[shape] = http.get("/agent/v1/run/run_nobody/status").json()
    assert shapes["a"]["error"]["code"] == "NOT_FOUND"
    assert shapes["b"]["error"]["type"] == "not_found_error"
    assert shapes["c"] == {"message": "Run run_nobody not found"}


def test_answers_are_gzipped_for_those_who_accept_it(
    server: SimulatorServer, http: httpx.Client
) -> None:
    run = server.start("nda_review")
    server.advance(300)
    path = f"/agent/v1/run/{run.id}/details"
    with http.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join(response.iter_raw())
    plain = http.get(path, headers={"accept-encoding": "identity"})
    assert response.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    small = http.get(f"/agent/v1/run/{run.id}/status", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_the_list_is_walked_once_while_new_runs_are_created(
    server: SimulatorServer, http: httpx.Client
) -> None:
    known = {server.world.create("clause_lookup").id for _ in range(23)}
    walked: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = http.get("/agent/v1/run", params=query).json()
        walked += [item["id"] for item in page["runs"]]
        server.world.create("nda_review")
        server.world.start("privilege_log")
        cursor = page["nextCursor"]
        if not page["hasMore"]:
            break
    assert cursor is None
    assert len(walked) == len(set(walked))
    assert set(walked) == known


def test_a_filtered_list_is_walked_to_its_end(server: SimulatorServer, http: httpx.Client) -> None:
    wanted = [server.start(name).id for name in ("nda_review", "privilege_log") * 6][::2]
    walked, cursor = [], ""
    while True:
        query = f"/agent/v1/run?agentId={REVIEWER}&limit=4" + (cursor and f"&cursor={cursor}")
        page = http.get(query).json()
        walked += [item["id"] for item in page["runs"]]
        if not page["hasMore"]:
            break
        cursor = page["nextCursor"]
    assert walked == wanted[::-1]


def test_the_list_defaults_to_50_and_cuts_prompts(
    server: SimulatorServer, http: httpx.Client
) -> None:
    for _ in range(60):
        server.world.create("clause_lookup", prompt="x" * 500)
    page = http.get("/agent/v1/run").json()
    assert len(page["runs"]) == 50
    assert {len(item["prompt"]) for item in page["runs"]} == {200}
    assert len(http.get("/agent/v1/run?limit=250").json()["runs"]) == 60


def test_events_come_while_they_happen(server: SimulatorServer, http: httpx.Client) -> None:
    run = server.start("clause_lookup")
    frames: list[str] = []
    arrived = threading.Event()

    def listen() -> None:
        with http.stream("GET", f"/agent/v1/run/{run.id}/events", timeout=20) as response:
            for line in response.iter_lines():
                frames.append(line)
                arrived.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert arrived.wait(10)
    assert "event: run.ended" not in frames
    server.advance(60)
    listener.join(10)
    assert not listener.is_alive()
    ids = [int(line[4:]) for line in frames if line.startswith("id: ")]
    assert ids == list(range(1, len(ids) + 1))
    assert "event: run.ended" in frames


def test_events_resume_after_the_id_in_the_header(
    server: SimulatorServer, http: httpx.Client
) -> None:
    run = server.start("deadline_lookup")
    server.advance(30)
    path = f"/agent/v1/run/{run.id}/events"
    whole = http.get(path).text.split("\n\n")
    assert http.get(path, headers={"last-event-id": "3"}).text.split("\n\n") == whole[3:]
    assert http.get(path, headers={"last-event-id": "99"}).text == ""
    assert http.get(f"{path}?lastEventId=x").status_code == 400


def test_a_client_of_the_simulator_chooses_its_script(http: httpx.Client) -> None:
    wishes = {
        "x-simulator-script": "synthetic",
        "x-simulator-variant": "two_step, absent_keys",
        "x-simulator-seed": "5",
        "x-simulator-speed": "2",
    }
    body = {"agentId": REVIEWER, "prompt": "x"}
    run_id = http.post("/agent/v1/run", json=body, headers=wishes).json()["id"]
    ledger = http.get(f"/_simulator/ledger/{run_id}").json()
    assert (ledger["script"], ledger["seed"]) == ("synthetic", 5)
    wrong = http.post("/agent/v1/run", json=body, headers={"x-simulator-variant": "sideways"})
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("prompt", "script"),
    [
        ("Review the NDA in vault vault_xxx for liability issues", "nda_review"),
        ("Search for force majeure clauses in all agreements", "force_majeure_search"),
    ],
)
def test_a_script_is_chosen_that_fits_the_prompt(
    server: SimulatorServer, http: httpx.Client, prompt: str, script: str
) -> None:
    run_id = http.post("/agent/v1/run", json={"agentId": REVIEWER, "prompt": prompt}).json()["id"]
    assert server.world.run(run_id).facts.script == script
