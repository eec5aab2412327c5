"""WCAG 2.2 AA by axe in Chromium: every page, in every state, light, dark and on a narrow screen.

What axe cannot see is tested beside it: the main job by keyboard alone, without scripts, zoomed.
The table in docs/accessibility.md is what the walk finds; what it finds now is left in
`.cache/accessibility/`, to be read and copied when pages come or go.
"""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.browser import states
from tests.browser.states import State
from tests.dashboard.world import World
from tests.product import ROOT

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
COLOURS = ["color-contrast", "link-in-text-block"]
WIDE, NARROW, ZOOMED = (1280, 800), (360, 740), (640, 400)  # the last is 1280 x 800 at 200 %
FOUND = ROOT / ".cache" / "accessibility"
SHARES = 4  # of the states, each walked by a test of its own: as a whole it is the longest of all
HEAD = "| page | state | light | dark | 360 px |\n|---|---|---|---|---|\n"

RUN_AXE = """async (options) => (await axe.run(document, {resultTypes: ["violations"], ...options}))
    .violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(" ")}`)"""


@pytest.mark.same_on_either
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("share", range(SHARES))
def test_axe_finds_nothing_on_any_page_in_any_state(
    transactional_db: None, site: str, browser: Browser, share: int
) -> None:
    world = World.made()
    contexts = states.contexts(world, browser)
    pages = {who: context.new_page() for who, context in contexts.items()}
    found: list[str] = []
    rows: dict[tuple[str, str], str] = {}
    for number, state in enumerate(states.all_states(world)):  # each leaves rows for the next
        if number % SHARES != share:
            continue
        faults = _faults(pages[state.who], site, state)
        rows[state.page, state.state] = " | ".join(str(len(faults[look])) for look in faults)
        told = f"{state.page}, {state.state}"
        found += [f"{told}, {look}: {it}" for look in faults for it in faults[look]]
    for context in contexts.values():
        context.close()
    lines = [f"| `{page}` | {state} | {counts} |\n" for (page, state), counts in rows.items()]
    assert rows
    FOUND.mkdir(parents=True, exist_ok=True)
    FOUND.joinpath(f"{share}.md").write_text(HEAD + "".join(lines))
    assert not found, "\n".join(found)


def _faults(page: Page, site: str, state: State) -> dict[str, list[str]]:
    """What is wrong, by look."""
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    page.emulate_media(color_scheme="light")
    page.goto(f"{site}{state.address}")
    if state.act:
        state.act(page)
    page.evaluate(AXE_SCRIPT)
    everything, colours = {"runOnly": TAGS}, {"runOnly": COLOURS}
    faults = {"light": page.evaluate(RUN_AXE, everything)}
    page.emulate_media(color_scheme="dark")
    faults["dark"] = page.evaluate(RUN_AXE, colours)
    faults["360 px"] = []
    for width, height in (ZOOMED, NARROW):
        page.set_viewport_size({"width": width, "height": height})
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        faults["360 px"] += [f"{wider} px wider than {width} px"] * (wider > 0)
    others = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
    faults["360 px"] += page.evaluate(RUN_AXE, everything | others)
    return faults
