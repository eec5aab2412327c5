"""One page in Chromium: when its row is visible, and what it took."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from playwright.sync_api import Browser, CDPSession, Error, Page, Playwright

from benchmarks.peers.products import Row
from tests import browsers

PATIENCE = 180.0  # seconds until the row
QUIET = 1.0  # seconds without a request after which a page is taken to be loaded
LOADED = 60.0  # seconds to come to that
VIEWPORT = {"width": 1280, "height": 900}
# No name is looked up: a page that wants another host gets nothing from it.
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

# Looks once a frame, so that what is seen has a place and is as good as painted.
_LOOK = """(([selector, words]) => {
  window.rowSeenAt = null;
  const isSeen = (row) => row.textContent.includes(words) && row.checkVisibility()
    && row.getBoundingClientRect().height > 0;
  const look = () => {
    for (const row of document.querySelectorAll(selector)) {
      if (isSeen(row)) { window.rowSeenAt = performance.now(); return; }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


class NotSeen(Exception):
    """Says why there is no figure, in words for the table."""


class Visit(msgspec.Struct, frozen=True):
    """Milliseconds from the start of the navigation to the row, cold and after a reload; what had
    come over the wire when the cold page was quiet, and what it held then."""

    seen: float
    seen_again: float
    kilobytes: float
    requests: int
    elsewhere: int  # requests to other hosts, which were refused
    elements: int
    heap: float  # MB, after a collection


def launch(playwright: Playwright) -> Browser:
    """On the cores of this process."""
    return playwright.chromium.launch(
        executable_path=browsers.whole_browser(), args=[*browsers.ARGUMENTS, ALONE]
    )


def visit(browser: Browser, url: str, row: Row, cookies: list[dict[str, str]]) -> Visit:
    """With an empty cache, then again. Raises `NotSeen`."""
    context = browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    try:
        if cookies:
            context.add_cookies(cookies)  # type: ignore[arg-type]
        context.add_init_script(f"{_LOOK}({json.dumps([row.selector, row.words])})")
        page = context.new_page()
        session = context.new_cdp_session(page)
        traffic = Traffic(session)
        answer = page.goto(url, wait_until="commit")
        if answer is not None and answer.status >= 400:
            raise NotSeen(f"the page was answered with {answer.status}")
        seen = _seen(page)
        traffic.settle(page)
        elements = int(page.evaluate("document.getElementsByTagName('*').length"))
        heap, told = _heap(session), traffic.told()
        page.reload(wait_until="commit")
        return Visit(seen, _seen(page), *told, elements, heap)
    except Error as error:
        raise NotSeen(f"the page broke: {error.message.splitlines()[0][:80]}") from error
    finally:
        context.close()


def _seen(page: Page) -> float:
    give_up_at = time.monotonic() + PATIENCE
    while (seen := page.evaluate("window.rowSeenAt")) is None:
        if time.monotonic() > give_up_at:
            raise NotSeen(f"no such row within {PATIENCE:g} s")
        page.wait_for_timeout(50)
    return float(seen)


def _heap(session: CDPSession) -> float:
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    used = next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")
    return float(used) / 10**6


class Traffic:
    """What goes over the wire, from the first request on; bodies as they were sent, with heads."""

    def __init__(self, session: CDPSession) -> None:
        self.octets: dict[str, float] = {}
        self.open: set[str] = set()
        self.hosts: list[str] = []
        self.changed_at = time.monotonic()
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.dataReceived", self._came)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.loadingFailed", self._ended)
        session.send("Network.enable")

    def settle(self, page: Page) -> None:
        """Until nothing was asked or is awaited for a moment, streams aside; not for ever."""
        give_up_at = time.monotonic() + LOADED
        while time.monotonic() < give_up_at:
            if not self.open and time.monotonic() - self.changed_at > QUIET:
                return
            page.wait_for_timeout(100)

    def told(self) -> tuple[float, int, int]:
        """Kilobytes, requests, requests to other hosts."""
        elsewhere = sum(host != "127.0.0.1" for host in self.hosts)
        return sum(self.octets.values()) / 1_000, len(self.hosts), elsewhere

    def _sent(self, event: dict[str, Any]) -> None:
        address = urlsplit(event["request"]["url"])
        if address.scheme in ("http", "https"):
            self.hosts.append(address.hostname or "")
            self.open.add(event["requestId"])
            self.changed_at = time.monotonic()

    def _answered(self, event: dict[str, Any]) -> None:
        if event["type"] == "EventSource":
            self._ended(event)

    def _came(self, event: dict[str, Any]) -> None:
        name = event["requestId"]
        self.octets[name] = self.octets.get(name, 0) + event["encodedDataLength"]

    def _finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.open:
            self.octets[event["requestId"]] = event["encodedDataLength"]
        self._ended(event)

    def _ended(self, event: dict[str, Any]) -> None:
        self.open.discard(event["requestId"])
        self.changed_at = time.monotonic()
