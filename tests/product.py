"""The whole product as a person starts it, with a data folder and a port of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests import environment

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery staple"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def until[T](ask: Callable[[], T], seconds: float, what: str) -> T:
    """The first true answer of `ask`; AssertionError if there is none within `seconds`."""
    give_up_at = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < give_up_at, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.05)
    return answer


def _hear_hangups() -> None:
    """What was started by nohup, as tests may be, leaves its children deaf to SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Product:
    """Started by `start`; `lines` is what it has printed so far."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.port = int(settings.get("PORT", free_port()))
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment.bare() | {
            "RUNSHEET_DATA_DIR": str(data),
            "PORT": str(self.port),
            "DJANGO_SUPERUSER_USERNAME": "ada",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            **settings,
        }
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)

    def launch(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_hangups,
        )
        self._reader.start()

    def start(self, seconds: float = 60) -> None:
        """Launch, and wait until it says that it is there."""
        self.launch()
        until(lambda: self.is_up or self.has_ended, seconds, "the product to be up")
        assert self.is_up, self.output

    @property
    def is_up(self) -> bool:
        return f"{self.url}/" in self.output

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10, trust_env=False)

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A command typed in another shell beside it."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def parts(self) -> dict[str, int]:
        """Process ids by the name of the part, of what runs now."""
        assert self.process is not None
        return {name_of(pid): pid for pid in descendants(self.process.pid)}

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Its exit code, once it has ended and all its output was read."""
        assert self.process is not None
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def end(self) -> None:
        """For fixtures: whatever state it is in, nothing of it is left."""
        if self.process is None:
            return
        left = [self.process.pid, *descendants(self.process.pid)]
        if not self.has_ended:
            self.send(signal.SIGTERM)
            try:
                self.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in left:
            if is_alive(pid) and pid != self.process.pid:
                os.kill(pid, signal.SIGKILL)

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextmanager
def signed_in(product: Product, name: str, password: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=product.url, trust_env=False, timeout=30) as browser:
        browser.get("/accounts/login/")
        fields = {"login": name, "password": password}
        token = browser.cookies["runsheet-csrf"]
        browser.post("/accounts/login/", data=fields | {"csrfmiddlewaretoken": token})
        yield browser


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, from /proc."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            below.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(below.get(pid, []))
    for child in found:
        found.extend(below.get(child, []))
    return found


def is_alive(pid: int) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] != "Z"


def name_of(pid: int) -> str:
    """The name of the product's part that the process is, else the start of its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "?"
    line = " ".join(words)
    known = {
        "valkey": r"valkey-server",
        "simulator": r"manage\.py simulate",
        "web": r"dashboard\.parts web",
        "worker": r"dashboard\.parts worker",
        "beat": r"dashboard\.parts beat",
        "prepare": r"manage\.py prepare",
    }
    return next((name for name, form in known.items() if re.search(form, line)), line[:60])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
