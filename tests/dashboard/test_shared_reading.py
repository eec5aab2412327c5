"""The reading view of a share link: the same document, made of what the link may tell alone."""

import json
import re

from django.contrib.auth.models import User
from django.test import Client

from dashboard.disclosure.rules import EVERYTHING, Part, Rules
from dashboard.disclosure.rules import Part as Shows
from runs.models import Run
from tests.dashboard.links import full_run, link_of, share
from tests.factories import make_run, make_steps

CANARIES = ("CANARY-thought", "CANARY-query", "CANARY-found", "CANARY-output", "CANARY-id")


def canary_run(status: str = "completed") -> Run:
    """A run with something in each part, three similar searches among it."""
    run = make_run(
        status, prompt="CANARY-prompt", guidance="CANARY-guidance", output="**CANARY-output**",
        summary="CANARY-summary", created_object_ids=["CANARY-id"],
    )  # fmt: skip
    make_steps(run, 1, type="thinking", content="CANARY-thought")
    given = json.dumps({"command": 'casedev vault search --id v --query "CANARY-query"'})
    found = json.dumps({"chunks": [{"text": "CANARY-found"}]})
    make_steps(run, 3, type="tool_call", tool_name="bash", tool_input=given, tool_output=found)
    make_steps(run, 1, type="output", content="I found **CANARY-said**.")
    return run


def read(token: str, query: str = "") -> str:
    """The document as a browser is shown it that opens the link."""
    response = Client().get(
        f"/s/{token}/read/{query}", headers={"accept": "text/html"}, follow=True
    )
    assert response.status_code == 200
    return response.text


def test_a_link_that_shows_all_is_read_as_a_document(member: User):
    token = share(canary_run(), member, shows=EVERYTHING)
    page = read(token)
    places = [
        page.index(words, page.index('id="reading"'))
        for words in (
            *("What was asked", "CANARY-prompt", "CANARY-guidance", "What the agent did"),
            *("CANARY-thought", "3 searches in <code>v</code>", "CANARY-query", ": 1 passage"),
            *("<strong>CANARY-said</strong>", "What came of it", "CANARY-summary", "CANARY-id"),
            "<strong>CANARY-output</strong>",
        )
    ]
    assert places == sorted(places)
    assert "css/reading" in page
    assert "matched" not in page, "costs of steps are the firm's own"
    base = f"/s/-/{link_of(token).public_id}/"
    assert f'hx-get="{base}steps/2/"' in page


def test_what_a_link_does_not_show_is_in_no_page_of_the_document(member: User):
    run = canary_run()
    page = read(share(run, member, shows=frozenset({Part.TIMELINE})))
    for canary in (*CANARIES, "CANARY-prompt", "CANARY-guidance", "CANARY-summary"):
        assert canary not in page, canary
    assert "CANARY-said" in page
    assert "Thinking, which is not shared" in page
    assert "hx-get" not in page
    assert "/runs/" not in page


def test_a_link_without_a_timeline_has_no_document(member: User):
    token = share(canary_run(), member, shows=frozenset({Part.SUMMARY, Part.OUTPUT}))
    browser = Client()
    first = browser.get(f"/s/{token}/", headers={"accept": "text/html"}, follow=True)
    assert "Reading view" not in first.text
    base = f"/s/-/{link_of(token).public_id}/"
    absent = browser.get(f"{base}read/")
    assert absent.status_code == 404
    assert absent.text == browser.get(f"{base}nothing/").text


def test_what_is_redacted_is_taken_out_of_the_document(member: User):
    rules = Rules(words=("CANARY-query", "CANARY-said", "CANARY-output"), steps=((1, 1),))
    page = read(share(canary_run(), member, shows=EVERYTHING, rules=rules))
    for canary in ("CANARY-query", "CANARY-said", "CANARY-output", "CANARY-thought"):
        assert canary not in page
    assert page.count("[redacted]") >= 4
    assert "CANARY-summary" in page


def test_a_frozen_copy_is_read_as_it_was(member: User):
    run = canary_run()
    token = share(run, member, shows=EVERYTHING, is_frozen=True)
    Run.objects.filter(pk=run.pk).update(summary="Later")
    page = read(token)
    assert "CANARY-summary" in page
    assert "Later" not in page
    assert "sse-connect" not in page


def test_a_long_document_has_pages_and_one_for_paper(member: User):
    run = make_run(output="The end.")
    make_steps(run, 320, type="output", content="On.")
    token = share(run, member, shows=frozenset({Part.TIMELINE, Part.OUTPUT}))

    def steps(page: str) -> list[str]:
        return re.findall(r'<li id="s(\d+)"', page)

    first, last, paper = read(token), read(token, "?at=320"), read(token, "?print=1")
    assert steps(first) == [str(at) for at in range(1, 151)]
    assert steps(last) == [str(at) for at in range(301, 321)]
    assert len(steps(paper)) == 320
    assert "The end." not in first
    assert "The end." in last
    assert "The end." in paper


def test_the_stream_of_a_shared_document_brings_the_document_that_is_loaded(member: User):
    run = canary_run("running")
    make_steps(run, 70)
    token = share(run, member, shows=frozenset({Part.TIMELINE, Part.THINKING}))
    browser = Client()
    page = browser.get(f"/s/{token}/read/", headers={"accept": "text/html"}, follow=True).text
    found = re.search(r'sse-connect="([^"]+)"', page)
    assert found
    address = found[1].replace("&amp;", "&")
    assert address.endswith("&tab=read&at=1&folded=30")
    piece = browser.get(re.sub(r"since=\d+", "since=0", address)).text

    def document(html: str) -> str:
        html = html[html.index('<section id="reading"') :].replace(' hx-swap-oob="true"', "")
        return html[: html.index("What came of it")]

    assert document(piece) == document(page)
    for canary in CANARIES[1:]:
        assert canary not in piece


def test_every_part_can_be_shown_with_the_document_and_none_breaks_it(member: User):
    run = full_run()
    for part in Shows:
        page = read(share(run, member, shows=frozenset({Part.TIMELINE, part})))
        assert "What the agent did" in page, part
