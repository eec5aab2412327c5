"""The reading view, what is new since one last looked, and comparing, in a real browser."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from dashboard import watermarks
from dashboard.watermarks import Watermark
from runs.models import Run
from tests.browser.test_live_pages import alter, change, reader  # noqa: F401 - a fixture
from tests.dashboard.links import share
from tests.factories import make_run, make_steps
from tests.product import until


def search(words: str) -> dict[str, Any]:
    command = f'casedev vault search --id vault_xyz --query "{words}"'
    return {
        "type": "tool_call",
        "tool_name": "bash",
        "tool_input": json.dumps({"command": command}),
        "tool_output": json.dumps({"chunks": [{}] * 12}),
    }


def hide(page: Page) -> None:
    """Another tab comes to the front."""
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", { value: true, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )


def test_a_running_document_grows_and_leaves_what_is_read_as_it_is(
    site: str,
    reader: Page,  # noqa: F811
    viewer: User,
) -> None:
    run = make_run("running", run_id="run_read", step_count=0)
    make_steps(run, 1, type="output", content="I **begin**.")
    make_steps(run, 1, **search("laches"))
    watermarks.saw(viewer.pk, run, run.version, None)
    change(run)
    make_steps(run, 1, **search("estoppel"))
    reader.goto(f"{site}/runs/run_read/read/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    expect(reader.locator("#read > #since + #s3")).to_be_visible()
    reader.locator("#s2 summary").click()
    payload = reader.locator("#s2 .opened .payload").first
    expect(payload).to_contain_text("casedev vault search")
    change(run, steps=0, status="running")
    make_steps(run, 3, **search("waiver"), changed_version=run.version + 1)
    change(run, step_count=6)
    expect(reader.locator("#read > #s6")).to_contain_text("12 passages", timeout=30_000)
    expect(payload).to_contain_text("casedev vault search")
    expect(reader.locator("#read > #since + #s3")).to_be_visible()
    change(run, status="completed", output="# The end")
    expect(reader.locator("#result")).to_contain_text("The end", timeout=30_000)
    assert reader.title().startswith("✓ ")
    icon = reader.locator("link[rel=icon]").get_attribute("href") or ""
    assert icon.startswith("/static/icons/completed.")
    expect(payload).to_be_visible()


@pytest.mark.parametrize("is_shared", [False, True])
def test_an_opened_call_of_the_document_shows_the_output_that_came_later(
    site: str,
    reader: Page,  # noqa: F811
    member: User,
    is_shared: bool,
) -> None:
    run = make_run("running", run_id="run_read", step_count=0)
    make_steps(run, 1, **search("laches") | {"tool_output": None, "duration_ms": None})
    if is_shared:
        reader.goto(f"{site}/s/{share(run, member)}/")
        reader.goto(f"{reader.url}read/")
    else:
        reader.goto(f"{site}/runs/run_read/read/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    reader.locator("#s1 summary").click()
    opened = reader.locator("#s1 .opened")
    expect(opened.locator("section").first).to_contain_text("casedev vault search")
    found = json.dumps({"chunks": [{"text": "found at last"}]})
    alter(run, 1, tool_output=found, duration_ms=1200, unanswered=False)
    expect(reader.locator("#s1 .took")).to_have_text("1.2 s", timeout=30_000)
    expect(opened).to_contain_text("found at last")
    expect(reader.locator("#s1 details").first).to_have_attribute("open", "")


def test_who_leaves_a_page_has_seen_it_and_who_only_passes_by_has_not(
    site: str,
    reader: Page,  # noqa: F811
    viewer: User,
) -> None:
    run = make_run("completed", run_id="run_seen")
    make_steps(run, 3)
    reader.goto(f"{site}/runs/run_seen/")
    hide(reader)
    reader.goto(f"{site}/runs/run_seen/")
    reader.wait_for_timeout(2_200)  # what the page takes for having looked
    assert not Watermark.objects.exists()
    hide(reader)
    until(Watermark.objects.exists, 20, "the page to tell that it was seen")
    row = Watermark.objects.get()
    assert (row.user_id, row.steps, row.version) == (viewer.pk, 3, run.version)


def test_two_ticked_rows_are_compared_and_ticks_outlive_updates(
    site: str,
    reader: Page,  # noqa: F811
) -> None:
    runs = [make_run("running", run_id=f"run_{name}", prompt=f"Ask {name}") for name in "abc"]
    reader.set_viewport_size({"width": 1200, "height": 800})
    reader.goto(f"{site}/runs/")
    expect(reader.locator("#stream-state")).to_have_text("live")
    button = reader.get_by_role("button", name="Compare the two that are ticked")
    expect(button).to_be_hidden()
    for run in runs[:2]:
        reader.locator(f"#run-{run.pk} td.n input").check()
    change(runs[0], step_count=99)
    expect(reader.locator(f"#run-{runs[0].pk} .steps")).to_contain_text("99", timeout=20_000)
    button.click()
    expect(reader.locator("h1")).to_have_text("Two runs compared")
    assert "run=run_a" in reader.url
    assert "run=run_b" in reader.url


def test_the_document_is_whole_on_paper(site: str, reader: Page) -> None:  # noqa: F811
    run = make_run("completed", run_id="run_paper", output="# The end")
    make_steps(run, 1, type="thinking", content="A note of the model.")
    for words in ("laches", "estoppel", "waiver"):
        make_steps(run, 1, **search(words))
    make_steps(run, 1, type="output", content="| a | b |\n|---|---|\n| " + "wide " * 60 + "| x |")
    Run.objects.filter(pk=run.pk).update(version=2)
    reader.goto(f"{site}/runs/run_paper/read/")
    expect(reader.get_by_text("A note of the model.")).to_be_hidden()
    reader.emulate_media(media="print")
    reader.set_viewport_size({"width": 700, "height": 1_000})  # about a sheet of A4
    for words in ("A note of the model.", "“laches”", "“waiver”", "The end"):
        expect(reader.get_by_text(words).first).to_be_visible()
    expect(reader.locator(".document-ways")).to_be_hidden()
    cut = reader.evaluate(
        """() => [...document.querySelectorAll("#reading *")]
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => element.outerHTML.slice(0, 90))"""
    )
    assert cut == []
