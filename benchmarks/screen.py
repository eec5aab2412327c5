"""From a step appearing upstream to the same step being visible in a browser.

The whole product as a person starts it, the simulator as Case.dev, a real Chromium. The floor is
the poller's interval for a watched run: a step waits for half of it on average, for all of it at
worst.
"""

import datetime as dt
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.figures import Bench, Figure, quantile, value
from runs.schedule import WATCHED
from runs.simulator.testing import SimulatorServer
from tests import browsers
from tests.product import PASSWORD, Product

COUNTED, QUICK_COUNTED = 60, 5  # the last ones
AHEAD = 15  # steps that are there before anybody looks
# Not a multiple of the interval, or every step would meet the poller at the same moment.
SECONDS_A_STEP = 1.7

_NOTE_ARRIVALS = """() => {
  window.seenAt = {};
  const note = () => document.querySelectorAll('#steps > li[id]').forEach(
    (step) => { window.seenAt[step.id] ??= Date.now(); });
  new MutationObserver(note).observe(document.body, {childList: true, subtree: true});
  note();
}"""


def measure(bench: Bench) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, SimulatorServer() as case_dev:
        product = Product(
            Path(folder) / "var", CASEDEV_BASE_URL=case_dev.url, CASEDEV_API_KEY=case_dev.key
        )
        try:
            product.start()
            counted = QUICK_COUNTED if bench.quick else COUNTED
            yield from _figures(_delays(product, case_dev, counted))
        finally:
            product.end()


def _delays(product: Product, case_dev: SimulatorServer, counted: int) -> list[float]:
    steps = AHEAD + counted
    run = case_dev.world.start(
        "synthetic", steps=steps, step_bytes=2_000, seconds=steps * SECONDS_A_STEP
    )
    assert product.manage("add", run.id).returncode == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browsers.whole_browser(), args=[*browsers.ARGUMENTS]
        )
        page = browser.new_page()
        _log_in(page, f"{product.url}/runs/{run.id}/")
        page.evaluate(_NOTE_ARRIVALS)
        limit = 1_000 * (steps * SECONDS_A_STEP + 60)
        page.locator(f"#s{steps}").wait_for(state="attached", timeout=limit)
        seen_at: dict[str, float] = page.evaluate("window.seenAt")
        browser.close()
    there_at = {
        f"s{number}": dt.datetime.fromisoformat(step["visibleAt"]).timestamp() * 1000
        for number, step in enumerate(case_dev.world.ledger(run.id)["steps"], start=1)
    }
    return [seen_at[name] - there_at[name] for name in list(there_at)[-counted:]]


def _log_in(page: Page, url: str) -> None:
    page.goto(url)
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.locator("#run-head").wait_for()


def _figures(delays: list[float]) -> Iterator[Figure]:
    interval = WATCHED * 1000
    yield Figure(
        what="step upstream to step on screen, median",
        ours=statistics.median(delays),
        floor=interval / 2,
        floor_is="half the interval of a watched run",
    )
    yield Figure(
        what="step upstream to step on screen, p95",
        ours=quantile(delays, 0.95),
        floor=interval,
        floor_is="the interval of a watched run",
        targets=(value(interval + 300),),
        note=f"{len(delays)} steps, worst {max(delays):.0f} ms",
    )
