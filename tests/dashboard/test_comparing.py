"""Two runs side by side, and the words of two texts as one."""

import itertools
import json
import re
import time
from random import Random
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import comparing
from dashboard.audit.models import Act, AuditEntry
from dashboard.rendering.differences import LONGEST, pieces
from runs import prompts
from runs.models import Run
from tests.factories import make_run, make_steps

# Words ---------------------------------------------------------------------------------------


def told(old: str, new: str) -> str:
    """The difference in one line: [-gone-] {+new+}."""
    marks = {"gone": "[-{}-]", "new": "{{+{}+}}", "same": "{}"}
    return "".join(marks[kind].format(text) for kind, text in pieces(old, new))


def test_words_are_compared_and_not_letters():
    old = "The seller shall pay within ten days of notice."
    new = "The buyer shall not pay within thirty days of notice."
    assert told(old, new) == (
        "The [-seller-]{+buyer+} shall{+ not+} pay within [-ten-]{+thirty+} days of notice."
    )
    assert told("a b", "a b") == "a b"
    assert told("", "a b") == "{+a b+}"
    assert told("a b", "") == "[-a b-]"
    assert told("", "") == ""
    assert told("one two three", "four five six") == "[-one two three-]{+four five six+}"


def texts() -> list[tuple[str, str, str]]:
    """Name, and two texts each of which is hard in its own way."""
    chance = Random(7)
    words = [f"w{number}" for number in range(600)]
    prose = " ".join(chance.choice(words) for _ in range(4_000))
    edited = prose.split(" ")
    for _ in range(40):
        edited[chance.randrange(len(edited))] = "changed"
    numbers = [str(number) for number in range(3_000)]
    noise = ["".join(chance.choice("ab \n") for _ in range(20_000)) for _ in range(2)]
    return [
        ("edited", prose, " ".join(edited)),
        ("reversed", " ".join(numbers), " ".join(reversed(numbers))),
        ("one word over and over", "a " * 10_000, "b " * 10_000),
        ("two words in turn", "a b " * 5_000, "b a " * 5_000),
        ("a shorter list", "a\n" * 10_000, "a\n" * 9_990),
        ("noise", noise[0], noise[1]),
        ("no word at all", "§" * 9_000, "¶" * 9_000),
    ]


@pytest.mark.same_on_either
def test_both_texts_can_be_read_from_their_difference():
    for name, old, new in texts():
        parts = pieces(old, new)
        assert "".join(text for kind, text in parts if kind != "new") == old, name
        assert "".join(text for kind, text in parts if kind != "gone") == new, name
        assert all(a.kind != b.kind for a, b in itertools.pairwise(parts)), name


@pytest.mark.same_on_either
def test_few_edits_of_a_long_text_are_told_as_few():
    _name, old, new = texts()[0]
    changed = sum(len(text) for kind, text in pieces(old, new) if kind != "same")
    assert changed < 40 * 2 * 12


@pytest.mark.same_on_either
def test_the_hardest_texts_take_seconds_and_not_minutes():
    chance = Random(7)
    hard = ["".join(chance.choice("ab ") for _ in range(LONGEST)) for _ in range(2)]
    start = time.perf_counter()
    pieces(*hard)
    assert time.perf_counter() - start < 60  # about one second on a machine at rest


# The page ------------------------------------------------------------------------------------


def call(run: Run, command: str, **fields: Any) -> None:
    given = json.dumps({"command": command})
    make_steps(run, 1, type="tool_call", tool_name="bash", tool_input=given, **fields)


def compare(client: Client, a: str, b: str = "", status: int = 200) -> str:
    response = client.get("/compare/", {"a": a, "b": b})
    assert response.status_code == status
    return response.text


def rows(page: str) -> list[str]:
    """The class of each line of what both did."""
    return re.findall(r'<tr class="(\w+)">', page)


def test_two_runs_are_compared_in_all_that_counts(viewer_client: Client):
    a = make_run(prompt="Review the NDA in vault_a", output="It is fair.", cost_micros=1_000)
    b = make_run(prompt="Review the lease in vault_a", output="It is unfair.", cost_micros=3_500)
    page = compare(viewer_client, a.run_id, b.run_id)
    for words in (
        *("Review the <del>NDA</del><ins>lease</ins> in vault_a", "It is <del>fair</del>"),
        *("1 word in A alone, 1 in B alone", '+<data class="money" value="2500"'),
        *(f"/runs/{a.run_id}/read/", f"/compare/?a={b.run_id}&amp;b={a.run_id}"),
    ):
        assert words in page, words


def test_what_both_did_stands_side_by_side_with_gaps(viewer_client: Client):
    a, b = make_run(), make_run()
    search = 'casedev vault search --id v --query "{}"'
    call(a, "casedev vault list")
    call(a, search.format("laches"))
    make_steps(a, 1, type="thinking", content="Hm.")
    make_steps(a, 1, type="output", content="Nothing found.")
    call(b, "casedev vault list")
    call(b, search.format("estoppel"))
    call(b, "casedev vault:objects list --id v")
    make_steps(b, 1, type="output", content="Nothing found.")
    page = compare(viewer_client, a.run_id, b.run_id)
    assert rows(page) == ["like", "other", "new", "like"]
    assert "2 of 4 lines differ" in page
    assert "Hm." not in page
    assert "nothing like it" in page
    backwards = compare(viewer_client, b.run_id, a.run_id)
    assert rows(backwards) == ["like", "other", "gone", "like"]


