"""A browser that can reach nobody else, and all that it asked for.

Whatever name it looks up leads to a listener here (`--host-resolver-rules`), which notes each
connection and closes it; and its own log of the network (`--log-net-log`) is read afterwards,
where whatever stands that no event of a page tells. A driven Chromium looks no name up ahead of
need (`dns-prefetch`), so of that only the element itself would be found.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserType

# Events of the log whose parameters name whom the browser turns to.
_NAMING = re.compile(r'"(?:url|host|origin|original_url|location|group_id|destination)":"([^"]+)"')


# Chromium's makers, whom it turns to by itself. No payload names them.
_OWN = re.compile(r"(?:^|[^a-z0-9.-])(?:[a-z0-9-]+\.)*(?:google|googleapis|gstatic|gvt1)\.com$")
_OWN_BYTES = re.compile(rb"\.(?:google|googleapis|gstatic|gvt1)\.com")


class Sink:
    """`contacts`: the first bytes of each connection that came in, but for the browser's own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.contacts: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(2)
                try:
                    said = peer.recv(4_000)
                except OSError:
                    said = b"(nothing said)"
                if not _OWN_BYTES.search(said):
                    self.contacts.append(said)

    def close(self) -> None:
        self._listener.close()

    def named(self) -> set[str]:
        """Every host that the browser's log names but for this machine; once it is closed."""
        told = {host for host in self._hosts() if host not in ("127.0.0.1", "")}
        return {host for host in told if not _OWN.search(f" {host}")}

    def _hosts(self) -> Iterator[str]:
        for found in _NAMING.finditer(self.log.read_text(encoding="utf-8", errors="replace")):
            text = (
                found[1]
                .replace("\\/", "/")
                .partition(" ")[0]
                .removeprefix("pm/")
                .removeprefix("ssl/")
            )
            try:
                parts = urlsplit(text if "//" in text else f"//{text}")
                host = parts.hostname or ""
            except ValueError:
                host = text
            if parts.scheme not in ("data", "blob", "about", "chrome", "devtools"):
                yield host


@contextmanager
def walled(
    browser_type: BrowserType, launch: dict[str, Any], folder: Path
) -> Iterator[tuple[Browser, Sink]]:
    """A browser of its own. `launch`: the suite's arguments for starting one."""
    sink = Sink(folder / "net.json")
    rules = f"MAP * 127.0.0.1:{sink.port}, EXCLUDE 127.0.0.1"
    arguments = [f"--host-resolver-rules={rules}", f"--log-net-log={sink.log}"]
    browser = browser_type.launch(**{**launch, "args": [*launch["args"], *arguments]})
    try:
        yield browser, sink
    finally:
        browser.close()
        sink.close()
