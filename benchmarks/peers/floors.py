"""What is measured beside the programs, on the same cores: a bare static page that holds one row,
and what it takes to decode a run and insert its steps into SQLite, with nothing else done.

`python -m benchmarks.peers.floors page PORT` serves the page until it is ended; `... store FILE`
prints steps a second.
"""

import http.server
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.machine import ROOT
from benchmarks.peers.products import Row
from benchmarks.peers.servers import Server, cores, surroundings
from benchmarks.peers.upstream import PROMPT, Sent
from tests.product import free_port

STEP = Row("#steps > li", "bash")
LISTED = Row("#runs > li", PROMPT)
PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Bare</title>
<ol id="steps"><li><b>bash</b> casedev vault search --query "passage 1" <small>0.7 s</small></ol>
<ol id="runs"><li>{PROMPT} 100 steps of 1500 bytes</ol>
"""
_TABLE = """CREATE TABLE step (run INTEGER, position INTEGER, id TEXT, type TEXT, content TEXT,
  tool TEXT, input TEXT, output TEXT, took INTEGER, at TEXT, PRIMARY KEY (run, position))"""


class _Step(msgspec.Struct, rename="camel"):
    id: str
    type: str
    timestamp: str
    content: str | None = None
    tool_name: str | None = None
    tool_input: msgspec.Raw = msgspec.Raw(b"null")
    tool_output: msgspec.Raw = msgspec.Raw(b"null")
    duration_ms: int | None = None


class _Details(msgspec.Struct):
    steps: list[_Step]


class BarePage:
    """Served by a process of its own, as the programs are."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        words = [sys.executable, "-m", "benchmarks.peers.floors", "page", str(port)]
        self.server = Server(words, folder, {}, ROOT)
        self.server.wait(self.url, 60)

    def end(self) -> None:
        self.server.end()


def store(sent: Sent) -> float:
    """Steps a second, in a process of its own on the servers' cores."""
    numbers = ",".join(map(str, cores()[0]))
    words = [sys.executable, "-m", "benchmarks.peers.floors", "store", str(sent.body), numbers]
    done = subprocess.run(
        words, cwd=ROOT, env=surroundings(), check=True, stdout=subprocess.PIPE, timeout=120
    )
    return float(done.stdout)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_page = self.path == "/"
        body = PAGE.encode() if is_page else b"There is nothing here."
        self.send_response(200 if is_page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def stored(body: bytes, folder: Path) -> float:
    """Steps a second from the bytes of `body` to a commit on disk."""
    connection = sqlite3.connect(folder / "floor.sqlite3")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_TABLE)
    began = time.perf_counter()
    steps = msgspec.json.decode(body, type=_Details).steps
    rows = [
        (
            *(1, place, step.id, step.type, step.content, step.tool_name),
            *(bytes(step.tool_input).decode(), bytes(step.tool_output).decode()),
            *(step.duration_ms, step.timestamp),
        )
        for place, step in enumerate(steps, start=1)
    ]
    with connection:
        connection.executemany(f"INSERT INTO step VALUES ({', '.join('?' * 10)})", rows)
    taken = time.perf_counter() - began
    connection.close()
    return len(rows) / taken


def main() -> None:
    what, given, *core = sys.argv[1:]
    if what == "page":
        http.server.ThreadingHTTPServer(("127.0.0.1", int(given)), _Handler).serve_forever()
    os.sched_setaffinity(0, {int(number) for number in core[0].split(",")})
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(f"{stored(Path(given).read_bytes(), Path(folder))}\n")


if __name__ == "__main__":
    main()
