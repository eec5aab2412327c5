"""A cost stands beside a step only where a usage entry is about that step beyond doubt."""

import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client

from dashboard import matching
from dashboard.matching import address_words, call_words
from runs.models import Run, Step
from tests.factories import make_entries, make_run, make_steps

SECOND = dt.timedelta(seconds=1)
ADDRESS = "/vault/vault_xyz/search"


def call(run: Run, begins: float, lasts: float | None = 2.0, **fields: Any) -> Step:
    """A search of vault_xyz that begins so many seconds after the run."""
    assert run.started_at
    given = {"command": 'casedev vault search --id vault_xyz --query "laches"'}
    values: dict[str, Any] = {
        "type": "tool_call",
        "tool_name": "bash",
        "tool_input": json.dumps(given),
        "timestamp": run.started_at + begins * SECOND,
        "duration_ms": None if lasts is None else round(lasts * 1000),
    }
    return make_steps(run, 1, **(values | fields))[0]


def entry(run: Run, at: float, **fields: Any) -> None:
    assert run.started_at
    values = {"kind": "api", "endpoint": ADDRESS, "timestamp": run.started_at + at * SECOND}
    make_entries(run, 1, **(values | fields))


def costs(run: Run) -> dict[int, tuple[int, str]]:
    found = matching.costs(run, 1, run.step_count)
    return {position: (match.micros, match.by) for position, match in found.items()}


@pytest.fixture
def run(db: None) -> Run:
    return make_run()


def test_an_entry_of_the_only_call_at_work_is_its_cost(run: Run):
    call(run, 10)
    call(run, 20)
    entry(run, 11)
    entry(run, 21, cost_micros=1_600)
    assert costs(run) == {1: (1_000, "time"), 2: (1_600, "time")}


def test_the_moment_between_two_calls_is_that_of_the_first(run: Run):
    """An entry is written when its call was answered, which is when the next one begins."""
    call(run, 10, 2)
    call(run, 12, 2)
    entry(run, 12)
    entry(run, 14)
    assert costs(run) == {1: (1_000, "time"), 2: (1_000, "time")}


def test_entries_of_one_call_are_summed_and_named(run: Run):
    call(run, 10)
    entry(run, 10.5)
    entry(run, 11.5)
    match = matching.costs(run, 1, 1)[1]
    assert (match.micros, match.entries) == (2_000, (1, 2))


def test_what_two_calls_could_have_caused_is_no_ones(run: Run):
    call(run, 10, 5)
    call(run, 11, 5)
    entry(run, 13)
    assert costs(run) == {}


def test_times_in_whole_seconds_still_find_the_only_call(run: Run):
    call(run, 10.2, 0.3)
    entry(run, 11)
    assert costs(run) == {1: (1_000, "time")}


@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint": "/vault/vault_other/search"},
        {"endpoint": "/legal/v1/research"},
        {"endpoint": None},
        {"endpoint": ""},
        {"kind": "llm"},
        {"cost_micros": None},
        {"timestamp": None},
    ],
)
def test_an_entry_about_something_else_is_not_matched(run: Run, fields):
    call(run, 10)
    entry(run, 11, **fields)
    assert costs(run) == {}


def test_an_entry_of_another_time_is_not_matched(run: Run):
    call(run, 10)
    entry(run, 30)
    entry(run, 3)
    assert costs(run) == {}


def test_an_entry_that_names_its_step_is_matched_by_its_id(run: Run):
    call(run, 10, 5, step_id="step_a")
    call(run, 11, 5, step_id="step_b")
    entry(run, 13, metadata=json.dumps({"toolCallId": "step_b"}))
    entry(run, 13, kind="llm", metadata=json.dumps({"stepId": "step_a"}))
    assert costs(run) == {1: (1_000, "id"), 2: (1_000, "id")}


def test_an_id_that_two_steps_have_or_none_matches_nothing(run: Run):
    call(run, 10, 5, step_id="same")
    call(run, 30, 5, step_id="same")
    entry(run, 13, metadata=json.dumps({"stepId": "same"}))
    entry(run, 13, metadata=json.dumps({"stepId": "gone"}))
    assert costs(run) == {}


def test_a_call_that_may_be_at_work_still_makes_doubt(run: Run):
    call(run, 10, lasts=None)
    call(run, 40, 2)
    entry(run, 41)
    assert costs(run) == {}


def test_a_call_on_another_page_is_not_forgotten(run: Run):
    call(run, 10, 60)
    call(run, 20, 2)
    entry(run, 21)
    assert matching.costs(run, 2, 2) == {}


def test_more_entries_than_can_be_looked_at_match_nothing(run: Run, monkeypatch):
    call(run, 10)
    entry(run, 11)
    monkeypatch.setattr(matching, "MOST_ENTRIES", 0)
    assert costs(run) == {}


def test_every_word_of_an_address_is_asked_for():
    assert address_words("/vault/vault_x/objects?limit=3") == {"vault", "vault_x", "object"}
    assert address_words("/legal/v1/patent-search") == {"legal", "patent-search"}
    assert address_words("/") == set()
    for tool, given, address in (
        ("bash", {"command": "casedev vault:objects list --id v_1"}, "/vault/v_1/objects"),
        (
            "bash",
            {"command": "casedev legal:v1 patent-search --query x"},
            "/legal/v1/patent-search",
        ),
        ("bash", {"command": "casedev search:v1 search --query x"}, "/search/v1/search"),
        ("bash", {"command": "casedev vault upload --id v_1 --filename a"}, "/vault/v_1/upload"),
        ("casedev_vault_search", {"vaultId": "v_1", "query": "q"}, "/vault/v_1/search"),
        ("casedev_vault_object_list", {"vaultId": "v_1"}, "/vault/v_1/objects"),
        ("legal-research.search", {"query": "q"}, "/legal/v1/research"),
    ):
        assert address_words(address) <= call_words(tool, json.dumps(given)), (tool, address)


def test_the_document_says_matched_beside_the_step_and_leads_to_the_entry(
    run: Run, viewer_client: Client
):
    call(run, 10)
    call(run, 20)
    entry(run, 21, cost_micros=1_600)
    page = viewer_client.get(f"/runs/{run.run_id}/read/").text
    first, second = page[page.index('id="s1"') :].split('id="s2"')
    assert "matched" not in first
    assert "$0.0016</data> <small>matched</small>" in second
    assert f'href="/runs/{run.run_id}/cost/?at=1#e1"' in second
    assert "Case.dev reports no cost of a step. Usage entry 1 is about this call" in second
    before = Run.objects.values_list("cost_micros", "entries_cost_micros").get(pk=run.pk)
    assert before == (run.cost_micros, run.entries_cost_micros), "sums are what they were"


def test_a_step_alone_says_what_is_matched_with_it(run: Run, viewer_client: Client):
    call(run, 10)
    entry(run, 11, cost_micros=1_600)
    alone = viewer_client.get(f"/runs/{run.run_id}/steps/1/").text
    assert "Cost, matched by time and address" in alone
    assert "$0.001600" in alone
    opened = viewer_client.get(f"/runs/{run.run_id}/steps/1/", headers={"HX-Request": "true"}).text
    assert "$0.0016</data> matched</a>" in opened
