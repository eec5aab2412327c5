"""The house has two floors, and nothing in it grows too big. (design: who may import whom)"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests import environment
from tests.product import ROOT

# Lines a file. One more test makes a file longer, but not harder to read.
LONGEST = {"dashboard": 450, "runs": 450, "static": 450, "templates": 450, "tests": 800}

# Inside `runs`: from the outside in, who may import what of the same package. What is not named
# here may be imported by all of `runs`, and imports nothing of it but what is not named either.
LAYERS = [
    {"admin", "management", "tasks"},
    {"poller", "discovery", "agents", "breaker", "freshness", "callbacks"},
    {"habits", "gauges"},
    {"sync"},
    {"casedev", "models", "notices"},
    {"text", "schedule", "costs", "pairing", "patience", "causes", "oddities"},
]
PURE = {"schedule", "costs", "pairing", "text", "patience", "causes", "oddities"}


def sources(folder: str) -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in found if (ROOT / name).is_file()]


def python(folder: str) -> list[Path]:
    return [path for path in sources(folder) if path.suffix == ".py"]


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> int | None:
    return next((depth for depth, names in enumerate(LAYERS) if name in names), None)


def test_the_ground_floor_never_reaches_up() -> None:
    assert [
        path
        for path in python("runs")
        for name in imports(path)
        if name.split(".")[0] in ("dashboard", "tests")
    ] == []


def test_inside_the_ground_floor_imports_point_inwards() -> None:
    wrong = []
    for path in python("runs"):
        own = path.relative_to(ROOT / "runs").with_suffix("").parts[0]
        depth = layer_of(own)
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if package != "runs" or own == other or depth is None:
                continue
            if (reached := layer_of(other)) is not None and reached < depth:
                wrong.append(f"{path.name} imports {name}")
    assert wrong == []


def test_what_is_pure_knows_neither_database_nor_network() -> None:
    impure = ("django.db", "redis", "httpx", "celery", "runs.notices", "runs.casedev.client")
    wrong = [
        (path.name, name)
        for path in python("runs")
        if path.stem in PURE and path.parent.name == "runs"
        for name in imports(path)
        if name.startswith(impure)
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", LONGEST)
def test_no_file_is_too_long(folder: str) -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources(folder)
        if path.suffix in (".py", ".js", ".html") and "migrations" not in path.parts
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST[folder]
    }
    assert long == {}


def test_no_file_names_a_package_index_or_a_path_of_some_machine() -> None:
    hosts = (r"pypi\.org", r"pythonhosted\.org", r"npmjs\.(org|com)", r"deb\.debian\.org")
    forbidden = re.compile(rf"{'|'.join(hosts)}|/(root|home/\w+|Users/\w+)/")
    named = [
        f"{path.relative_to(ROOT)}: {line.strip()[:80]}"
        for path in sources(".")
        if path != Path(__file__)
        for line in path.read_text(encoding="utf-8", errors="ignore").splitlines()
        if forbidden.search(line)
    ]
    assert named == []


LOAD_ALL = """
import json, os, sys
blocked = set(json.loads(os.environ["BLOCKED"]))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import dashboard.asgi, dashboard.celery, uvicorn.protocols.http.httptools_impl, uvloop, hiredis
from celery.apps import beat, worker
from celery.concurrency import thread
from kombu.transport import redis
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver
get_resolver().url_patterns
for name, app in get_commands().items():
    if app in ("runs", "dashboard"):
        load_command_class(app, name)
dashboard.celery.app.loader.import_default_modules()
print(len(sys.modules))
"""


def test_what_runs_needs_only_the_lock_of_what_runs(tmp_path: Path) -> None:
    """A package that only the tests' lock brings would be missing after `make run`."""
    lock = (ROOT / "requirements" / "run.txt").read_text()
    locked = {normal(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    blocked = [
        name
        for name, owners in packages_distributions().items()
        if locked.isdisjoint(map(normal, owners))
    ]
    assert "pytest" in blocked
    environ = {
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "RUNSHEET_DATA_DIR": str(tmp_path),
        "BLOCKED": json.dumps(blocked),
    }
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_ALL],
        cwd=ROOT,
        env=environment.bare() | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout) > 500


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
