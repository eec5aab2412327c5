"""`requirements/install.sh`, which every `make` target begins with. Its locks need no network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import ROOT

TOOLS = [
    "awk",
    "cat",
    "cmp",
    "cp",
    "dirname",
    "env",
    "grep",
    "mkdir",
    "mktemp",
    "rm",
    "sh",
    "sleep",
    "tail",
    "tee",
]


class Clone:
    """A fresh clone on a machine that has only `TOOLS` and what `python` adds."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.root / "requirements").mkdir(parents=True)
        shutil.copy(ROOT / "requirements" / "install.sh", self.root / "requirements")
        self.lock("# nothing\n")
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path, tool
            (self.bin / tool).symlink_to(path)

    def lock(self, text: str) -> None:
        (self.root / "requirements" / "run.txt").write_text(text)

    def python(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def install(self, **given: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "requirements/install.sh", "run"],
            cwd=self.root,
            env={"PATH": str(self.bin), "HOME": "/nonexistent"} | given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    @property
    def environment_runs(self) -> bool:
        python = self.root / ".venv" / "bin" / "python"
        return subprocess.run([python, "-c", "import pip"], check=False).returncode == 0


MANAGE = """
import os, pathlib, sys
told = os.environ["RUNSHEET_DATA_DIR"], sys.argv[1], os.environ["RUNSHEET_EMBEDDED"]
assert os.listdir(told[0]) == []
text = "|".join([*told, str(os.environ.get("DATABASE_URL"))])
pathlib.Path("prepared").write_text(text)
"""
REAL = f'exec "{os.path.realpath(sys.executable)}" "$@"'


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_it_makes_the_environment_and_makes_it_anew_when_it_must(clone: Clone) -> None:
    """One test, since each environment takes seconds to make."""
    clone.python("python3.14", "echo 'pyenv: not installed' >&2; exit 127")
    clone.python("python3", "echo 3.11 yes")
    real = clone.python("python3.13", REAL)
    prepared = clone.root / "prepared"
    (clone.root / "manage.py").write_text(MANAGE)
    first = clone.install(DATABASE_URL="postgresql://elsewhere")
    assert first.returncode == 0, first.stderr
    assert f"making .venv with {real}" in first.stderr
    assert "quick start" not in first.stderr
    assert clone.environment_runs
    data, *told = prepared.read_text().split("|")
    assert told == ["prepare", "1", "None"]  # on a database of its own, of which nothing is left
    assert not Path(data).exists()
    prepared.unlink()

    again = clone.install()
    assert (again.returncode, again.stderr) == (0, "")
    assert not prepared.exists()

    clone.lock("no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64 + "\n")
    for _ in range(2):
        failed = clone.install(PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
        assert failed.returncode == 1
        assert "the packages could not be installed" in failed.stderr
        assert "no-such-package-of-ours" in failed.stderr

    clone.lock("# nothing, but another\n")
    (clone.root / "manage.py").write_text("raise SystemExit('no room')")
    changed = clone.install()
    assert changed.returncode == 0
    assert "not ready for a quick start: see .cache/install-run.log" in changed.stderr
    assert "no room" in (clone.root / ".cache" / "install-run.log").read_text()
    assert "installing" in changed.stderr
    assert "making .venv" not in changed.stderr

    for python in (clone.root / ".venv" / "bin").glob("python*"):
        python.unlink()
    (clone.root / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    anew = clone.install()
    assert anew.returncode == 0, anew.stderr
    assert "making .venv anew: its Python does not run" in anew.stderr
    assert clone.environment_runs


def test_two_at_once_make_one_environment(clone: Clone) -> None:
    clone.python("python3", REAL)
    command = ["sh", "requirements/install.sh", "run"]
    env = {"PATH": str(clone.bin), "HOME": "/nonexistent"}
    both = [
        subprocess.Popen(command, cwd=clone.root, env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("making .venv") == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("echo 3.11 yes", "Too old: {path} (3.11)"),
        (
            "echo 3.13 no ensurepip",
            "(Debian: apt install python3-venv): {path} (3.13, without ensu",
        ),
        ("exit 127", "Install one: "),
    ],
)
def test_a_python_that_will_not_do_is_named_with_what_it_lacks(
    clone: Clone, answer: str, told: str
) -> None:
    path = clone.python("chosen", answer)
    done = clone.install(PYTHON="chosen")
    assert done.returncode == 1
    assert "PYTHON is 'chosen', which is no Python 3.12 or newer" in done.stderr
    assert told.format(path=path) in done.stderr
    assert "brew install python@3.13" in done.stderr
    assert not (clone.root / ".venv").exists()