def test_long_runs_are_aligned_by_their_beginnings_and_the_rest_is_counted(viewer_client: Client):
    a, b = make_run(), make_run()
    make_steps(a, 330, type="output", content="On.")
    make_steps(b, 2, type="output", content="On.")
    page = compare(viewer_client, a.run_id, b.run_id)
    assert len(rows(page)) == 300
    assert "30 further steps of A are not set side by side: 300 acts of each are." in page


def test_the_same_text_is_folded_and_a_missing_one_is_said_to_be(viewer_client: Client):
    a = make_run(prompt="The same", guidance=None, summary=None, output=None)
    b = make_run(prompt="The same", guidance=None, summary=None, output="x " * 100_000)
    page = compare(viewer_client, a.run_id, b.run_id)
    assert "the same in both" in page
    assert 'id="guidance"' not in page
    assert "Neither run has one." in page
    assert "The first 120,000 characters of each were compared; what follows was not." in page
    assert len(page) < 400_000


def test_long_stretches_that_are_the_same_are_folded(viewer_client: Client):
    same = " ".join(f"word{number}" for number in range(2_000))
    a, b = make_run(output=f"One {same} end"), make_run(output=f"Two {same} end")
    page = compare(viewer_client, a.run_id, b.run_id)
    assert re.search(r"1,9\d\d words that are the same", page)
    assert "<del>One</del><ins>Two</ins>" in page


def test_runs_that_were_asked_the_same_are_suggested(viewer_client: Client):
    asked = "Review the NDA in vault_acme"
    key = prompts.key(asked)
    old = make_run(prompt=asked.upper(), prompt_key=key)
    new = make_run(prompt=asked, prompt_key=key)
    other = make_run(prompt="Something else", prompt_key=prompts.key("Something else"))
    page = compare(viewer_client, new.run_id)
    assert f'href="/compare/?a={new.run_id}&amp;b={old.run_id}"' in page
    assert other.run_id not in page
    assert "No other run here was asked the same." in compare(viewer_client, other.run_id)
    run_page = viewer_client.get(f"/runs/{new.run_id}/").text
    assert f'href="/compare/?a={new.run_id}"' in run_page


def test_a_pasted_address_is_a_run_and_two_ticked_rows_are_two(viewer_client: Client):
    a, b = make_run(), make_run()
    pasted = f"https://runs.example.org/runs/{b.run_id}/cost/"
    assert "Two runs compared" in compare(viewer_client, a.run_id, pasted)
    ticked = viewer_client.get("/compare/", {"run": [a.run_id, b.run_id]})
    assert "Two runs compared" in ticked.text
    one = viewer_client.get("/compare/", {"run": [a.run_id]})
    assert f'value="{a.run_id}"' in one.text


def test_what_is_not_there_is_said_and_strangers_see_nothing(viewer_client: Client, client: Client):
    a = make_run()
    page = compare(viewer_client, a.run_id, "run_none", status=404)
    assert "There is no run <code>run_none</code> here." in page
    assert f'value="{a.run_id}"' in page
    assert "<script>" not in compare(viewer_client, "<script>x</script>", status=404)
    assert "by its id or address" in viewer_client.get("/compare/").text
    assert client.get("/compare/", {"a": a.run_id}).status_code == 302
    assert viewer_client.post("/compare/").status_code == 405


def test_a_failure_that_a_step_of_its_own_tells_is_one_failed_call(viewer_client: Client):
    failed, fine = make_run(step_count=0), make_run(step_count=0)
    make_steps(failed, 1, type="tool_call", tool_name="bash", tool_output=None, duration_ms=None)
    denied = '"bash: x.txt: Permission denied"'
    make_steps(failed, 1, type="tool_result", tool_name="bash", tool_output=denied)
    measures = {one.label: one for one in comparing.measures(failed, fine, timezone.now())}
    assert (measures["Failed calls"].a, measures["Failed calls"].b) == (1, 0)
    assert (measures["Tool calls"].a, measures["Steps"].a) == (1, 2)


def test_a_run_can_be_compared_with_itself(viewer_client: Client):
    a = make_run()
    call(a, "casedev vault list")
    assert rows(compare(viewer_client, a.run_id, a.run_id)) == ["like"]


def test_to_compare_is_to_look_at_both(viewer_client: Client):
    a, b = make_run(), make_run()
    compare(viewer_client, a.run_id, b.run_id)
    seen = AuditEntry.objects.filter(page="compare", act=Act.LOOK)
    assert set(seen.values_list("run", flat=True)) == {a.run_id, b.run_id}
    compare(viewer_client, "run_none", "run_nil", status=404)
    assert seen.count() == 2


def test_hostile_words_stay_words_in_a_difference(viewer_client: Client):
    bad = '</del><script>alert(1)</script><img src=x onerror=alert(1)> <b hx-get="/">\u202e'
    a = make_run(prompt=bad, output="x", summary=bad)
    b = make_run(prompt="x", output=bad, summary=bad + " y")
    for run in (a, b):
        make_steps(run, 1, type="output", content=bad + run.run_id)
    page = compare(viewer_client, a.run_id, b.run_id)
    for found in ("<script>alert", "<img src=x", "<b hx-get"):
        assert found not in page
    assert "‹RLO›" in page


def test_rows_of_the_list_can_be_ticked_and_those_of_the_overview_cannot(viewer_client: Client):
    run = make_run("running")
    tick = f'name="run" value="{run.run_id}" form="compare-ticked"'
    assert tick in viewer_client.get("/runs/").text
    assert tick not in viewer_client.get("/").text


def test_other_acts_of_one_tool_do_not_stand_side_by_side(viewer_client: Client):
    a, b = make_run(), make_run()
    call(a, "casedev vault list")
    call(b, "make all")
    assert sorted(rows(compare(viewer_client, a.run_id, b.run_id))) == ["gone", "new"]
