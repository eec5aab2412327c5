"""Hostile text in every field of a run: on no page does it become markup, or hide."""

import json
import re
from html.parser import HTMLParser

import pytest

from runs.models import Revision, Run, UsageEntry
from tests.factories import make_agent, make_entries, make_run, make_steps

pytestmark = pytest.mark.django_db

HOSTILE = (
    "</script></style></title></textarea><script>alert(1)</script>"
    '<img src=x onerror=alert(1)>"\' onmouseover=alert(1) hx-get="/x" hx-on:load=alert(1) '
    "{% debug %}{{ settings }}<svg/onload=alert(1)>&lt;b&gt;\u202e\u200b\x1b[31m\x07\r"
    "javascript:alert(1) --> <!-- ]]> \u2028"
)
SHORT = '"><b hx-get=/x onclick=y>\u202e\x1b[0m'
PATHS = (
    *("", "?type=tool_call", "cost/", "result/", "result/?as=text", "logs/"),
    *(f"steps/{position}/" for position in range(1, 6)),
)


@pytest.fixture
def run(db) -> Run:
    make_agent("agent_review", HOSTILE)
    run = make_run(
        "failed",
        prompt=HOSTILE,
        guidance=HOSTILE,
        model=SHORT,
        workflow_id=SHORT,
        modal_sandbox_id=SHORT,
        provider=SHORT,
        runtime_id=SHORT,
        runtime_state=SHORT,
        output=HOSTILE + f"\n\n[link]({HOSTILE})\n\n| {HOSTILE} |\n|---|\n| {HOSTILE} |",
        output_object_ids=[HOSTILE],
        created_object_ids=[HOSTILE],
        summary=HOSTILE,
        issues=[HOSTILE],
        logs=[[HOSTILE, HOSTILE], ["runner", HOSTILE]],
        usage_model=SHORT,
        failure_cause=HOSTILE,
        contradictions=[{"text": HOSTILE, "at": HOSTILE}],
    )
    payload = json.dumps({HOSTILE: [HOSTILE, {HOSTILE: json.dumps({HOSTILE: HOSTILE})}]})
    make_steps(
        run,
        3,
        step_id=SHORT,
        content=HOSTILE,
        tool_name=SHORT,
        tool_input=payload,
        tool_output=json.dumps(f"Error: {HOSTILE}"),
    )
    make_steps(run, 1, type=SHORT, content=HOSTILE, tool_name=SHORT, tool_output=payload)
    command = json.dumps(
        {"command": f"casedev vault search --query '{HOSTILE}'", "description": HOSTILE}
    )
    make_steps(run, 1, type="tool_call", tool_name="bash", content=None, tool_input=command)
    Revision.objects.create(
        run=run, of="step", position=1, replaced_version=1, replaced_at=run.changed_at, body=payload
    )
    make_entries(run, 2)
    UsageEntry.objects.filter(run=run).update(
        entry_id=SHORT,
        kind=SHORT,
        service=SHORT,
        endpoint=HOSTILE,
        method=SHORT,
        model=SHORT,
        metadata=payload,
    )
    return run


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.gets: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "action"):
                self.addresses.append(value or "")
            if name == "hx-get":
                self.gets.append(value or "")

    def handle_data(self, text: str) -> None:
        self.text += text


@pytest.fixture(params=PATHS)
def seen(request, viewer_client, run) -> Seen:
    response = viewer_client.get(f"/runs/{run.run_id}/{request.param}")
    assert response.status_code == 200
    found = Seen()
    found.feed(response.content.decode())
    return found


def test_no_element_comes_of_it(seen):
    assert not {"img", "object", "iframe", "style", "textarea"} & set(seen.names)
    assert (
        seen.names.count("title") - seen.names.count("rect") <= 1
    )  # bars have titles of their own
    assert "alert(1)" in seen.text


def test_no_attribute_comes_of_it(seen):
    assert not [name for name in seen.attributes if name.startswith(("on", "hx-on"))]
    assert "style" not in seen.attributes
    assert not [address for address in seen.gets if not address.startswith("/runs/")]


def test_no_address_leads_out_or_runs(seen):
    for address in seen.addresses:
        assert re.match(r"(/[^/]|/$|#|\?)", address), address


def test_nothing_in_it_stays_unseen(seen):
    for character in "\u202e\u200b\x1b\x07\u2028":
        assert character not in seen.text


def test_it_is_no_template(seen):
    assert "{% debug %}" in seen.text


@pytest.mark.parametrize("position", range(1, 6))
def test_the_piece_of_a_step_is_as_harmless(viewer_client, run, position):
    response = viewer_client.get(
        f"/runs/{run.run_id}/steps/{position}/", headers={"HX-Request": "true"}
    )
    found = Seen()
    found.feed(response.content.decode())
    assert not {"script", "img", "svg", "style"} & set(found.names)
    names = found.attributes - {"hx-disable"}  # what keeps htmx out
    assert not [name for name in names if name.startswith(("on", "hx-"))]


@pytest.mark.parametrize(
    "query", ['?type="><script>alert(1)</script>', "?tool=%22%3E%3Cu%3E", "?at=%3Cu"]
)
def test_an_address_puts_nothing_into_the_page(viewer_client, run, query):
    page = viewer_client.get(f"/runs/{run.run_id}/{query}").content.decode()
    assert "<script>alert" not in page
    assert '"><u>' not in page


def test_the_policy_of_the_page_allows_no_inline_code(viewer_client, run):
    policy = viewer_client.get(f"/runs/{run.run_id}/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
