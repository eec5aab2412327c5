"""One step: its page, the piece that opens in the timeline, and its texts byte for byte."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from runs.models import Revision, Run, Step
from tests.factories import make_run, make_steps
from tests.markup import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(db) -> Run:
    run = make_run()
    make_steps(run, 3)
    return run


def page(client: Client, run: Run, position: int = 2, query: str = "") -> str:
    response = client.get(f"/runs/{run.run_id}/steps/{position}/{query}")
    assert response.status_code == 200
    return response.content.decode()


def piece(client: Client, run: Run, position: int = 2) -> str:
    response = client.get(f"/runs/{run.run_id}/steps/{position}/", headers={"HX-Request": "true"})
    assert response.status_code == 200
    return response.content.decode()


def change(run: Run, position: int = 2, **fields: Any) -> None:
    Step.objects.filter(run=run, position=position).update(**fields)


def test_a_step_tells_everything_of_itself(viewer_client, run):
    text = words(page(viewer_client, run))
    step = run.steps.get(position=2)
    for part in (
        "Listed the vaults",
        "2 of 3",
        "tool_call",
        "bash",
        "step_002",
        f"{step.timestamp:%Y-%m-%d %H:%M:%S} UTC",
        "1.8 s 1,840 ms",
        "casedev vault list",
        "obj_msa_2021",
    ):
        assert part in text


def test_the_way_leads_to_neighbours_and_to_the_timeline(viewer_client, run):
    markup = page(viewer_client, run)
    base = f"/runs/{run.run_id}/"
    assert f'<a rel="prev" href="{base}steps/1/">' in markup
    assert f'<a rel="next" href="{base}steps/3/">' in markup
    assert f'href="{base}?at=2#s2"' in markup
    assert 'rel="prev"' not in page(viewer_client, run, 1)
    assert 'rel="next"' not in page(viewer_client, run, 3)


def test_to_htmx_only_the_payloads_are_given(viewer_client, run):
    markup = piece(viewer_client, run)
    assert "<html" not in markup
    assert "casedev vault list" in markup
    response = viewer_client.get(f"/runs/{run.run_id}/steps/2/")
    assert "HX-Request" in response["Vary"]


def test_a_page_restored_from_history_is_a_whole_page(viewer_client, run):
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    response = viewer_client.get(f"/runs/{run.run_id}/steps/2/", headers=headers)
    assert "<html" in response.content.decode()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (None, "Output not reported"),
        ("null", "Output none"),
        ('""', "Output an empty text"),
        ("0", "0"),
        ("false", "false"),
        ('{"a": {}}', "a {} empty object"),
        ('"plain text"', "plain text"),
        ('"{\\"vaults\\": []}"', "JSON in a string: object, 1 key"),
        ('{"n": 1.0000000000000000001}', "n 1.0000000000000000001"),
    ],
)
def test_each_form_of_an_output_is_shown_as_what_it_is(viewer_client, run, output, told):
    change(run, tool_output=output)
    assert told in words(piece(viewer_client, run))


def test_a_large_output_shows_its_first_part_its_size_and_a_way_to_the_rest(viewer_client, run):
    sent = json.dumps("\n".join(f"line {number}" for number in range(100_000)))
    change(run, tool_output=sent)
    short, long = piece(viewer_client, run), page(viewer_client, run)
    assert "The first 32,768 of 1,188,890 characters" in words(short)
    assert "1.2 MB" in words(short)
    assert "The first 262,144 of 1,188,890 characters" in words(long)
    assert len(short) < 60_000
    download = viewer_client.get(f"/runs/{run.run_id}/steps/2/output/")
    assert download.content.decode() == sent


def test_a_large_json_output_is_drawn_as_far_as_it_is_read(viewer_client, run):
    change(
        run, tool_output=json.dumps({"rows": [{"id": n, "text": "x" * 90} for n in range(5_000)]})
    )
    short = words(piece(viewer_client, run))
    assert "JSON object, at least 1 key" in short
    assert "rows array, at least" in short


@pytest.mark.parametrize(
    ("part", "column", "kind"),
    [
        ("input", "tool_input", "application/json"),
        ("output", "tool_output", "application/json"),
        ("content", "content", "text/plain; charset=utf-8"),
    ],
)
def test_a_download_is_byte_identical_and_harmless(viewer_client, run, part, column, kind):
    sent = '{"a" :1.0,  "a":2, "\\u00e9": "é\u202e<script>"}\r\n'
    Step.objects.filter(run=run, position=2).update(**{column: sent})
    response = viewer_client.get(f"/runs/{run.run_id}/steps/2/{part}/")
    assert response.content == sent.encode()
    assert response["Content-Type"] == kind
    assert response["Content-Disposition"].startswith("attachment; filename=")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "no-store" in response["Cache-Control"]


def test_a_call_without_output_that_is_at_work_says_so(viewer_client):
    run = make_run("running")
    make_steps(run, 1, type="tool_call", tool_name="bash", tool_output=None, duration_ms=None)
    assert "still running, no output yet" in words(piece(viewer_client, run, 1))


def test_what_a_step_said_before_is_kept_beside_it(viewer_client, run):
    Revision.objects.create(
        run=run,
        of="step",
        position=2,
        replaced_version=1,
        replaced_at=timezone.now(),
        body=json.dumps({"content": "What it said before", "type": "tool_call"}),
    )
    for markup in (page(viewer_client, run), piece(viewer_client, run)):
        assert "What it said before" in markup
    assert "Changed later." in words(page(viewer_client, run))


def test_a_vanished_step_is_told_and_stays_reachable_when_another_took_its_place(
    viewer_client, run
):
    change(run, vanished_at=timezone.now(), content="The one that vanished", type="output")
    gone = run.steps.get(position=2)
    assert "No longer reported." in words(page(viewer_client, run))
    Step.objects.create(
        run=run, position=2, type="output", content="The new one", changed_version=2
    )
    Run.objects.filter(pk=run.pk).update(version=2)
    now = page(viewer_client, run)
    assert "The new one" in now
    assert "The one that vanished" not in now
    assert f"/steps/2/?was={gone.pk}" in now
    assert "The one that vanished" in page(viewer_client, run, 2, f"?was={gone.pk}")


@pytest.mark.parametrize("was", ["0", "x", "9" * 40, "-1", "²"])
def test_no_row_of_another_step_is_shown_by_its_key(viewer_client, run, was):
    other = make_steps(make_run(), 2)[1]
    for query in (f"?was={was}", f"?was={other.pk}"):
        response = viewer_client.get(f"/runs/{run.run_id}/steps/2/{query}")
        if response.status_code == 200:
            assert "step_002" in response.content.decode()
        else:
            assert response.status_code == 404


@pytest.mark.parametrize("position", ["0", "4", "99999999999999999999", "9" * 5_000])
def test_a_step_that_is_not_there_is_a_404(viewer_client, run, position):
    for path in (f"steps/{position}/", f"steps/{position}/output/"):
        assert viewer_client.get(f"/runs/{run.run_id}/{path}").status_code == 404
