"""From a step appearing upstream to the same step being visible in a browser.

The whole product as a person starts it, the simulator as Case.dev, a real Chromium. The floor is
the poller's interval for a watched run: a step waits for half of it on average, for all of it at
worst. `python -m benchmarks.step_to_screen` prints one line and, with --json, a JSON object.
"""

import argparse
import datetime as dt
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from runs.schedule import WATCHED
from runs.simulator.testing import SimulatorServer
from tests import browsers
from tests.product import PASSWORD, Product

STEPS = 40
COUNTED = 20  # the last ones: the first are there before anybody looks
# Not a multiple of the interval, or every step would meet the poller at the same moment.
SECONDS_A_STEP = 1.7

_NOTE_ARRIVALS = """() => {
  window.seenAt = {};
  const note = () => document.querySelectorAll('#steps > li[id]').forEach(
    (step) => { window.seenAt[step.id] ??= Date.now(); });
  new MutationObserver(note).observe(document.body, {childList: true, subtree: true});
  note();
}"""


def measure() -> dict[str, Any]:
    """Delays in milliseconds: `median`, `p95`, `worst`, of `count` steps."""
    with tempfile.TemporaryDirectory() as folder, SimulatorServer() as case_dev:
        product = Product(
            Path(folder) / "var", CASEDEV_BASE_URL=case_dev.url, CASEDEV_API_KEY=case_dev.key
        )
        try:
            product.start()
            return _summary(_delays(product, case_dev))
        finally:
            product.end()


def _delays(product: Product, case_dev: SimulatorServer) -> list[float]:
    run = case_dev.world.start(
        "synthetic", steps=STEPS, step_bytes=2_000, seconds=STEPS * SECONDS_A_STEP
    )
    assert product.manage("add", run.id).returncode == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browsers.system_browser(), args=[*browsers.ARGUMENTS]
        )
        page = browser.new_page()
        _log_in(page, f"{product.url}/runs/{run.id}/")
        page.evaluate(_NOTE_ARRIVALS)
        page.locator(f"#s{STEPS}").wait_for(state="attached", timeout=120_000)
        seen_at: dict[str, float] = page.evaluate("window.seenAt")
        browser.close()
    there_at = {
        f"s{number}": dt.datetime.fromisoformat(step["visibleAt"]).timestamp() * 1000
        for number, step in enumerate(case_dev.world.ledger(run.id)["steps"], start=1)
    }
    return [seen_at[name] - there_at[name] for name in list(there_at)[-COUNTED:]]


def _log_in(page: Page, url: str) -> None:
    page.goto(url)
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.locator("#run-head").wait_for()


def _summary(delays: list[float]) -> dict[str, Any]:
    ordered = sorted(delays)
    return {
        "what": "step upstream to step on screen",
        "count": len(ordered),
        "median": round(statistics.median(ordered)),
        "p95": round(ordered[int(len(ordered) * 0.95) - 1]),
        "worst": round(ordered[-1]),
        "interval": round(WATCHED * 1000),
        "unit": "ms",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    result = measure()
    line = "{what}: median {median} ms, p95 {p95} ms, worst {worst} ms of {count}".format
    sys.stdout.write((json.dumps(result) if parser.parse_args().json else line(**result)) + "\n")
