"""The three programs: how each is started, how runs come into it, and where they are seen."""

import json
import re
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from benchmarks.machine import ROOT, machine
from benchmarks.peers import environments
from benchmarks.peers.environments import Environment
from benchmarks.peers.servers import Server, surroundings, until
from benchmarks.peers.spans import trace_id
from benchmarks.peers.upstream import PROMPT, Sent
from tests.product import PASSWORD, free_port

STARTS = 600.0  # seconds at most until the first page
READABLE = 900.0  # until the last step of a run can be read
KEY = "sk_case_bench"
OURS = ("dashboard", "runs", "static", "templates")  # folders of the tree that run


class Row(msgspec.Struct, frozen=True):
    """What must be seen in a page: an element that `selector` finds and that holds `words`."""

    selector: str
    words: str = ""


class Product(ABC):
    """`start` may be called again after `end`, each time with a new folder for its data."""

    name = ""
    title = ""
    step: Row
    listed: Row

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.url = ""
        self.server: Server | None = None
        self.cookies: list[dict[str, str]] = []

    def start(self, folder: Path) -> float:
        """Seconds from the command to the first page that was answered."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        words, settings, cwd = self._command(port, folder)
        began = time.perf_counter()
        self.server = Server(words, folder, settings, cwd)
        self.server.wait(self.url + self._first_page(), STARTS)
        return time.perf_counter() - began

    def end(self) -> None:
        if self.server is not None:
            self.server.end()
            self.server = None

    @property
    def memory(self) -> float:
        assert self.server is not None
        return self.server.memory

    @property
    @abstractmethod
    def version(self) -> str: ...

    @property
    def installed(self) -> float:
        """Megabytes."""
        return environments.size(self.environment.folder) / 10**6

    @abstractmethod
    def sign_in(self) -> None:
        """Once after each start."""

    @abstractmethod
    def take(self, sent: Sent) -> float:
        """Have the run stored; steps a second from when it was sent until all could be read."""

    @abstractmethod
    def take_many(self, sent: Sequence[Sent]) -> None: ...

    @abstractmethod
    def page(self, sent: Sent) -> str: ...

    @property
    @abstractmethod
    def list_page(self) -> str: ...

    @abstractmethod
    def _command(
        self, port: int, folder: Path
    ) -> tuple[Sequence[str], dict[str, str], Path | None]: ...

    def _first_page(self) -> str:
        return "/"


class Runsheet(Product):
    name = "runsheet"
    title = "Runsheet"
    step = Row("#steps > li.tool summary")
    listed = Row("#runs a, main table a, main li a", PROMPT)

    def __init__(self, environment: Environment, case_dev: str) -> None:
        super().__init__(environment)
        self.case_dev = case_dev
        self.client = httpx.Client()
        self.commit = str(machine()["commit"])

    @property
    def version(self) -> str:
        return self.commit

    @property
    def installed(self) -> float:
        folders = [self.environment.folder, *(ROOT / name for name in OURS)]
        return environments.size(*folders) / 10**6

    def _command(
        self, port: int, folder: Path
    ) -> tuple[Sequence[str], dict[str, str], Path | None]:
        settings = {
            "RUNSHEET_DATA_DIR": str(folder / "var"),
            "PORT": str(port),
            "DJANGO_SUPERUSER_USERNAME": "ada",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "CASEDEV_BASE_URL": self.case_dev,
            "CASEDEV_API_KEY": KEY,
        }
        return [str(self.environment.program("python")), "manage.py", "up"], settings, ROOT

    def _first_page(self) -> str:
        return "/accounts/login/"

    def sign_in(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=120, trust_env=False)
        self._send("/accounts/login/", login="ada", password=PASSWORD)
        self.cookies = [
            {"name": cookie.name, "value": cookie.value or "", "url": self.url}
            for cookie in self.client.cookies.jar
        ]

    def _send(self, path: str, **fields: str) -> None:
        """Fill in the form of a page, as a browser does."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.client.get(path).text)
        assert token, f"{path} has no form"
        answer = self.client.post(path, data=fields | {"csrfmiddlewaretoken": token[1]})
        assert answer.status_code == 302, f"{path} answered {answer.status_code}"

    def knows(self, run_id: str) -> bool:
        return self.client.get(f"/runs/{run_id}/").status_code == 200

    def _has(self, sent: Sent) -> bool:
        return self.client.get(f"/runs/{sent.run_id}/steps/{sent.steps}/").status_code == 200

    def take(self, sent: Sent) -> float:
        """Added by its id, as a person does, and read by the poller at once."""
        began = time.perf_counter()
        self._send("/runs/add/", run=sent.run_id)
        until(lambda: self._has(sent), READABLE, "our own last step")
        return sent.steps / (time.perf_counter() - began)

    def take_many(self, sent: Sequence[Sent]) -> None:
        """Nothing is done for it: the poller finds runs in Case.dev's list by itself."""
        for one in sent:
            until(lambda one=one: self._has(one), READABLE, "runs of the list")  # type: ignore[misc]

    def page(self, sent: Sent) -> str:
        return f"{self.url}/runs/{sent.run_id}/"

    @property
    def list_page(self) -> str:
        return f"{self.url}/runs/"


