"""How heavy a page is: its style sheets and its own scripts, before compression.

Comments and indentation are not counted; htmx and its extension are not ours. Two budgets are
promised for every page; where a page is above one, LIMITS says by how much, and never more.
"""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from tests.dashboard.world import World
from tests.product import ROOT

CSS, JS = 30_000, 20_000
# The pages of a run carry all that is live; the goal is JS above.
ABOVE = {"/runs/run_a/": 24_000, "/runs/run_a/read/": 24_000, "/runs/run_a/cost/": 24_000}
PAGES = {
    "admin": (
        *("/", "/runs/", "/runs/add/", "/runs/run_a/", "/runs/run_a/read/", "/runs/run_a/cost/"),
        *("/runs/run_a/share/", "/compare/", "/share-links/", "/accounts/", "/status/"),
    ),
    "stranger": ("/accounts/login/",),
}


def weight(path: str) -> int:
    text = Path(str(finders.find(path))).read_text()
    comment = r"/\*.*?\*/" if path.endswith(".css") else r"^\s*//[^\n]*"
    text = re.sub(comment, "", text, flags=re.DOTALL | re.MULTILINE)
    return len("\n".join(line.strip() for line in text.splitlines() if line.strip()).encode())


@pytest.mark.same_on_either
@pytest.mark.django_db
def test_every_page_stays_within_its_budget():
    world = World.made()
    for who, addresses in PAGES.items():
        for address in addresses:
            html = world.clients[who].get(address).content.decode()
            names = set(re.findall(r'"/static/((?:css|js)/[a-z]+)(?:\.\w+)?\.(css|js)"', html))
            assert names, address
            for kind, most in (("css", CSS), ("js", ABOVE.get(address, JS))):
                parts = {name: weight(f"{name}.{kind}") for name, of in names if of == kind}
                assert sum(parts.values()) <= most, (address, kind, sum(parts.values()), parts)


def test_style_sheets_load_nothing_and_keep_to_hairlines():
    for sheet in (ROOT / "static" / "css").glob("*.css"):
        for word in ("url(", "@import", "gradient", "box-shadow: 0 0"):
            assert word not in sheet.read_text(), f"{sheet.name}: {word}"
