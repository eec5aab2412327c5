"""The Chromium that browser tests drive: Debian's, or Playwright's own.

`python -m tests.browsers` makes sure that there is one, and fails if there cannot be.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    # Root, containers and machines without a graphics card; and no request of the browser's own.
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps"),
)


def system_browser() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def playwrights_browser() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str | None:
    """Returns the path of a browser that starts, or None."""
    if path := system_browser() or playwrights_browser():
        return path
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        packages = ["chromium", "fonts-dejavu-core"]
        for command in (
            ["apt-get", "-qq", "update"],
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages],
        ):
            subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
        if path := system_browser():
            return path
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return playwrights_browser()


if __name__ == "__main__":
    if not install():
        sys.exit("There is no Chromium for the browser tests, and none could be installed.")
