"""`make lint` asks whether what the locks pin is known to be vulnerable."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.product import ROOT, free_port

LOCK = f"example-package==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
KNOWN: dict[str, Any] = {
    "id": "TEST-2026-1",
    "summary": "It does what it should not.",
    "details": "At length.",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "example-package", "ecosystem": "PyPI"},
            "versions": ["1.0"],
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


@contextmanager
def service(answer: dict[str, Any]) -> Iterator[str]:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(folder: Path, address: str) -> "subprocess.CompletedProcess[str]":
    lock = folder / "lock.txt"
    lock.write_text(LOCK)
    return subprocess.run(
        ["sh", str(ROOT / "requirements" / "audit.sh"), str(lock)],
        env=os.environ
        | {"VULNERABILITY_SERVICE": address, "AUDIT_PYTHON": sys.executable, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_known_vulnerability_fails_the_check(tmp_path: Path) -> None:
    with service({"vulns": [KNOWN]}) as address:
        ended = audit(tmp_path, address)
    assert ended.returncode == 1
    assert "TEST-2026-1" in ended.stdout


def test_without_one_it_passes(tmp_path: Path) -> None:
    with service({}) as address:
        ended = audit(tmp_path, address)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "No known vulnerabilities found" in ended.stdout


def test_a_service_that_cannot_be_reached_is_named_in_one_line(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}/v1/query"
    ended = audit(tmp_path, address)
    assert ended.returncode == 0
    assert ended.stdout == f"pip-audit could not reach {address}: not checked\n"