class Peer(Product):
    """Takes OTLP over HTTP, sent from its own environment."""

    package = ""
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    @property
    def version(self) -> str:
        return environments.version(self.environment, self.package)

    def sign_in(self) -> None:
        """Peers ask for nothing."""

    def take(self, sent: Sent) -> float:
        with self._loading([sent]) as lines:
            line = next(lines)
            until(lambda: self._spans(sent) > sent.steps, READABLE, f"spans in {self.title}")
            return sent.steps / (time.monotonic() - line["began"])

    def take_many(self, sent: Sequence[Sent]) -> None:
        last = sent[-1]
        with self._loading(sent) as lines:
            for _ in lines:
                pass
            until(lambda: self._spans(last) > last.steps, READABLE, f"spans in {self.title}")

    @contextmanager
    def _loading(self, sent: Sequence[Sent]) -> Iterator[Iterator[dict[str, float]]]:
        """What the loader says of each run, as soon as the peer has accepted it."""
        words = [str(self.environment.program("python")), "-m", "benchmarks.peers.load", self.url]
        words += [json.dumps(self.headers), *(str(one.body) for one in sent)]
        loader = subprocess.Popen(words, cwd=ROOT, env=surroundings(), stdout=subprocess.PIPE)
        assert loader.stdout is not None
        try:
            yield map(json.loads, loader.stdout)
            if loader.wait(READABLE):
                raise RuntimeError(f"{self.title} did not take what was sent")
        finally:
            loader.kill()
            loader.wait()

    @abstractmethod
    def _spans(self, sent: Sent) -> int:
        """How many spans of the run can be read by now."""


class Phoenix(Peer):
    name = "phoenix"
    title = "Phoenix"
    package = "arize-phoenix"
    step = Row("[data-testid=trace-tree] .span-node__heading", "bash")
    listed = Row("tbody td", PROMPT)
    project = ""

    def _command(
        self, port: int, folder: Path
    ) -> tuple[Sequence[str], dict[str, str], Path | None]:
        settings = {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            # It listens on every address whatever the host is set to; nobody speaks to it here.
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        return [str(self.environment.program("phoenix")), "serve"], settings, None

    def _spans(self, sent: Sent) -> int:
        trace = trace_id(sent.run_id).hex()
        question = f'{{ getTraceByOtelId(traceId: "{trace}") {{ numSpans }} }}'
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": question}, timeout=60, trust_env=False
        )
        found = answer.raise_for_status().json()["data"]["getTraceByOtelId"]
        return found["numSpans"] if found else 0

    def _project(self) -> str:
        answer = httpx.get(f"{self.url}/v1/projects", timeout=60, trust_env=False)
        project: str = answer.raise_for_status().json()["data"][0]["id"]
        return project

    def page(self, sent: Sent) -> str:
        return f"{self.url}/projects/{self._project()}/traces/{trace_id(sent.run_id).hex()}"

    @property
    def list_page(self) -> str:
        return f"{self.url}/projects/{self._project()}/traces"


class MLflow(Peer):
    name = "mlflow"
    title = "MLflow"
    package = "mlflow"
    headers = {"x-mlflow-experiment-id": "0"}  # noqa: RUF012 - never changed
    step = Row("[data-testid^=timeline-tree-node] [data-testid^=span-title-row]", "bash")
    listed = Row("[role=row] [role=cell]", PROMPT)

    def _command(
        self, port: int, folder: Path
    ) -> tuple[Sequence[str], dict[str, str], Path | None]:
        place = self.environment.program("mlflow")
        words = [str(place), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        # It starts processes of its own by their names.
        path = f"{place.parent}:{surroundings()['PATH']}"
        return words, {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}, None

    def _spans(self, sent: Sent) -> int:
        """MLflow counts for nobody: the whole trace is asked for, once all of it was accepted."""
        answer = httpx.get(
            f"{self.url}/ajax-api/3.0/mlflow/traces/get",
            params={"trace_id": f"tr-{trace_id(sent.run_id).hex()}"},
            timeout=300,
            trust_env=False,
        )
        return len(answer.raise_for_status().json()["trace"]["spans"])

    def take(self, sent: Sent) -> float:
        """It answers when it has stored, so what reading takes is not counted against it."""
        with self._loading([sent]) as lines:
            line = next(lines)
        assert self._spans(sent) > sent.steps, "MLflow answered before it had stored"
        return sent.steps / (line["answered"] - line["began"])

    def page(self, sent: Sent) -> str:
        trace = f"tr-{trace_id(sent.run_id).hex()}"
        return f"{self.list_page}?selectedEvaluationId={trace}"

    @property
    def list_page(self) -> str:
        return f"{self.url}/#/experiments/0/traces"
