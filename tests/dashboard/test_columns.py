"""Which columns the list shows, and in what order, as each person keeps it."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.audit.models import AuditEntry
from dashboard.exports.tables import RUN_COLUMNS
from dashboard.saved.columns import COLUMNS, DEFAULT
from dashboard.saved.models import ListColumns, SavedView
from runs.models import Run
from tests.dashboard.files import fetch
from tests.factories import make_run

pytestmark = pytest.mark.django_db

FILE = "/runs/export/runs.csv"
CHOSEN = ["cost", "request", "model", "calls"]


def choose(client: Client, *names: str, query: str = "", **form: str) -> str:
    """Where it leads. Places count in the order of `names`."""
    places = {f"place-{name}": str(at) for at, name in enumerate(names, 1)}
    shuffled = sorted(names)
    answer = client.post(f"/runs/columns/?{query}", {"column": shuffled} | places | form)
    assert answer.status_code == 302
    return str(answer["Location"])


def heads(client: Client, address: str = "/runs/?all") -> list[str]:
    html = client.get(address).content.decode()
    table = html.partition("<thead>")[2].partition("</thead>")[0]
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall("<th.*?</th>", table)][1:]


def cells(html: str) -> list[str]:
    """The classes of the cells of the first row, without the line's number."""
    row = html.partition("<tr id=")[2].partition("</tr>")[0]
    return re.findall('<td class="([^"]+)"', row)[1:]


def test_each_person_sees_the_columns_that_they_keep(
    viewer: User, viewer_client: Client, member_client: Client
):
    make_run()
    standard = [COLUMNS[name].label for name in DEFAULT]
    assert heads(viewer_client) == standard
    assert choose(viewer_client, *CHOSEN, query="status=completed") == "/runs/?status=completed"
    assert heads(viewer_client) == ["Cost", "Request", "Model", "Tool calls"]
    assert cells(viewer_client.get("/runs/?all").content.decode()) == [
        *("figure cost", "words", "model", "figure calls"),
    ]
    assert heads(member_client) == standard
    assert AuditEntry.objects.filter(page="columns", detail__contains="cost, request").exists()
    form = viewer_client.get("/runs/columns/").content.decode()
    assert re.findall(r'name="place-(\w+)"', form)[:4] == CHOSEN
    assert choose(viewer_client, *CHOSEN, reset="1") == "/runs/?all"
    assert heads(viewer_client) == standard
    assert not ListColumns.objects.exists()


def test_the_request_is_always_there_and_nonsense_is_not(viewer_client: Client):
    make_run()
    choose(viewer_client, "nonsense", "steps", **{"place-steps": "x" * 9})
    assert heads(viewer_client) == ["Request", "Steps"]
    assert heads(viewer_client, "/runs/?columns=id,,id,%00,steps") == ["Request", "Run id", "Steps"]
    assert heads(viewer_client, "/runs/?columns=nonsense") == ["Request", "Steps"]


def test_every_column_can_be_shown_and_written(viewer: User, viewer_client: Client):
    make_run()
    choose(viewer_client, *COLUMNS)
    assert heads(viewer_client) == [column.label for column in COLUMNS.values()]
    assert len(cells(viewer_client.get("/runs/?all").content.decode())) == len(COLUMNS)
    written = [label for column in COLUMNS.values() for label in column.written]
    assert fetch(viewer, FILE).rows[0] == ["Run", *written, "Address"]
    assert set(written) | {"Run", "Address"} == {column.label for column in RUN_COLUMNS}


def test_the_file_has_the_columns_of_the_list(viewer: User, viewer_client: Client):
    run = make_run(summary_cost_micros=1_500_000)
    Run.objects.filter(pk=run.pk).update(cost_micros=1_500_000)
    choose(viewer_client, *CHOSEN)
    table = fetch(viewer, FILE).rows
    shown = ["Cost (US$)", "Cost (micro-dollars)", "Request", "Model", "Tool calls"]
    assert table[0] == ["Run", *shown, "Address"]
    assert table[1][:3] == [run.run_id, "1.500000", "1500000"]
    assert fetch(viewer, f"{FILE}?columns=steps").rows[0] == ["Run", "Request", "Steps", "Address"]
    every = fetch(viewer, f"{FILE}?every=column").rows[0]
    assert every == [column.label for column in RUN_COLUMNS]
    page = viewer_client.get("/runs/export/?columns=steps").content.decode()
    assert "Run, Request, Steps, Address." in page


def test_what_comes_live_has_the_columns_of_the_page(viewer_client: Client):
    run = make_run("running")
    choose(viewer_client, *CHOSEN)
    html = viewer_client.get("/runs/?all").content.decode()
    stream = re.search(r'sse-connect="([^"]+)"', html)
    assert stream
    address = stream[1].replace("&amp;", "&")
    Run.objects.filter(pk=run.pk).update(version=run.version + 1)
    assert cells(viewer_client.get(address).content.decode()) == cells(html)


def test_a_view_can_hold_its_columns(viewer_client: Client, member_client: Client):
    make_run()
    choose(viewer_client, *CHOSEN)
    form = {"name": "Costs", "is_shared": "on", "has_columns": "on"}
    viewer_client.post("/runs/views/new/?sort=cost", form)
    viewer_client.post("/runs/views/new/?sort=steps", {"name": "Long", "is_shared": "on"})
    kept, left = SavedView.objects.get(name="Costs").query, SavedView.objects.get(name="Long").query
    assert "columns" not in left
    assert heads(member_client, f"/runs/?{kept}") == ["Cost", "Request", "Model", "Tool calls"]
    filtered = member_client.get(f"/runs/?{kept}", headers={"HX-Request": "true"})
    assert filtered["HX-Push-Url"] == f"/runs/?{kept}"
    assert heads(member_client) == [COLUMNS[name].label for name in DEFAULT]
