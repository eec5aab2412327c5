"""One pass: starts, loads and visits of all programs, in turns."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
from playwright.sync_api import Browser, sync_playwright

from benchmarks.peers import browser, floors, synced
from benchmarks.peers.products import Product, Row, Runsheet
from benchmarks.peers.report import FLOOR, Line, Report
from benchmarks.peers.upstream import Sent, Upstream

SETTLED = 10.0  # seconds of rest before memory is looked at
SMALL_STEPS = 10  # of the runs that fill the lists
TRIES = 5  # to make a run that our own poller did not find before it was to be sent

BARE_PAGE = "bare page"
BARE_STORE = "decode, insert"

# What they hold of ours: adding the run, asking the API, storing and reading a page; storing alone.
READABLE = "ingest over HTTP, all of them until the last step is readable"
TO_ROWS = "ingest, ours from bytes to rows and notice, a peer's the request that brings the run"
# Promised of 1,000 steps, and judged at each length.
TIMES = {"phoenix": 20.0, "mlflow": 10.0}
_INGEST: dict[str, Any] = {
    "floor_is": BARE_STORE,
    "more_is_better": True,
    "times": TIMES,
    "group": "ingest",
}


class Plan(msgspec.Struct, frozen=True):
    """`sizes` are numbers of steps, `small` is how many runs the lists shall hold besides."""

    sizes: tuple[int, ...]
    rounds: int
    small: int


class OutOfTime(Exception):
    """The whole took too long; what was measured stands."""


class Pass:
    """`is_late` says whether time is up; then whatever is under way has been ended."""

    def __init__(
        self, plan: Plan, products: Sequence[Product], report: Report, is_late: Callable[[], bool]
    ) -> None:
        self.plan = plan
        self.products = list(products)
        self.report = report
        self.is_late = is_late

    def run(self, upstream: Upstream, folder: Path) -> None:
        """Raises `OutOfTime`. `folder` takes the data of all."""
        with ExitStack() as held:
            for product in self.products:
                held.callback(product.end)
            self._start(folder)
            self._weigh("memory after the start, PSS")
            self._fill(upstream)
            sent = {size: self._load(upstream, size) for size in self.plan.sizes}
            self._weigh("memory after the loads, PSS")
            bare = floors.BarePage(folder / "bare")
            held.callback(bare.end)
            chromium = browser.launch(held.enter_context(sync_playwright()))
            held.callback(chromium.close)
            for size, one in sent.items():
                self._visit_runs(chromium, bare.url, size, one)
            self._visit_lists(chromium, bare.url)
        for product in self.products:
            self.report.line("installed on disk", "MB").add(product.name, product.installed)

    def _try(self, product: Product, lines: Sequence[Line], act: Callable[[], None]) -> bool:
        """Whether `act` went well. If not, `lines` say so instead of a figure."""
        if self.is_late():
            raise OutOfTime
        try:
            act()
        except (
            *(browser.NotSeen, RuntimeError, TimeoutError, AssertionError, httpx.HTTPError),
            subprocess.SubprocessError,
        ) as error:
            if self.is_late():
                raise OutOfTime from error
            why = str(error) if isinstance(error, browser.NotSeen) else "failed"
            tell(f"{product.title}: {error}")
            for line in lines:
                line.lack(product.name, why)
            return False
        return True

    def _start(self, folder: Path) -> None:
        line = self.report.line("start to first page, new data folder", "s")
        for number in range(self.plan.rounds):
            for product in list(self.products):

                def start(product: Product = product, number: int = number) -> None:
                    product.end()
                    seconds = product.start(folder / f"{product.name}-{number}")
                    line.add(product.name, seconds)
                    tell(f"{product.title} started: {seconds:.1f} s")

                if not self._try(product, [line], start):
                    self.products.remove(product)
        for product in self.products:
            product.sign_in()

    def _weigh(self, what: str) -> None:
        time.sleep(SETTLED)
        line = self.report.line(what, "MB")
        for product in self.products:
            line.add(product.name, product.memory)

    def _fill(self, upstream: Upstream) -> None:
        """Many small runs for the lists."""
        small = [upstream.make(SMALL_STEPS) for _ in range(self.plan.small)]
        for product in self.products:

            def take(product: Product = product) -> None:
                product.take_many(small)
                tell(f"{product.title} holds {len(small)} small runs")

            if not self._try(product, [], take):
                for what, unit in _OF_A_LIST.items():
                    self.report.line(what, unit).lack(product.name, "runs were not taken")

    def _load(self, upstream: Upstream, size: int) -> Sent:
        """Give all a run of `size` steps, as often as there are rounds; the last one."""
        line = self.report.line(READABLE, "steps/s", size, **_INGEST)
        alone = self.report.line(TO_ROWS, "steps/s", size, **_INGEST)
        for _ in range(self.plan.rounds):
            sent = self._unknown(upstream, size)
            for product in self.products:

                def take(product: Product = product, sent: Sent = sent) -> None:
                    rate = product.take(sent)
                    line.add(product.name, rate)
                    if not isinstance(product, Runsheet):
                        alone.add(product.name, rate)
                    tell(f"{product.title} took {size:,} steps: {rate:.0f}/s")

                self._try(product, [line], take)
            line.add(FLOOR, floor := floors.store(sent))
            alone.add(FLOOR, floor)
            alone.add(Runsheet.name, ours := synced.rate(sent))
            tell(f"ours from bytes to rows: {ours:.0f}/s, decode and insert alone {floor:.0f}/s")
        return sent

    def _unknown(self, upstream: Upstream, size: int) -> Sent:
        """A run that ours has not found in the list yet."""
        ours = [product for product in self.products if isinstance(product, Runsheet)]
        for _ in range(TRIES):
            sent = upstream.make(size)
            if not any(product.knows(sent.run_id) for product in ours):
                return sent
        raise RuntimeError("each run was found before it could be sent")

    def _visit_runs(self, chromium: Browser, bare: str, size: int, sent: Sent) -> None:
        lines = {
            what: self.report.line(what, unit, size, floor_is=BARE_PAGE)
            for what, unit in _OF_A_RUN.items()
        }
        pages = {product: (product.page(sent), product.step) for product in self.products}
        self._visit(chromium, pages, (bare, floors.STEP), lines)

    def _visit_lists(self, chromium: Browser, bare: str) -> None:
        lines = {
            what: self.report.line(what, unit, floor_is=BARE_PAGE)
            for what, unit in _OF_A_LIST.items()
        }
        pages = {product: (product.list_page, product.listed) for product in self.products}
        self._visit(chromium, pages, (bare, floors.LISTED), lines)

    def _visit(
        self,
        chromium: Browser,
        pages: dict[Product, tuple[str, Row]],
        bare: tuple[str, Row],
        lines: dict[str, Line],
    ) -> None:
        """The order changes from round to round, so that nobody always follows the same one."""

        def look(name: str, url: str, row: Row, cookies: list[dict[str, str]]) -> None:
            figures = figures_of(browser.visit(chromium, url, row, cookies))
            for what, line in zip(lines.values(), figures, strict=False):
                what.add(name, line)
            tell(f"{name} {url.partition('?')[0][-60:]}: {figures[0]:.0f} ms")

        for number in range(self.plan.rounds):
            turn = number % max(len(pages), 1)
            order = list(pages)[turn:] + list(pages)[:turn]
            for product in order:
                if product.name in next(iter(lines.values())).missing:
                    continue
                url, row = pages[product]
                self._try(
                    product,
                    list(lines.values()),
                    lambda product=product, url=url, row=row: look(  # type: ignore[misc]
                        product.name, url, row, product.cookies
                    ),
                )
            look(FLOOR, *bare, [])


# In the order of `figures_of`. A list is measured by the first ones only.
_OF_A_RUN = {
    "run page, cold: first tool row": "ms",
    "run page, transferred": "kB",
    "run page, requests": "",
    "run page, requests to other hosts": "",
    "run page, DOM elements": "",
    "run page, JavaScript heap": "MB",
    "run page, reloaded: first tool row": "ms",
}
_OF_A_LIST = {
    "list of runs, cold: first row": "ms",
    "list of runs, transferred": "kB",
    "list of runs, requests": "",
    "list of runs, requests to other hosts": "",
    "list of runs, DOM elements": "",
}


def figures_of(visit: browser.Visit) -> Sequence[float]:
    return (
        *(visit.seen, visit.kilobytes, visit.requests, visit.elsewhere, visit.elements),
        *(visit.heap, visit.seen_again),
    )


def tell(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
