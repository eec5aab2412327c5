"""How heavy a page is: its style sheets and its own scripts, before compression.

Measured in bytes as they are served, comments and all; htmx and its extension are not ours.
"""

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.dashboard.world import World
from tests.factories import make_run, make_steps
from tests.product import ROOT

CSS, JS = 30_000, 20_000
PAGES = {
    "admin": (
        *("/", "/runs/", "/runs/add/", "/runs/run_live/", "/runs/run_live/read/"),
        *("/runs/run_live/cost/", "/runs/run_a/", "/runs/run_a/read/", "/runs/run_a/cost/"),
        *(
            "/runs/run_a/steps/1/",
            "/runs/run_a/result/",
            "/runs/run_a/share/",
            "/runs/run_a/notes/",
        ),
        *("/compare/", "/share-links/", "/accounts/", "/status/"),
    ),
    "link A": tuple(f"/s/-/<str:public_id>/{tab}" for tab in ("", "read/", "cost/", "result/")),
    "stranger": ("/accounts/login/",),
}


@pytest.mark.same_on_either
@pytest.mark.django_db
def test_every_page_stays_within_its_budget():
    world = World.made()
    make_steps(make_run("running", run_id="run_live"), 3)
    heaviest = {"css": 0, "js": 0}
    for who, addresses in PAGES.items():
        for address in addresses:
            answer = world.clients[who].get(world.address(address, who))
            assert answer.status_code == 200, address
            names = re.findall(
                r'"/static/((?:css|js)/[a-z]+\.\w+\.(css|js))"', answer.content.decode()
            )
            assert names, address
            for kind, most in (("css", CSS), ("js", JS)):
                parts = {
                    name: (Path(settings.STATIC_ROOT) / name).stat().st_size
                    for name, of in names
                    if of == kind
                }
                assert sum(parts.values()) <= most, (address, kind, sum(parts.values()), parts)
                heaviest[kind] = max(heaviest[kind], sum(parts.values()))
    assert heaviest["js"] > JS / 2  # or not all were seen
    assert heaviest["css"] > CSS / 2


def test_style_sheets_load_nothing_and_keep_to_hairlines():
    for sheet in (ROOT / "static" / "css").glob("*.css"):
        for word in ("url(", "@import", "gradient", "box-shadow: 0 0"):
            assert word not in sheet.read_text(), f"{sheet.name}: {word}"


@pytest.mark.django_db
def test_a_page_comes_packed_to_whoever_takes_it_so():
    world = World.made()
    run = make_run("running", run_id="run_long")
    make_steps(run, 150)
    client = world.clients["admin"]
    client.get("/runs/run_long/")  # looks, once
    packed = client.get("/runs/run_long/", headers={"accept-encoding": "gzip, br"})
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    page = gzip.decompress(packed.content)
    assert b"</html>" in page
    assert len(packed.content) == int(packed["Content-Length"]) < len(page) / 3
    assert "Content-Encoding" not in client.get("/runs/run_long/").headers


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/s/-/nothing/", "/runs/run_a/export/record.json", "/runs/nothing/"]
)
def test_refusals_and_files_come_as_they_are(address: str):
    answer = World.made().clients["admin"].get(address, headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
