"""The reading view: a run as a document for people who do not read JSON."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.passages import Pages
from runs import outlines
from runs.models import Run, Step
from tests.dashboard.files import fetch
from tests.factories import make_run, make_steps

SEARCH = 'casedev vault search --id vault_xyz --query "{}"'


def read(client: Client, run: Run, query: str = "") -> str:
    response = client.get(f"/runs/{run.run_id}/read/{query}")
    assert response.status_code == 200
    return response.text


def search(run: Run, words: str, **fields: Any) -> Step:
    given = json.dumps({"command": SEARCH.format(words)})
    output = json.dumps({"chunks": [{}] * 12})
    values = {"type": "tool_call", "tool_name": "bash", "tool_input": given, "tool_output": output}
    return make_steps(run, 1, **(values | fields))[0]


def say(run: Run, text: str, kind: str = "output", **fields: Any) -> None:
    make_steps(run, 1, type=kind, content=text, **fields)


def items(page: str) -> list[str]:
    """Ids of passages and folds, in order."""
    return re.findall(r'<li id="([sg]\d+)"', page)


def test_a_run_reads_as_request_work_and_outcome(viewer_client: Client):
    run = make_run(
        prompt="Search vault_xyz.\n\nThen write a memo.",
        guidance="Be brief.",
        output="# Memo\n\n**Twelve** passages.",
        summary="A memo was made.",
        issues=["One scan had no text"],
        created_object_ids=["obj_memo01"],
    )
    say(run, "The MSA comes first.", "thinking")
    search(run, "force majeure")
    say(run, "I found **12** passages.")
    given = json.dumps({"command": "casedev vault upload --id v --filename memo.md"})
    made = json.dumps({"objectId": "obj_memo01"})
    search(run, "", tool_input=given, tool_output=made)
    page = read(viewer_client, run)
    document = page[page.index('id="reading"') :]
    places = [
        document.index(words)
        for words in (
            *("What was asked", "Then write a memo.", "Be brief.", "What the agent did"),
            *("the model’s own notes", "The MSA comes first.", "force majeure", ": 12 passages"),
            *("I found <strong>12</strong>", "Uploaded <code>memo.md</code>", "What came of it"),
            *("A memo was made.", "One scan had no text", 'obj_memo01</code> <a href="#s4"'),
            "<strong>Twelve</strong>",
        )
    ]
    assert places == sorted(places)
    assert items(page) == ["s1", "s2", "s3", "s4"]
    assert f'href="/runs/{run.run_id}/steps/2/"' in page, "input and output are one link away"
    assert 'aria-current="page">Reading view' in page


def test_what_the_agent_said_last_is_not_told_twice(viewer_client: Client):
    report = "# Memo\n\nAll is well."
    run = make_run(output=report)
    say(run, "I begin.")
    say(run, report)
    page = read(viewer_client, run)
    assert page.count("All is well.") == 1
    assert "Gave its report, which stands at the end." in page
    Run.objects.filter(pk=run.pk).update(output=report + " Or not.")
    assert read(viewer_client, run).count("All is well.") == 2


def test_similar_calls_are_folded_and_nothing_of_them_is_lost(viewer_client: Client):
    run = make_run()
    for word in ("laches", "estoppel", "waiver", "release"):
        search(run, word)
    say(run, "The next term.", "thinking")
    search(run, "tender")
    say(run, "Enough.", "thinking")
    say(run, "I have read enough.")
    search(run, "one alone")
    page = read(viewer_client, run)
    assert "5 searches in <code>vault_xyz</code>" in page
    assert "with 1 note of the model" in page
    assert items(page) == ["g1", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"]
    for word in ("laches", "estoppel", "waiver", "release", "tender", "one alone"):
        assert word in page


def test_a_failed_call_is_never_folded_away(viewer_client: Client):
    run = make_run()
    for at in range(7):
        failed = json.dumps("Error: unknown flag: --vault") if at == 3 else None
        search(run, f"term {at}", **({"tool_output": failed, "failed": True} if failed else {}))
    page = read(viewer_client, run)
    assert items(page) == ["g1", "s1", "s2", "s3", "s4", "g5", "s5", "s6", "s7"]
    start = page.index('id="s4"')
    assert 'class="tool failed"' in page[start : start + 40]
    assert "Tried to search" in page


def test_calls_at_other_places_are_not_alike(viewer_client: Client):
    run = make_run()
    for vault in ("a", "a", "b", "b", "b"):
        given = json.dumps({"command": f"casedev vault search --id vault_{vault} --query x"})
        search(run, "", tool_input=given)
    page = read(viewer_client, run)
    assert items(page)[:3] == ["s1", "s2", "g3"]
    assert "3 searches in <code>vault_b</code>" in page


def test_a_result_stands_with_its_call(viewer_client: Client):
    run = make_run()
    search(run, "laches", tool_output=None, unanswered=True, partner=2)
    found = json.dumps({"chunks": [{}] * 3})
    result = {"type": "tool_result", "tool_input": None, "tool_output": found, "partner": 1}
    search(run, "", **result)
    page = read(viewer_client, run)
    assert items(page) == ["s1"]
    assert ": 3 passages" in page
    assert 'id="s2"' in page, "a link to the result leads to its call"


@pytest.mark.parametrize(
    ("at", "first", "last", "earlier", "later"),
    [
        (None, 1, 150, None, 151),
        (1, 1, 150, None, 151),
        (150, 1, 150, None, 151),
        (151, 151, 300, 1, 301),
        (320, 301, 320, 151, None),
        (99_999, 301, 320, 151, None),
        (0, 1, 150, None, 151),
    ],
)
def test_a_document_has_pages_of_its_own(at, first, last, earlier, later):
    assert Pages.around(at, 320, 150, is_active=False) == (first, last, 320, earlier, later)


def test_the_pages_of_a_running_document_end_with_the_newest():
    assert Pages.around(None, 320, 150, is_active=True).first == 301
    assert Pages.around(None, 0, 150, is_active=True) == (1, 0, 0, None, None)


def test_a_long_document_is_read_page_by_page_and_ends_with_its_outcome(viewer_client: Client):
    run = make_run(output="The end of it all.")
    make_steps(run, 320)
    first, middle, last = (read(viewer_client, run, query) for query in ("", "?at=200", "?at=320"))
    assert items(first) == [f"s{at}" for at in range(1, 151)]
    assert items(middle) == [f"s{at}" for at in range(151, 301)]
    assert items(last) == [f"s{at}" for at in range(301, 321)]
    assert "Steps 1 to 150 of 320" in first
    assert 'rel="next" href="/runs/' in first
    assert 'rel="prev"' not in first
    assert "The end of it all." not in first + middle
    assert f'href="/runs/{run.run_id}/read/?at=320#result"' in first
    assert "The end of it all." in last


def test_on_paper_all_is_open_and_pages_are_long(viewer_client: Client):
    run = make_run(output="The end of it all.")
    say(run, "A secret plan.", "thinking")
    for at in range(4):
        search(run, f"term {at}")
    make_steps(run, 315)
    page = read(viewer_client, run, "?print=1")
    assert len([item for item in items(page) if item[0] == "s"]) == 320
    document = page[page.index('id="read"') : page.index("What came of it")]
    assert document.count("<details open>") == document.count("the model’s own notes") + 1
    assert "The end of it all." in page
    assert "sse-connect" not in page


def test_the_whole_run_is_one_document_to_print(
    viewer: User, viewer_client: Client, monkeypatch: pytest.MonkeyPatch
):
    run = make_run(output="The end of it all.", prompt="The beginning. " * 30)
    make_steps(run, 25)
    monkeypatch.setattr("dashboard.passages.PRINTED", 10)
    monkeypatch.setattr("dashboard.views.whole.PRINTED", 10)
    part = read(viewer_client, run, "?print=1")
    assert "Steps 1 to 10 of 25 stand on this paper, and no others." in part
    address = f"/runs/{run.run_id}/read/whole/"
    assert f'href="{address}"' in part
    sent = fetch(viewer, address)
    assert sent.parts >= 4
    page = sent.body.decode()
    assert [item for item in items(page) if item[0] == "s"] == [f"s{at}" for at in range(1, 26)]
    assert page.index("The beginning.") < page.index('id="s1"')
    assert page.index('id="s25"') < page.index("The end of it all.")
    assert "and no others" not in page
    assert "sse-connect" not in page
    assert page.rstrip().endswith("</html>")


def test_a_page_costs_the_same_whatever_the_length_of_its_run(viewer_client: Client):
    counts = []
    for number in (150, 900):
        run = make_run(run_id=f"run_of_{number}")
        make_steps(run, number)
        read(viewer_client, run)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page = read(viewer_client, run)
        counts.append((len(queries), len(page) // 20_000))
    assert counts[0] == pytest.approx(counts[1], abs=2)


def test_words_that_are_long_are_shown_by_their_beginning_and_lead_to_the_rest(
    viewer_client: Client,
):
    run = make_run()
    say(run, "word " * 8_000)
    page = read(viewer_client, run)
    assert "Cut here." in page
    assert page.count("word ") < 4_000
    assert f'href="/runs/{run.run_id}/steps/1/">All of it, 40.0 kB' in page


def test_a_running_run_is_not_folded_where_neighbours_may_still_come(viewer_client: Client):
    run = make_run("running")
    for at in range(20):
        search(run, f"term {at}")
    assert "g1" not in items(read(viewer_client, run))
    for at in range(20, 70):
        search(run, f"term {at}")
    page = read(viewer_client, run)
    assert items(page)[0] == "g1"
    assert "30 searches" in page
    assert "tab=read&amp;at=1&amp;folded=30" in page


def test_the_stream_of_a_document_brings_the_document_that_is_loaded(viewer_client: Client):
    run = make_run("running")
    for at in range(70):
        search(run, f"term {at}")
    page = read(viewer_client, run)
    address = f"/runs/{run.run_id}/live/?since=0&tab=read&at=1&folded=30"
    piece = viewer_client.get(address).text
    start = '<section id="reading"'
    shown = page[page.index(start) :].partition("</section>\n</main>")[0]
    sent = piece[piece.index(start) :].replace(' hx-swap-oob="true"', "")

    def told(html: str) -> str:
        return re.sub(r'(data-since="[^"]*")>[^<]*', r"\1>", html).split("</section>")[0]

    assert told(sent) == told(shown)


@pytest.mark.parametrize("status", ["queued", "running", "completed", "failed", "cancelled"])
def test_a_run_without_steps_or_result_says_what_there_is_not(viewer_client: Client, status):
    run = make_run(status, step_count=0, tool_call_count=0, failure_cause="")
    page = read(viewer_client, run)
    words = {
        "queued": ("Not started", "has not ended"),
        "running": ("No steps yet", "has not ended"),
        "completed": ("No steps", "Case.dev reported no result."),
        "failed": ("It failed.", "Case.dev reports no cause."),
        "cancelled": ("No steps", "It was cancelled."),
    }
    for said in words[status]:
        assert said in page


def test_strange_queries_and_strangers(viewer_client: Client, client: Client):
    run = make_run()
    make_steps(run, 3)
    for query in ("?at=x", "?at=-1", "?at=99999999999", "?print=2", "?folded=x", "?at="):
        assert items(read(viewer_client, run, query))[:1] == ["s1"]
    assert client.get(f"/runs/{run.run_id}/read/").status_code == 302
    assert viewer_client.get("/runs/run_none/read/").status_code == 404


def test_vanished_steps_are_counted_and_lead_to_where_they_are(viewer_client: Client):
    run = make_run()
    make_steps(run, 3)
    run.steps.filter(position=3).update(vanished_at=run.created_at)
    Run.objects.filter(pk=run.pk).update(step_count=2)
    outlines.rebuild(run)
    page = read(viewer_client, run)
    assert items(page) == ["s1", "s2"]
    assert "1 step that Case.dev no longer reports is left out here" in page
    assert "?gone=1" in page


def test_hostile_words_stay_words(viewer_client: Client):
    bad = '<script>alert(1)</script><img src=x> **b** [x](javascript:alert(1)) <b hx-get="/">'
    run = make_run(prompt=bad + "\n" * 3 + "x" * 200, output=bad, summary=bad, issues=[bad])
    say(run, bad)
    say(run, bad, "thinking")
    search(run, bad.replace('"', "'"))
    page = read(viewer_client, run)
    document = page[page.index('id="reading"') :]
    for bad_thing in ("<script>alert", "<img src=x", 'href="javascript:', '<b hx-get="/"'):
        assert bad_thing not in document, bad_thing
