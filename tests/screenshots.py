"""The pictures under docs/screenshots, taken of the demo: `python -m tests.screenshots`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests import browsers
from tests.product import PASSWORD, ROOT, Product, until

FOLDER = ROOT / "docs" / "screenshots"
LOOKS = {
    "": {"color_scheme": "light", "viewport": {"width": 1200, "height": 1000}},
    "-dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 1000}},
    "-narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 800}},
}


def take() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        product = Product(Path(folder) / "var")
        browser = playwright.chromium.launch(
            executable_path=browsers.system_browser(), args=[*browsers.ARGUMENTS]
        )
        try:
            product.start()
            until(lambda: product.get("/readyz").status_code == 200, 60, "the demo to be ready")
            for name, look in LOOKS.items():
                _take_all(browser, product.url, name, look)
        finally:
            browser.close()
            product.end()


def _take_all(browser: Browser, url: str, suffix: str, look: Mapping[str, object]) -> None:
    with browser.new_context(**look) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{url}/runs/?status=running&sort=steps")
        page.fill("[name=login]", "ada")
        page.fill("[name=password]", PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        running = _first_run(page, f"{url}/runs/?status=running&sort=steps")
        ended = _first_run(page, f"{url}/runs/?status=completed&sort=cost")
        for name, address in {
            "overview": f"{url}/",
            "list": f"{url}/runs/",
            "run": running,
            "cost": f"{ended}cost/",
            "result": f"{ended}result/",
        }.items():
            page.goto(address)
            page.locator("main").wait_for()
            page.screenshot(path=FOLDER / f"{name}{suffix}.png")


def _first_run(page: Page, listing: str) -> str:
    page.goto(listing)
    link = page.locator("main a[href^='/runs/run_']").first
    link.wait_for()
    return str(link.evaluate("link => link.href"))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    take()
