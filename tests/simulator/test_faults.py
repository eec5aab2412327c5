"""Faults do what they say, as a plain HTTP client sees it."""

import email.utils
import time
from typing import Any

import httpx
import msgspec
import pytest

from runs.simulator.faults import Fault, FaultError
from runs.simulator.run import SimulatedRun
from runs.simulator.testing import SimulatorServer


@pytest.fixture
def run(server: SimulatorServer) -> SimulatedRun:
    run = server.start("nda_review")
    server.advance(300)
    return run


@pytest.fixture
def path(run: SimulatedRun) -> str:
    return f"/agent/v1/run/{run.id}/details"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504])
def test_any_status_is_answered_in_the_shape_of_the_api(
    server: SimulatorServer, http: httpx.Client, path: str, status: int
) -> None:
    server.fault(status=status, message="so it is")
    response = http.get(path)
    assert response.status_code == status
    assert response.json()["error"]["message"] == "so it is"


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("a", lambda body: body["error"]["code"]),
        ("b", lambda body: body["error"]["type"]),
        ("c", lambda body: body["message"]),
    ],
)
def test_errors_take_three_shapes(
    server: SimulatorServer, http: httpx.Client, path: str, shape: str, read: Any
) -> None:
    server.fault(status=429, shape=shape)
    assert read(http.get(path).json())


def test_an_error_can_be_a_page_or_empty(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault(status=502, shape="html", times=1)
    server.fault(status=500, shape="empty", times=1)
    page, empty = http.get(path), http.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1>502" in page.text
    assert (empty.status_code, empty.content) == (500, b"")


@pytest.mark.parametrize(
    ("form", "header", "value"),
    [
        ("seconds", "retry-after", "7"),
        ("garbage", "retry-after", "in a while"),
        ("milliseconds", "retry-after-ms", "7000"),
        ("reset", "x-ratelimit-reset-requests", "7s"),
    ],
)
def test_429_names_the_wait_in_each_known_way(
    server: SimulatorServer, http: httpx.Client, path: str, form: str, header: str, value: str
) -> None:
    server.fault(status=429, retry_after=form, retry_after_seconds=7)
    assert http.get(path).headers[header] == value


def test_429_names_the_wait_as_a_date(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault(status=429, retry_after="date", retry_after_seconds=30)
    moment = email.utils.parsedate_to_datetime(http.get(path).headers["retry-after"])
    assert 25 < moment.timestamp() - time.time() < 31


def test_429_can_be_silent_about_the_wait(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault(status=429)
    headers = http.get(path).headers
    assert not {"retry-after", "retry-after-ms"} & set(headers)


def test_a_fault_strikes_as_often_as_it_should(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault(status=503, times=2)
    assert [http.get(path).status_code for _ in range(4)] == [503, 503, 200, 200]


def test_a_fault_strikes_its_route_only(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault(status=503, route="details")
    server.fault(status=418, route="/agent/v1/agents*")
    assert http.get(path).status_code == 503
    assert http.get(path.replace("details", "status")).status_code == 200
    assert http.get("/agent/v1/agents").status_code == 418


def test_a_fault_strikes_its_run_only(
    server: SimulatorServer, http: httpx.Client, run: SimulatedRun, path: str
) -> None:
    other = server.start("clause_lookup")
    server.fault(status=503, run_id=run.id)
    assert http.get(path).status_code == 503
    assert http.get(f"/agent/v1/run/{other.id}/details").status_code == 200


def test_chance_is_fixed_by_the_seed(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    outcomes = []
    for _ in range(2):
        server.fault(status=503, probability=0.5, seed=9)
        outcomes.append([http.get(path).status_code for _ in range(20)])
        server.world.faults.remove()
    assert outcomes[0] == outcomes[1]
    assert set(outcomes[0]) == {200, 503}


def test_a_slow_answer_waits_before_its_headers(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault("slow", delay=0.5)
    with pytest.raises(httpx.ReadTimeout):
        http.get(path, timeout=0.1)
    begun = time.monotonic()
    assert http.get(path, timeout=10).json()["status"] == "completed"
    assert time.monotonic() - begun >= 0.5


def test_a_slow_body_comes_in_drops(server: SimulatorServer, http: httpx.Client, path: str) -> None:
    server.fault("slow", chunk_delay=0.02, chunk_bytes=4096)
    with http.stream("GET", path, headers={"accept-encoding": "identity"}) as response:
        begun = time.monotonic()
        chunks = list(response.iter_raw())
    assert len(chunks) >= 5
    assert time.monotonic() - begun >= 0.02 * (len(chunks) - 1)


def test_a_body_is_cut_off_in_the_middle(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault("cut", keep=0.5, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(path)
    assert http.get(path).status_code == 200


@pytest.mark.parametrize("extra", [1_000, -1_000])
def test_content_length_can_be_wrong(
    server: SimulatorServer, http: httpx.Client, path: str, extra: int
) -> None:
    whole = len(http.get(path).content)
    server.fault("wrong_length", extra=extra)
    with http.stream("GET", path) as response:
        assert int(response.headers["content-length"]) == whole + extra
        if extra > 0:
            with pytest.raises(httpx.RemoteProtocolError):
                response.read()
        else:
            response.read()
            with pytest.raises(ValueError):
                response.json()


@pytest.mark.parametrize("form", ["truncated", "garbage", "nan", "bad_utf8"])
def test_a_body_can_be_no_json(
    server: SimulatorServer, http: httpx.Client, path: str, form: str
) -> None:
    server.fault("malformed", form=form)
    response = http.get(path)
    assert response.status_code == 200
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        msgspec.json.decode(response.content)


def test_a_body_can_be_json_of_the_wrong_kind(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault("malformed", form="not_object")
    assert isinstance(http.get(path).json(), list)


def test_an_oversized_body_is_valid_and_long(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault("oversized", size=3_000_000)
    response = http.get(path, headers={"accept-encoding": "identity"})
    assert len(response.content) == 3_000_000
    assert response.json()["status"] == "completed"


def test_an_oversized_body_is_small_on_the_wire_for_gzip(
    server: SimulatorServer, http: httpx.Client, path: str
) -> None:
    server.fault("oversized", size=20_000_000)
    with http.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join(response.iter_raw())
    assert len(raw) < 100_000
    assert len(http.get(path).content) == 20_000_000


def test_faults_are_switched_on_and_off_over_http(http: httpx.Client, path: str) -> None:
    added = http.post("/_simulator/faults", json={"route": "details", "status": 500, "times": 3})
    assert added.status_code == 201
    http.get(path)
    (listed,) = http.get("/_simulator/faults").json()["faults"]
    assert (listed["id"], listed["hits"]) == (added.json()["id"], 1)
    assert http.delete("/_simulator/faults", params={"id": listed["id"]}).json() == {"removed": 1}
    assert http.get(path).status_code == 200


@pytest.mark.parametrize("wrong", [{"kind": "earthquake"}, {"statuss": 500}, {"times": "often"}])
def test_a_wrong_fault_is_refused(http: httpx.Client, wrong: dict[str, object]) -> None:
    response = http.post("/_simulator/faults", json=wrong)
    assert response.status_code == 400
    assert response.json()["error"]
    with pytest.raises(FaultError):
        Fault.read(wrong)


def test_a_dropped_connection_leaves_no_error_in_the_log(
    server: SimulatorServer, http: httpx.Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault("cut", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(path)
    assert http.get(path).status_code == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
