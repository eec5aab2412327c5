"""An environment of its own for each program, from a lock file, below `.cache/peers/`."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import ROOT

CACHE = ROOT / ".cache" / "peers"
LOCKS = ROOT / "benchmarks" / "peers"
NEEDED = 4 * 10**9  # bytes free before anything is installed; all three take about 1.8 GB
SECONDS = 1_500.0  # for one installation
SHOWN = 15  # last lines of pip's, if it fails


class NotInstalled(Exception):
    """Says why, in words for the table."""


class Environment:
    """`make` is quick if there is nothing to do. The lock beside the packages tells."""

    def __init__(self, name: str, lock: Path) -> None:
        self.name = name
        self.lock = lock
        self.folder = CACHE / name

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    @property
    def is_made(self) -> bool:
        done = self.folder / "done.txt"
        return done.exists() and done.read_bytes() == self.lock.read_bytes()

    def make(self, python: str) -> None:
        """Raises `NotInstalled`."""
        if self.is_made:
            return
        CACHE.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(CACHE).free < NEEDED:
            raise NotInstalled(f"less than {NEEDED / 10**9:g} GB of disk are free")
        log = CACHE / f"{self.name}.log"
        sys.stderr.write(f"installing {self.name}, which takes minutes; see {log}\n")
        pip = [*("-m", "pip", "install", "--disable-pip-version-check", "--no-input")]
        locked = [*("--require-hashes", "--quiet", "-r", str(self.lock))]
        with log.open("wb") as lines:
            for words in (
                [python, "-m", "venv", "--clear", str(self.folder)],
                [str(self.program("python")), *pip, *locked],
            ):
                self._run(words, lines.fileno(), log)
        shutil.copyfile(self.lock, self.folder / "done.txt")

    def _run(self, words: list[str], into: int, log: Path) -> None:
        try:
            done = subprocess.run(words, stdout=into, stderr=into, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"not installed within {SECONDS:g} s") from None
        if done.returncode:
            sys.stderr.write("\n".join(log.read_text().splitlines()[-SHOWN:]) + "\n")
            raise NotInstalled("could not be installed")


def of_peer(name: str) -> Environment:
    return Environment(name, LOCKS / f"{name}.txt")


def of_ours() -> Environment:
    """What `make run` installs, without what only tests and benchmarks need."""
    return Environment("runsheet", ROOT / "requirements" / "run.txt")


def of_this() -> Environment:
    """The one that runs this."""
    environment = of_ours()
    environment.folder = Path(sys.prefix)
    return environment


def version(environment: Environment, package: str) -> str:
    """As the lock says."""
    for line in environment.lock.read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.partition("==")[2].split()[0]
    raise LookupError(f"{environment.lock} does not name {package}")


def size(*folders: Path) -> int:
    """Bytes on disk. A file of several names counts once, what lies elsewhere not at all."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                about = path.stat()
                seen[about.st_dev, about.st_ino] = about.st_blocks * 512
    return sum(seen.values())
