"""The production shape, without its containers: the very commands of Dockerfile and compose file.

On a real PostgreSQL and a real Valkey, with the environment that the compose file gives, and with
code that cannot be written to.
"""

import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dashboard.processes import tie_to_parent
from tests import environment, postgresql
from tests.product import ROOT, free_port, until

GIVEN = {
    "CASEDEV_API_KEY": "sk_case_never_printed",
    "CASEDEV_BASE_URL": "https://casedev.invalid",
    "SECRET_KEY": "s" * 50,
    "POSTGRES_PASSWORD": "unused",
    "PUBLIC_URL": "https://runs.example.org",
}
AS_PROXY = {"Host": "runs.example.org", "X-Forwarded-Proto": "https"}

pytestmark = [pytest.mark.product, pytest.mark.timeout(240)]


class Containers:
    """Runs services of the compose file as processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        self.dockerfile = (ROOT / "Dockerfile").read_text()
        self.port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.own = {
            "DATABASE_URL": postgresql.start(),
            "REDIS_URL": environment.start_valkey(folder),
            "RUNSHEET_DATA_DIR": str(folder / "var"),
            "RUNSHEET_EMBEDDED": "off",
            "PORT": str(self.port),
        }
        self.log = folder / "log"
        path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
        self.outside = environment.bare() | {"PATH": path, "PYTHONPATH": str(ROOT)}

    def environment(self, name: str) -> dict[str, str]:
        """What the compose file gives the service, with our addresses for those of its network."""
        given = {
            variable: re.sub(r"\$\{(\w+):[^}]*\}", lambda m: GIVEN.get(m[1], ""), value)
            for variable, value in self.services[name].get("environment", {}).items()
        }
        return self.outside | given | self.own

    def command(self, name: str) -> list[str]:
        if "command" in self.services[name]:
            return list(self.services[name]["command"])
        found = re.search(r"^CMD (\[.*\])$", self.dockerfile, re.MULTILINE)
        assert found
        return list(yaml.safe_load(found[1]))

    def run(self, command: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def once(self, name: str) -> str:
        done = self.run(self.command(name), self.environment(name))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(name),
                cwd=ROOT,
                env=self.environment(name),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=tie_to_parent(os.getpid()),
            )

    def is_healthy(self, name: str) -> bool:
        """By the service's own health check, else the image's."""
        test = self.services[name].get("healthcheck", {}).get("test")
        if test is None:
            found = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])\n", self.dockerfile, re.DOTALL)
            assert found
            test = ["CMD", *yaml.safe_load(found[1])]
        return self.run(test[1:], self.environment(name)).returncode == 0

    def collect_static(self) -> None:
        found = re.search(r"SECRET_KEY=(\S+) \\\n +python (manage\.py .*)\n", self.dockerfile)
        assert found
        env = self.outside | {
            "SECRET_KEY": found[1],
            "RUNSHEET_DATA_DIR": self.own["RUNSHEET_DATA_DIR"],
            "RUNSHEET_EMBEDDED": "off",
        }
        done = self.run([sys.executable, *found[2].split()], env)
        assert done.returncode == 0, done.stderr

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(
            f"http://127.0.0.1:{self.port}{path}", headers=headers, trust_env=False, timeout=10
        )


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    made = Containers(tmp_path)
    yield made
    for process in made.running.values():
        process.kill()
        process.wait()


def test_the_production_shape_comes_up_and_goes_down(containers: Containers) -> None:
    containers.collect_static()
    data = Path(containers.own["RUNSHEET_DATA_DIR"])
    assert [path.name for path in data.iterdir()] == ["static"]  # no key was made and baked in

    first = containers.once("prepare")
    assert "Sign in as admin with the password" in first
    assert "Sign in as before (admin" in containers.once("prepare")

    for name in ("web", "worker", "beat"):
        containers.start(name)
    until(lambda: containers.is_healthy("web"), 60, "a healthy web service")
    until(lambda: containers.is_healthy("worker"), 60, "a healthy worker")
    until(lambda: containers.get("/readyz").status_code == 200, 30, "readiness")
    see_what_browsers_get(containers)

    # It wrote nothing beside its database, and no secret anywhere.
    assert [path.name for path in data.iterdir()] == ["static"]
    for process in containers.running.values():
        process.send_signal(signal.SIGTERM)
    # uvicorn ends itself by the signal once it has shut down.
    codes = {name: process.wait(30) for name, process in containers.running.items()}
    assert codes == {"web": -signal.SIGTERM, "worker": 0, "beat": 0}
    said = containers.log.read_text()
    assert not [secret for secret in GIVEN.values() if secret in said and "://" not in secret]


def see_what_browsers_get(containers: Containers) -> None:
    plain = containers.get("/", Host="runs.example.org")
    assert (plain.status_code, plain.headers["location"]) == (301, "https://runs.example.org/")
    assert containers.get("/accounts/login/", Host="elsewhere.example").status_code == 400

    login = containers.get("/accounts/login/", **AS_PROXY)
    assert login.status_code == 200
    assert login.headers["set-cookie"].startswith("__Host-csrf=")
    assert "; Secure" in login.headers["set-cookie"]
    assert login.headers["strict-transport-security"].startswith("max-age=31536000")
    assert "server" not in login.headers
    sheet = re.search(r'href="(/static/css/[\w.-]+\.[0-9a-f]{12}\.css)"', login.text)
    assert sheet
    assert "immutable" in containers.get(sheet[1], **AS_PROXY).headers["cache-control"]


def test_only_the_web_port_is_published_and_nothing_runs_as_root() -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert services["web"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    for name in ("prepare", "web", "worker", "beat"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    assert re.search(r"^USER 10001$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
