"""The processes that `make run` starts on one machine, and what they need of each other."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from dashboard import environment, valkey
from dashboard.processes import Part
from runs import notices, watchdog


def children_environment() -> dict[str, str]:
    return os.environ | {
        "RUNSHEET_EMBEDDED": "1",
        "RUNSHEET_DATA_DIR": str(settings.DATA_DIR),
        "PYTHONPATH": str(settings.BASE_DIR),
        "PYTHONUNBUFFERED": "1",
        # Else glibc keeps an arena of freed memory for every thread.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
    }


def valkey_part(socket_path: Path, env: Mapping[str, str]) -> Part:
    async def is_ready() -> bool:
        return await asyncio.to_thread(valkey.answers, valkey.url(socket_path))

    return Part(
        "valkey",
        valkey.command(socket_path),
        env,
        is_ready,
        stops_last=True,
        hushed="overcommit",  # a warning about snapshots, which are off
    )


def simulator_part(port: int, env: Mapping[str, str]) -> Part:
    async def is_ready() -> bool:
        return await _answer_line(port, "/") != b""

    state = settings.DATA_DIR / "simulator.jsonl"
    words = ["simulate", "--demo", "--state", str(state), "--port", str(port)]
    # After the worker, whose last polls would find nobody.
    return Part(
        "simulator", manage(*words), env, is_ready, stops_last=True, hushed="Case.dev simulator on"
    )


def web_part(listener: socket.socket, gate: int, env: Mapping[str, str]) -> Part:
    """The listening socket is handed on, so the port stays ours while the process restarts. It
    serves once the other end of the pipe `gate` is closed."""
    fds = listener.fileno(), gate
    port = listener.getsockname()[1]

    async def is_ready() -> bool:
        return b" 200 " in await _answer_line(port, "/healthz")

    command = [sys.executable, "-m", "dashboard.parts", "web", *map(str, fds)]
    return Part("web", command, env, is_ready, pass_fds=fds)


def worker_part(env: Mapping[str, str]) -> Part:
    async def is_suspect() -> bool:
        signs = await asyncio.to_thread(lambda: (notices.silence(), notices.waiting()))
        return watchdog.is_worker_suspect(*signs)

    command = [sys.executable, "-m", "dashboard.parts", "worker"]
    return Part("worker", command, env, is_suspect=is_suspect)


def beat_part(env: Mapping[str, str]) -> Part:
    async def is_suspect() -> bool:
        signs = await asyncio.to_thread(lambda: (notices.silence(), notices.waiting()))
        return watchdog.is_beat_suspect(*signs)

    command = [sys.executable, "-m", "dashboard.parts", "beat"]
    return Part("beat", command, env, is_suspect=is_suspect)


def manage(*words: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]


def listen(host: str) -> socket.socket:
    """A listening socket on PORT; ends the process with a sentence if there can be none."""
    try:
        return socket.create_server((host, settings.PORT), backlog=1024)
    except socket.gaierror as error:
        environment.refuse(f"--host {host}: {error.strerror}.")
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
        environment.refuse(f"PORT {settings.PORT} {reason}; set another, such as PORT=8001.")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def noted(path: Path, text: str) -> Iterator[None]:
    """`text` stands in `path` for the length of the block: settings.py looks there."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


async def _answer_line(port: int, path: str) -> bytes:
    """The status line that a server on loopback answers; empty if it does not."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                return await reader.readline()
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return b""
