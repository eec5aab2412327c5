"""What an agent said, as prose: formatted where it wrote Markdown, and never at any cost."""

import json
import time

import pytest
from django.test import Client

from dashboard.rendering.words import Budget, in_parts, parted, said
from tests.factories import make_run, make_steps

REPORT = "## Findings\n\n- **Clause 9** was narrowed\n- see `msa.txt`\n"


def test_markdown_is_formatted_and_other_text_stays_as_it_was_written():
    html, is_formatted = said(REPORT, Budget())
    assert is_formatted
    assert "<h4>Findings</h4>" in html, "below the headings of the page"
    assert "<strong>Clause 9</strong>" in html
    for plain in ("I found 12 passages.\n  Indented.", "2 * 3 = 6", "a_b_c and 5 > 4", ""):
        assert said(plain, Budget()) == (plain.replace(">", "&gt;"), False)


def test_nothing_that_is_formatted_can_do_anything():
    for text in (
        "**a** <script>alert(1)</script><img src=x onerror=alert(1)>",
        "**a** ![beacon](https://evil.example/x.png) [x](javascript:alert(1))",
        '- <b hx-get="/accounts/logout/" hx-trigger="load">x</b>',
    ):
        html, is_formatted = said(text, Budget())
        assert is_formatted
        for bad in ("<script", "<img", "href", "<b "):
            assert bad not in html, text


def test_what_would_cost_too_much_is_shown_as_text():
    for text in ("- a\n" * 1_300, "**a** " * 700, "|a|b|\n|-|-|\n" + "|x|y|\n" * 600):
        html, is_formatted = said(text, Budget())
        assert not is_formatted
        assert html == text
    budget = Budget(30)
    assert said(REPORT, budget).is_formatted
    assert not said(REPORT + "\n- more **and** `more`\n" * 3, budget).is_formatted


@pytest.mark.same_on_either
def test_a_page_of_the_dearest_texts_costs_little():
    """The floor is the same page of plain texts on the same machine, so the ratio is generous."""
    texts = [f"{at}\n\n" + "- [a](b) *c*\n" * 80 for at in range(100)]
    start, budget = time.perf_counter(), Budget()
    shown = [said(text, budget) for text in texts]
    took = time.perf_counter() - start
    assert 3 <= sum(words.is_formatted for words in shown) < 20
    assert took < 20


def test_a_long_text_is_parted_between_paragraphs_and_never_within_code():
    first, rest = parted("a " * 300 + "\n\n" + "b " * 300, 700)
    assert first.endswith("\n\n")
    assert rest.startswith("b")
    code = "# Start\n\n" + "word " * 90 + "\n\n```\n" + "line\n\n" * 100 + "```\nend"
    first, rest = parted(code, 900)
    assert rest.startswith("```")
    for at in (1, 10, 400, 900, 5_000):
        for text in (code, "x" * 2_000, "x y " * 700, "\n" * 900, "```\n" * 300):
            assert "".join(parted(text, at)) == text
    told, more = in_parts(code, 900, Budget())
    assert told.is_formatted
    assert more.html.startswith("<pre><code>line")


def test_the_timeline_shows_what_an_agent_wrote_as_it_meant_it(viewer_client: Client):
    run = make_run()
    make_steps(run, 1, type="output", content=REPORT)
    make_steps(run, 1, type="output", content="Plain words.\nOn two lines.")
    page = viewer_client.get(f"/runs/{run.run_id}/").text
    assert "<strong>Clause 9</strong>" in page
    assert '<div class="say" dir="auto">Plain words.\nOn two lines.</div>' in page
    assert f'href="/runs/{run.run_id}/steps/1/"' in page, "the text itself is one link away"


def test_a_call_that_a_later_step_answers_says_what_came_back(viewer_client: Client):
    run = make_run()
    given = json.dumps({"command": "casedev vault search --id v --query q"})
    make_steps(run, 1, type="tool_call", tool_name="bash", tool_input=given, tool_output=None)
    found = json.dumps({"chunks": [{}] * 12})
    make_steps(run, 1, type="tool_result", tool_name="bash", tool_input=None, tool_output=found)
    page = viewer_client.get(f"/runs/{run.run_id}/").text
    assert "<code>v</code> for “q”: 12 passages" in page
    alone = viewer_client.get(f"/runs/{run.run_id}/steps/1/").text
    assert "“q”: 12 passages" in alone, "also where its answer is not on the page"
