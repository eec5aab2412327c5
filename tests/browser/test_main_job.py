"""The main job, by hand: the whole product runs, somebody watches a run and shows it around."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from runs.simulator.run import SimulatedRun
from runs.simulator.testing import SimulatorServer
from tests.product import PASSWORD, Product

LONG = 30_000  # milliseconds; workers, beat and browser share two cores with other tests


@pytest.fixture
def case_dev() -> Iterator[SimulatorServer]:
    with SimulatorServer(speed=4) as server:
        yield server


@pytest.fixture
def running_product(product: Callable[..., Product], case_dev: SimulatorServer) -> Product:
    it = product(CASEDEV_BASE_URL=case_dev.url, CASEDEV_API_KEY=case_dev.key)
    it.start()
    return it


def test_a_run_is_followed_from_queued_to_completed_and_shared_until_it_is_revoked(
    running_product: Product, case_dev: SimulatorServer, browser: Browser
) -> None:
    run = case_dev.world.create("clause_lookup")
    with browser.new_context() as ours, browser.new_context() as theirs:
        page = ours.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        _log_in(page, running_product.url)
        _add(page, running_product.url, run.id)
        _watch_it_go(page, case_dev, run)
        _open_a_tool_call(page)
        address = _share(page)
        guest = theirs.new_page()
        guest.goto(address)
        expect(guest.locator("#run-head")).to_contain_text("completed")
        expect(guest.locator("#steps > li").first).to_be_visible()
        _revoke(page, running_product.url)
        assert guest.reload().status == 404  # type: ignore[union-attr]
        expect(guest.locator("main")).to_contain_text("Nothing opens here")
        assert errors == []


def _log_in(page: Page, url: str) -> None:
    page.goto(f"{url}/")
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page).to_have_title("Overview · Runsheet")


def _add(page: Page, url: str, run_id: str) -> None:
    page.goto(f"{url}/runs/")
    page.get_by_role("link", name="Add a run").click()
    page.get_by_label("Run id or address").fill(f"https://app.case.dev/agents/runs/{run_id}")
    page.get_by_role("button", name="Add").click()
    expect(page).to_have_url(f"{url}/runs/{run_id}/")


def _watch_it_go(page: Page, case_dev: SimulatorServer, run: SimulatedRun) -> None:
    """From queued to completed, the page being the same from first to last."""
    head = page.locator("#run-head")
    expect(head).to_contain_text("queued")
    page.evaluate("window.neverReloaded = true")
    case_dev.world.execute(run)
    expect(head).to_contain_text("running", timeout=LONG)
    expect(page.locator("#steps > li").first).to_be_visible(timeout=LONG)
    expect(head).to_contain_text("completed", timeout=LONG)
    final_steps = len(run.details(case_dev.world.now_ms())["steps"])
    expect(page.locator("#steps > li")).to_have_count(final_steps)
    assert page.title().startswith("✓")
    assert page.evaluate("window.neverReloaded") is True


def _open_a_tool_call(page: Page) -> None:
    step = page.locator("#steps > li.tool").first
    step.locator("summary").first.click()
    expect(step.get_by_role("heading", name="Input")).to_be_visible()
    expect(step.get_by_role("heading", name="Output")).to_be_visible()


def _share(page: Page) -> str:
    page.get_by_role("link", name="Share", exact=True).click()
    page.get_by_label("Purpose").fill("For the court")
    page.locator("[name=shows][value=timeline]").check()
    page.get_by_role("button", name="Create link").click()
    return page.locator("#share-address").inner_text()


def _revoke(page: Page, url: str) -> None:
    page.goto(f"{url}/share-links/")
    page.locator("a.button", has_text="Revoke").click()
    page.get_by_role("button", name="Revoke link").click()
    expect(page.get_by_text("The link is revoked")).to_be_visible()
