"""Words looked for in the steps of one run, and in all runs: the same on both databases."""

import html
import json
import random
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard import filters, step_search
from runs import searching
from runs.models import Run, Step
from tests.factories import make_run, make_runs, make_steps
from tests.markup import words

pytestmark = pytest.mark.django_db


def get(client: Client, run: Run, query: str = "") -> str:
    response = client.get(f"/runs/{run.run_id}/{query}")
    assert response.status_code == 200
    return response.content.decode()


def shown(page: str) -> list[int]:
    return [int(at) for at in re.findall(r'<li id="s(\d+)', page)]


def marked(page: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r"<mark>(.*?)</mark>", page, re.DOTALL)]


def link(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return html.unescape(found[1]) if found else ""


def holding(run: Run, **texts: Any) -> Step:
    return make_steps(run, 1, **({"type": "tool_call", "content": None, "tool_name": "x"} | texts))[
        0
    ]


# In the steps of a run -----------------------------------------------------------------------


def test_steps_that_hold_the_words_are_listed_with_the_words_marked(viewer_client):
    run = make_run()
    make_steps(run, 30)
    holding(run, tool_output=json.dumps("The clause on FORCE majeure, page 3"))
    make_steps(run, 1, type="output", content="Force Majeure stands in § 12.")
    page = get(viewer_client, run, "?q=force+majeure")
    assert shown(page) == [31, 32]
    assert marked(page) == ["FORCE majeure", "Force Majeure"]
    assert "2 steps hold it." in words(page)
    assert 'value="force majeure"' in page


def test_finds_are_walked_one_by_one_among_all_steps(viewer_client):
    run = make_run()
    for place in range(1, 251):
        hit = place in (40, 120, 250)
        make_steps(run, 1, type="output", content="the needle" if hit else "hay") if hit else None
        if not hit:
            Step.objects.create(
                run=run, position=place, type="output", content="hay", changed_version=1
            )
    page = get(viewer_client, run, "?q=needle")
    seen: list[int] = []
    while address := link(page, "next"):
        page = viewer_client.get(address.partition("#")[0]).content.decode()
        position = int(address.partition("#s")[2])
        assert position in shown(page)
        assert f"Find {len(seen) + 1} of 3." in words(page)
        seen.append(position)
    assert seen == [40, 120, 250]
    assert link(page, "prev").endswith("#s120")


def test_words_are_found_whatever_their_case_and_however_json_escapes_them(viewer_client):
    cases = {
        "straße": ("content", "Die STRASSE am Fluss"),
        "ÉTÉ": ("tool_output", json.dumps("l'été dernier")),
        "été": ("tool_output", json.dumps("L'ÉTÉ dernier")),
        'said "no"': ("tool_input", json.dumps({"command": 'he said "no" twice'})),
        "a/b": ("tool_output", '"see a\\/b"'),
        "50%_\\": ("content", "exactly 50%_\\ of it"),
        "Ω": ("content", "resistance in ω"),
        "x": ("content", "X"),
    }
    for asked, (column, text) in cases.items():
        run = make_run()
        make_steps(run, 2)
        holding(run, **{column: text})
        client_page = viewer_client.get(f"/runs/{run.run_id}/", {"q": asked}).content.decode()
        assert 3 in shown(client_page), asked
        assert marked(client_page), asked


def test_a_sign_that_means_any_text_to_a_database_means_itself(viewer_client):
    run = make_run()
    make_steps(run, 3)
    for asked in ("%", "_ea", "100%"):
        page = viewer_client.get(f"/runs/{run.run_id}/", {"q": asked}).content.decode()
        assert shown(page) == [], asked
        assert "No step holds it." in words(page)


def test_a_find_is_shown_as_text_and_never_as_markup(viewer_client):
    run = make_run()
    make_steps(run, 1, type="output", content="<b>x</b><script>alert(1)</script> needle <i>")
    page = viewer_client.get(f"/runs/{run.run_id}/", {"q": "<script>"}).content.decode()
    assert "<script>alert" not in page
    assert marked(page) == ["<script>"]


def test_finds_are_narrowed_by_the_filters_and_come_in_windows(viewer_client):
    run = make_run()
    make_steps(run, 360, content="needle")
    assert "360 steps hold it." in words(get(viewer_client, run, "?q=needle"))
    page = get(viewer_client, run, "?q=needle&type=thinking")
    assert "120 steps hold it." in words(page)
    assert len(shown(page)) == 100
    turn = re.search(r'class="turn later" hx-get="([^"]+)"', page)
    assert turn
    part = viewer_client.get(html.unescape(turn[1]), headers={"HX-Request": "true"})
    assert shown(part.content.decode()) == list(range(301, 360, 3))


def test_a_run_too_big_to_be_read_at_once_says_how_far_it_was_and_goes_on(
    viewer_client, monkeypatch
):
    monkeypatch.setattr(step_search, "MOST_READ", 50_000)
    run = make_run()
    make_steps(run, 30, type="output", content="needle " + "x" * 3_000)
    page = get(viewer_client, run, "?q=needle")
    seen = shown(page)
    while ways := re.search(r'<a href="([^"]+)">look through those that follow', page):
        page = viewer_client.get(html.unescape(ways[1])).content.decode()
        seen += shown(page)
    assert seen == list(range(1, 31))


# In all runs ---------------------------------------------------------------------------------


def found(asked: str) -> set[str]:
    query = filters.matching(filters.Asked(q=asked))
    return set(query.values_list("run_id", flat=True))


def test_runs_are_found_by_words_in_any_case_of_any_script():
    texts = {
        "a": "Prüfung der STRASSE",
        "b": "été au 50%_ lac",
        "c": "ИСК против банка",
        "d": "合同审查报告",
        "e": 'He said "never" \\ again',
    }
    runs = {name: make_run(run_id=f"run_{name}", prompt=text) for name, text in texts.items()}
    cases = {
        "straße": "a", "PRÜF": "a", "Été": "b", "50%_": "b", "иск": "c", "审查报": "d",
        '"never" \\': "e", "run_c": "c",
    }  # fmt: skip
    for asked, name in cases.items():
        assert found(asked) == {runs[name].run_id}, asked
    for nothing in ("%%%", "___", "never  again", "xyz"):
        assert found(nothing) == set(), nothing


def test_what_many_runs_hold_is_found_on_the_way_through_them_all(monkeypatch):
    make_runs(30, prompt="a common word")
    rare = make_run(prompt="a rare word")
    for common, at_most in ((1, 5), (1_000, 5), (1_000, 100)):  # by a sample, by trying, looked up
        monkeypatch.setattr(searching, "COMMON", common)
        monkeypatch.setattr(searching, "FEWEST", at_most)
        monkeypatch.setattr(searching, "MOST", at_most)
        for asked, number in (("common", 30), ("word", 31), ("rare", 1)):
            assert searching.matching(Run.objects.all(), asked).count() == number, asked
    assert found("rare") == {rare.run_id}


def test_any_part_of_a_text_finds_all_runs_that_hold_it_and_no_others(monkeypatch):
    """Wherever it begins and ends: words are cut, short, alone, and parted by more than a blank."""
    monkeypatch.setattr(searching, "COMMON", 10_000)  # looked up, whatever it is
    chance = random.Random(20261130)
    parts = [
        "in",
        "re",
        "the",
        "Review",
        "reviewed",
        "contract",
        "contracts",
        "of",
        "Straße",
        "合同",
        "a,b",
        "x-y",
        "lease",
    ]
    gaps = (" ",) * 8 + ("  ", "\n", " \t", ", ")
    texts = {}
    for _ in range(150):
        text = "".join(chance.choice(parts) + chance.choice(gaps) for _ in range(8))
        texts[make_run(prompt=text).run_id] = searching.fold(text)
    for _ in range(400):
        text = chance.choice([*texts.values()])
        begin = chance.randrange(len(text) - 3)
        asked = text[begin : begin + chance.randrange(3, 40)].strip()
        if len(asked) >= searching.SHORTEST:
            held = {run_id for run_id, text in texts.items() if asked in f"{run_id}\n{text}"}
            assert found(asked) == held, asked


def test_an_id_is_looked_up_and_not_looked_for_in_a_sample_of_all_runs():
    runs = make_runs(30, prompt="a common word")
    asked = runs[0].run_id
    with CaptureQueriesContext(connection) as queries:
        assert asked in {run.run_id for run in searching.matching(Run.objects.all(), asked)}
    assert len([one for one in queries if "COUNT" in one["sql"]]) == 0
    with CaptureQueriesContext(connection) as queries:
        searching.matching(Run.objects.all(), "common")
    assert len([one for one in queries if "COUNT" in one["sql"]]) == 1


def test_a_search_through_runs_asks_the_index():
    make_runs(3, prompt="words")
    for asked, index in (("words", "search_runs"), ("words of three", "search_joints")):
        query = searching._texts(asked).values_list("pk", flat=True)[:10]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
                assert index in query.explain()
            else:
                plan = query.explain()
                assert "VIRTUAL TABLE INDEX" in plan
                assert "SCAN runs_runtext\n" not in plan + "\n"


def test_an_id_is_looked_up_by_what_few_texts_hold():
    """All ids begin alike, and the index would be read for each of these beginnings."""
    runs = make_runs(60)
    searching.keep(runs)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE runs_runtext")
    with CaptureQueriesContext(connection) as asked:
        assert searching.keys(runs[7].run_id, 10) == [runs[7].pk]
        assert len(searching.keys("run_", 100)) == 60  # and by these where there is nothing else
    if connection.vendor == "postgresql":
        told = [re.search(r"grams @> '\{(.*?)\}'", one["sql"]) for one in asked]
        first, second = (one[1].split(",") for one in told if one)
        assert first
        assert not {"run", "un_"} & set(first)
        assert set(second) == {"run", "un_"}


def test_a_prompt_that_changes_is_found_by_its_new_words_alone():
    run = make_run(prompt="the first wording")
    run.prompt = "another wording"
    searching.keep([run])
    assert found("first") == set()
    assert found("another") == {run.run_id}
    Run.objects.all().delete()
    assert found("another") == set()
