"""Callbacks reach every watcher when a run ends, are tried again, and never go inward."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import msgspec
import pytest

from runs.simulator.callbacks import check_callback_url
from runs.simulator.errors import ApiError
from runs.simulator.testing import SimulatorServer


class Receiver:
    """A small web server that keeps what it is sent and answers with the codes it was given."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.codes: list[int] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                with receiver._changed:
                    receiver.bodies.append(msgspec.json.decode(raw))
                    code = receiver.codes.pop(0) if receiver.codes else 204
                    receiver._changed.notify_all()
                self.send_response(code)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.bodies) >= count, 10), self.bodies
            return list(self.bodies)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def watch(http: httpx.Client, run_id: str, url: str) -> None:
    assert http.post(f"/agent/v1/run/{run_id}/watch", json={"callbackUrl": url}).is_success


def test_every_watcher_is_called_when_the_run_ends(
    server: SimulatorServer, http: httpx.Client, receiver: Receiver
) -> None:
    run = server.start("clause_lookup")
    watch(http, run.id, receiver.url)
    watch(http, run.id, receiver.url + "/two")
    assert receiver.bodies == []
    server.advance(60)
    first, second = receiver.wait_for(2)
    status = http.get(f"/agent/v1/run/{run.id}/status").json()
    assert first == second
    assert first == {
        "runId": run.id,
        "agentId": run.facts.agent_id,
        "status": "completed",
        "completedAt": status["completedAt"],
    }


def test_a_callback_url_given_at_creation_is_a_watcher(
    server: SimulatorServer, http: httpx.Client, receiver: Receiver
) -> None:
    agent_id = next(iter(server.world.agents))
    wanted = {"agentId": agent_id, "prompt": "x", "callbackUrl": receiver.url}
    run_id = http.post("/agent/v1/run", json=wanted).json()["id"]
    http.post(f"/agent/v1/run/{run_id}/exec")
    http.post(f"/agent/v1/run/{run_id}/cancel")
    (body,) = receiver.wait_for(1)
    assert (body["runId"], body["status"]) == (run_id, "cancelled")


def test_a_failed_run_calls_back_too(
    server: SimulatorServer, http: httpx.Client, receiver: Receiver
) -> None:
    run = server.start("vault_unreachable")
    watch(http, run.id, receiver.url)
    server.advance(120)
    assert receiver.wait_for(1)[0]["status"] == "failed"


def test_watching_a_finished_run_calls_back_at_once(
    server: SimulatorServer, http: httpx.Client, receiver: Receiver
) -> None:
    run = server.start("deadline_lookup")
    server.advance(60)
    watch(http, run.id, receiver.url)
    assert receiver.wait_for(1)[0]["runId"] == run.id


def test_a_callback_is_tried_again_after_a_failure(
    server: SimulatorServer, http: httpx.Client, receiver: Receiver
) -> None:
    receiver.codes = [500, 429]
    run = server.start("deadline_lookup")
    watch(http, run.id, receiver.url)
    server.advance(60)
    assert [body["runId"] for body in receiver.wait_for(3)] == [run.id] * 3


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "not a url",
        "http://hooks.example/a",
        "https://localhost/a",
        "https://127.0.0.1/a",
        "https://10.1.2.3/a",
        "https://192.168.0.9/a",
        "https://169.254.169.254/latest",
        "https://[::1]/a",
        "https://db.internal/a",
    ],
)
def test_urls_that_are_plain_or_point_inward_are_refused(url: object) -> None:
    with pytest.raises(ApiError) as refusal:
        check_callback_url(url, allow_private=False)
    assert refusal.value.status == 400


def test_loopback_is_refused_by_the_api_unless_allowed() -> None:
    with SimulatorServer(manual=True, allow_private_callbacks=False) as server:
        run = server.start("nda_review")
        response = httpx.post(
            f"{server.url}/agent/v1/run/{run.id}/watch",
            json={"callbackUrl": "http://127.0.0.1:9/hook"},
            headers=server.headers,
        )
    assert response.status_code == 400
    assert "https" in response.json()["error"]["message"]
