"""What `make bench-peers` does, as far as that can be told without the peers."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from benchmarks.peers import browser as visits
from benchmarks.peers import environments, floors, servers
from benchmarks.peers.environments import Environment, NotInstalled
from benchmarks.peers.floors import BarePage, stored
from benchmarks.peers.products import Row
from benchmarks.peers.report import Report, table
from benchmarks.peers.servers import Server
from benchmarks.peers.spans import spans, trace_id
from benchmarks.peers.upstream import PROMPT, Upstream
from runs.simulator.testing import SimulatorServer
from tests.product import ROOT, descendants, free_port, is_alive

TITLES = {"runsheet": "Runsheet", "phoenix": "Phoenix", "mlflow": "MLflow"}


def test_a_run_becomes_a_root_and_a_span_for_each_step_with_the_same_texts(tmp_path: Path) -> None:
    with SimulatorServer() as case_dev:
        sent = Upstream(case_dev, tmp_path).make(9)
        listed = httpx.get(
            f"{case_dev.url}/agent/v1/run", headers=case_dev.headers, trust_env=False
        ).json()["runs"]
    details = json.loads(sent.body.read_bytes())
    assert [(run["id"], run["status"]) for run in listed] == [(sent.run_id, "completed")]

    root, *children = spans(details)
    assert root.attributes["input.value"] == details["prompt"]
    assert details["prompt"].startswith(PROMPT)
    assert root.parent_id == b""
    assert root.ended - root.began == 9 * 10**9
    assert len(children) == sent.steps == len(details["steps"]) == 9
    assert {child.parent_id for child in children} == {root.span_id}
    assert {child.trace_id for child in children} == {trace_id(sent.run_id)}
    assert len({span.span_id for span in (root, *children)}) == 10
    for child, step in zip(children, details["steps"], strict=True):
        said = child.attributes
        if step["type"] == "tool_call":
            assert (said["openinference.span.kind"], child.name) == ("TOOL", step["toolName"])
            assert json.loads(str(said["input.value"])) == step["toolInput"]
            assert said["output.value"] == step["toolOutput"]
            assert child.ended - child.began == step["durationMs"] * 10**6
        else:
            assert (said["openinference.span.kind"], child.name) == ("LLM", step["type"])
            assert said["output.value"] == step["content"]
    told = [child.attributes.get("llm.token_count.prompt") for child in children]
    asked = [e["promptTokens"] for e in details["usage"]["entries"] if e["kind"] == "llm"]
    assert [count for count in told if count] == asked


def test_what_runs_in_a_peers_environment_needs_nothing_of_ours() -> None:
    """Without site-packages only what Python itself brings can be imported."""
    words = [sys.executable, "-I", "-S", "-c"]
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import benchmarks.peers.spans"
    assert subprocess.run([*words, program], check=False).returncode == 0


def test_the_ratio_is_to_the_best_peer_whichever_way_is_better() -> None:
    report = Report()
    slow = report.line("page", "ms", 1_000)
    rate = report.line("ingest", "steps/s", 1_000, more_is_better=True)
    for line, figures in ((slow, (50, 400, 200)), (rate, (3_000, 150, 600))):
        for name, figure in zip(TITLES, figures, strict=True):
            for each in (figure, figure * 9, figure / 9):
                line.add(name, each)
        line.add("floor", 1)
    assert (slow.ratio, rate.ratio) == (0.25, 5)
    assert slow.median("runsheet") == 50


def test_a_table_says_why_there_is_no_figure_and_counts_none_of_it() -> None:
    report = Report()
    for steps in (1_000, 100):
        line = report.line("page", "ms", steps, floor_is="bare")
        other = report.line("heap", "MB", steps)
        for name, figure in (("runsheet", 50), ("phoenix", 10), ("mlflow", 200), ("floor", 5)):
            line.add(name, figure)
        other.add("runsheet", 2)
        line.lack("phoenix", "no such row within 180 s")
    rows = [
        [cell.strip() for cell in row.split("|")]
        for row in table(report.in_order(), TITLES).splitlines()
    ]
    assert [row[0] for row in rows[2:]] == [
        *("page, 100 steps", "page, 1,000 steps", "heap, 100 steps", "heap, 1,000 steps")
    ]
    unseen = "no such row within 180 s"
    assert rows[2][1:] == ["50 ms", unseen, "200 ms", "5 ms (bare)", "0.25 x", "", ""]
    assert rows[4][1:] == ["2 MB", "-", "-", "", "", "", ""]


def test_a_line_says_whether_ours_is_as_many_times_each_peer_as_was_promised() -> None:
    report = Report()
    times = {"phoenix": 20.0, "mlflow": 10.0}
    for what, ours in (("kept", 4_000), ("missed", 3_999)):
        for steps in (100, 1_000):
            line = report.line(what, "steps/s", steps, times=times, group="ingest")
            for name, figure in zip(TITLES, (ours, 200, 400), strict=True):
                line.add(name, figure)
    unknown = report.line("unknown", "steps/s", times=times)
    unknown.add("runsheet", 4_000)
    unknown.add("mlflow", 400)
    rows = [
        [cell.strip() for cell in row.split("|")]
        for row in table(report.in_order(), TITLES).splitlines()
    ]
    assert [(row[0], row[-1]) for row in rows[2:]] == [
        *(("kept, 100 steps", "yes"), ("missed, 100 steps", "NO")),
        *(("kept, 1,000 steps", "yes"), ("missed, 1,000 steps", "NO")),
        ("unknown", ""),
    ]
    assert rows[2][-2] == "≥ 20 x phoenix, ≥ 10 x mlflow"
    unknown.lack("mlflow", "failed")
    assert unknown.is_met is None


def test_the_floor_of_storing_stores_each_step_once(tmp_path: Path) -> None:
    with SimulatorServer() as case_dev:
        sent = Upstream(case_dev, tmp_path).make(30)
    assert stored(sent.body.read_bytes(), tmp_path) > 0
    rows = sqlite3.connect(tmp_path / "floor.sqlite3").execute(
        "SELECT count(*), count(DISTINCT id), sum(output != 'null') FROM step"
    )
    assert rows.fetchone() == (30, 30, 15)


def test_a_lock_pins_every_package_of_a_peer_by_its_hashes() -> None:
    for name, package in (("phoenix", "arize-phoenix"), ("mlflow", "mlflow")):
        environment = environments.of_peer(name)
        lock = environment.lock.read_text(encoding="utf-8")
        wanted = (ROOT / "benchmarks" / "peers" / f"{name}.in").read_text().strip()
        assert wanted == f"{package}=={environments.version(environment, package)}"
        pinned = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
        assert len(pinned) > 50
        assert [one for one in pinned if "--hash=sha256:" not in one] == []
        assert re.search(r"^opentelemetry-proto==", lock, re.MULTILINE)


def test_an_environment_that_cannot_be_made_says_so_and_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    lock = tmp_path / "lock.txt"
    lock.write_text("nothing-like-this==1.0 --hash=sha256:" + "0" * 64)
    environment = Environment("peer", lock)
    with pytest.raises(NotInstalled, match="could not be installed"):
        environment.make("false")
    assert not environment.is_made


def test_nothing_of_a_server_is_left_when_it_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even of one that shuts its ears and has a child in a session of its own."""
    monkeypatch.setattr(servers, "TO_END", 0.2)
    port = free_port()
    program = (
        "import signal, subprocess, sys\n"
        "from http.server import HTTPServer, BaseHTTPRequestHandler as Handler\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "Handler.do_GET = lambda self: (self.send_response(200), self.end_headers())\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True)\n"
        f"HTTPServer(('127.0.0.1', {port}), Handler).serve_forever()\n"
    )
    server = Server([sys.executable, "-c", program], tmp_path, {})
    try:
        server.wait(f"http://127.0.0.1:{port}/", 60)
        pids = server.pids
        assert len(pids) == 2
        assert server.memory > 1
        assert descendants(server.process.pid) == pids[1:]
    finally:
        server.end()
    assert not any(map(is_alive, pids))


def test_a_page_is_measured_by_its_row_or_said_to_lack_it(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "QUIET", 0.2)
    bare = BarePage(tmp_path)
    try:
        found = visits.visit(browser, bare.url, floors.STEP, [])
        monkeypatch.setattr(visits, "PATIENCE", 0.5)
        with pytest.raises(visits.NotSeen, match=r"no such row within 0\.5 s"):
            visits.visit(browser, bare.url, Row("#steps > li", "no such words"), [])
        with pytest.raises(visits.NotSeen, match="answered with 404"):
            visits.visit(browser, f"{bare.url}gone", floors.STEP, [])
    finally:
        bare.end()
    assert found.seen > 0
    assert found.seen_again > 0
    assert found.kilobytes >= len(floors.PAGE) / 1_000
    assert (found.elements, found.elsewhere) == (11, 0)  # with those that the parser adds
