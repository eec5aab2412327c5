"""The Chromium that browser tests drive: its headless shell, or else a whole one.

`python -m tests.browsers` makes sure that there is one, and fails if there cannot be.

The same engine, but a page of a whole Chromium costs a second of a core in headless mode, windows
that nobody sees among it; one of the shell a seventh of that.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SHELL = "chromium-headless-shell"
WHOLE = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    # Root, containers and machines without a graphics card; and no request of the browser's own.
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps"),
)
# That this machine's packages have no shell, so as not to ask for it each time.
NO_SHELL = Path(__file__).parent.parent / ".cache" / "no-headless-shell"


def system_browser() -> str | None:
    return _first((SHELL, *WHOLE))


def whole_browser() -> str | None:
    """As people have it, if there is one: for what is measured."""
    return _first((*WHOLE, SHELL))


def _first(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def playwrights_browser() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str | None:
    """Returns the path of a browser, or None."""
    if not shutil.which(SHELL) and not NO_SHELL.exists() and not from_packages(SHELL):
        NO_SHELL.parent.mkdir(parents=True, exist_ok=True)
        NO_SHELL.touch()
    if path := system_browser() or playwrights_browser():
        return path
    if from_packages("chromium") and (path := system_browser()):
        return path
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return playwrights_browser()


def from_packages(name: str) -> bool:
    """Whether Debian's packages had it and could be installed."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wanted = [name, "fonts-dejavu-core"]
    told = subprocess.DEVNULL if name == SHELL else None  # without it there are other ways
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *wanted],
    ):
        done = subprocess.run(
            command, check=False, env=environment, stdout=subprocess.DEVNULL, stderr=told
        )
    return done.returncode == 0


if __name__ == "__main__":
    if not install():
        sys.exit("There is no Chromium for the browser tests, and none could be installed.")
