"""The pictures under docs/screenshots, taken of the demo: `python -m tests.screenshots`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests import browsers
from tests.product import PASSWORD, ROOT, Product, until

FOLDER = ROOT / "docs" / "screenshots"
LOOKS = {
    "": {"color_scheme": "light", "viewport": {"width": 1120, "height": 780}},
    "-dark": {"color_scheme": "dark", "viewport": {"width": 1120, "height": 780}},
    "-narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 1100}},
}


def take() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        product = Product(Path(folder) / "var")
        browser = playwright.chromium.launch(
            executable_path=browsers.system_browser(), args=[*browsers.ARGUMENTS]
        )
        try:
            product.start(240)
            until(lambda: product.get("/readyz").status_code == 200, 240, "the demo to be ready")
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
        shared = _share(page, ended)
        pages = {
            "overview": f"{url}/",
            "list": f"{url}/runs/",
            "run": running,
            "read": f"{ended}read/",
            "cost": f"{ended}cost/",
            "result": f"{ended}result/",
            "logs": f"{ended}logs/",
            "step": f"{ended}steps/2/",
            "share": f"{ended}share/",
            "compare": f"{url}/compare/?a={_id(ended)}&b={_id(running)}",
            "exports": f"{ended}export/",
            "notes": f"{ended}notes/",
            "notices": f"{url}/notices/",
            "notices-settings": f"{url}/notices/settings/",
            "columns": f"{url}/runs/columns/",
            "status": f"{url}/status/",
            "account": f"{url}/accounts/",
            "keys": f"{url}/help/keys/",
            "shared": shared,
            "share-links": f"{url}/share-links/",
        }
        for name, address in pages.items():
            page.goto(address)
            page.locator("main").wait_for()
            page.screenshot(path=FOLDER / f"{name}{suffix}.png")


def _id(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2]


def _share(page: Page, run: str) -> str:
    """The address of a new link to the run."""
    page.goto(f"{run}share/")
    page.fill("[name=purpose]", "For opposing counsel")
    for part in ("request", "timeline", "cost"):
        page.locator(f"[name=shows][value={part}]").check()
    page.get_by_role("button", name="Create link").click()
    return page.locator("#share-address").inner_text()


def _first_run(page: Page, listing: str) -> str:
    page.goto(listing)
    link = page.locator("main tr .words a").first
    link.wait_for()
    return str(link.evaluate("link => link.href"))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    take()
