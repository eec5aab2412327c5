"""What came since somebody last looked: told by a page that is left, shown by the next."""

import datetime as dt
from html import unescape
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import watermarks
from dashboard.audit.models import AuditEntry
from dashboard.watermarks import ListWatermark, Watermark
from runs import spending, sync
from runs.models import Run
from tests.factories import make_run, make_runs, make_steps
from tests.runs.answers import details, put

DAY = dt.timedelta(days=1)


def grow(run: Run, steps: int = 0, micros: int = 0, **fields: Any) -> None:
    """The run as a later poll finds it."""
    before = spending.part(run)
    run.version += 1
    if micros:
        fields |= {"cost_micros": (run.cost_micros or 0) + micros}
    for name, value in fields.items():
        setattr(run, name, value)
    run.save()
    spending.move(before, spending.part(run))
    if steps:
        make_steps(run, steps)


def look(client: Client, run: Run, **form: Any) -> None:
    response = client.post(f"/runs/{run.run_id}/looked/", form)
    assert response.status_code == 204


def test_a_run_that_was_never_seen_has_no_line(viewer_client: Client):
    run = make_run()
    make_steps(run, 3)
    page = viewer_client.get(f"/runs/{run.run_id}/").text
    assert "ince you last looked" not in page
    assert f'action="/runs/{run.run_id}/looked/"' in page
    assert not Watermark.objects.exists(), "to show a page writes nothing"


def test_new_steps_cost_and_status_are_told_and_parted_from_the_old(viewer_client: Client):
    run = make_run("running", cost_micros=1_000)
    make_steps(run, 3)
    look(viewer_client, run, version=run.version)
    assert "ince you last looked" not in viewer_client.get(f"/runs/{run.run_id}/").text
    grow(run, steps=2, micros=2_500, status="completed")
    for tab in ("", "read/"):
        page = viewer_client.get(f"/runs/{run.run_id}/{tab}").text
        assert "Since you last looked," in page
        assert f'href="/runs/{run.run_id}/{tab}?at=4#since">2 new steps</a>' in page
        assert '+<data class="money" value="2500"' in page
        divider = page.index('id="since"')
        assert page.index('id="s3"') < divider < page.index('id="s4"')
    assert "since you last looked," in viewer_client.get(f"/runs/{run.run_id}/?after=3").text


def test_one_can_say_that_one_has_seen_it_without_a_script(viewer_client: Client):
    run = make_run("running")
    make_steps(run, 2)
    look(viewer_client, run)
    grow(run, steps=1)
    response = viewer_client.post(f"/runs/{run.run_id}/looked/", {"back": "run"}, follow=True)
    assert response.redirect_chain == [(f"/runs/{run.run_id}/", 302)]
    assert "Since you last looked" not in response.text


def test_everybody_has_a_line_of_their_own(viewer_client: Client, member_client: Client):
    run = make_run("running")
    make_steps(run, 2)
    look(viewer_client, run)
    look(member_client, run)
    grow(run, steps=1)
    look(member_client, run)
    assert "1 new step<" in viewer_client.get(f"/runs/{run.run_id}/").text
    assert "Since you last looked" not in member_client.get(f"/runs/{run.run_id}/").text


def test_a_line_never_moves_back_and_never_past_what_there_is(viewer: User):
    run = make_run("running", version=5)
    make_steps(run, 4)
    watermarks.saw(viewer.pk, run, 99, None)
    row = Watermark.objects.get()
    assert (row.version, row.steps) == (5, 4)
    watermarks.saw(viewer.pk, run, 3, None)
    row.refresh_from_db()
    assert row.version == 5, "an older tab that is closed later"


def test_who_left_a_page_that_was_behind_has_seen_what_it_showed(viewer: User):
    run = make_run("running", version=5, cost_micros=3_000)
    make_steps(run, 4, changed_version=5)
    grow(run, steps=0, micros=500)
    make_steps(run, 2, changed_version=run.version)
    watermarks.saw(viewer.pk, run, 5, 3_000)
    since = watermarks.since(viewer.pk, run)
    assert since
    assert (since.position, since.steps, since.micros) == (5, 2, 500)


def test_what_is_fewer_than_before_is_no_new_step(viewer: User):
    run = make_run("running")
    make_steps(run, 4)
    watermarks.saw(viewer.pk, run, run.version, None)
    grow(run, step_count=3)
    assert watermarks.since(viewer.pk, run) is None


def test_the_lists_say_what_came_and_name_the_runs_that_one_knows(viewer_client: Client):
    known = make_run("running", prompt="Review the lease of Unit 4", cost_micros=1_000)
    make_steps(known, 2)
    make_run("running", prompt="One that nobody opened")
    look(viewer_client, known)
    assert "Since you last looked" not in viewer_client.get("/").text, "never looked before"
    assert viewer_client.post("/runs/looked/", {"newest": known.pk + 1}).status_code == 204
    assert "Since you last looked" not in viewer_client.get("/").text, "nothing came"
    now = timezone.now() + dt.timedelta(seconds=1)
    grow(known, steps=3, micros=400, status="completed", completed_at=now)
    make_run("failed", completed_at=now, cost_micros=2_000)
    for page in (viewer_client.get("/").text, viewer_client.get("/runs/").text):
        start = page.index("Since you last looked")
        words = page[start : page.index("Mark as seen", start)]
        for said in (
            *("<b>1 new run</b>", "<b>2 ended</b>", "1 of them failed", "<b>3 new steps</b>"),
            *('value="2400"', "Review the lease of Unit 4", f"/runs/{known.run_id}/?at=3#since"),
        ):
            assert said in words, said
        assert "One that nobody opened" not in words
    address = "/runs/?q=lease&amp;status=failed"
    assert f'name="back" value="{address}"' in viewer_client.get(unescape(address)).text
    back = viewer_client.post("/runs/looked/", {"back": unescape(address)}, follow=True)
    assert back.redirect_chain == [(unescape(address), 302)]
    assert "new run" not in back.text
    for elsewhere in ("//evil.example/", "https://evil.example/", "/\\evil.example", "runs", ""):
        back = viewer_client.post("/runs/looked/", {"back": elsewhere})
        assert back.headers["location"] == "/", elsewhere


def test_an_end_that_was_read_late_is_news_once(viewer_client: Client):
    """It ended before somebody looked, by Case.dev's clock, and we read of it after that."""
    now = timezone.now()
    run = make_run("running", run_id="run_late")
    viewer_client.post("/runs/looked/", {})
    ended = now - dt.timedelta(minutes=5)
    body = details(status="failed", completedAt=ended.isoformat())
    sync.apply(run, put(body, ("id",), '"run_late"'), timezone.now())
    assert "<b>1 ended</b>, " in viewer_client.get("/runs/").text
    viewer_client.post("/runs/looked/", {})
    assert "ended</b>" not in viewer_client.get("/runs/").text


def test_an_end_that_lies_ahead_by_another_clock_is_news_once(viewer_client: Client):
    run = make_run("running", run_id="run_early")
    ahead = timezone.now() + dt.timedelta(hours=1)
    body = details(status="completed", completedAt=ahead.isoformat())
    sync.apply(run, put(body, ("id",), '"run_early"'), timezone.now())
    viewer_client.post("/runs/looked/", {})
    assert "ended</b>" not in viewer_client.get("/runs/").text


def test_of_very_many_runs_only_some_are_counted(viewer_client: Client, viewer: User):
    make_run()
    watermarks.looked(viewer.pk, None)
    now = timezone.now()
    later = now + dt.timedelta(minutes=1)
    runs = make_runs(watermarks.COUNTED - 1, now=now, end_read_at=later, version=0)
    words = viewer_client.get("/runs/").text
    assert "<b>999 new runs</b>, <b>999 ended</b>" in words
    Run.objects.filter(pk__in=[run.pk for run in runs[:7]]).update(
        status="failed", end_read_at=later + dt.timedelta(minutes=1)
    )
    make_runs(1, completed_at=later + dt.timedelta(minutes=5), version=0, run_id="run_found")
    words = viewer_client.get("/runs/").text
    assert "<b>1,000 new runs</b>, <b>1,000 ended</b>" in words
    assert "7 of them failed" in words
    make_runs(5, now=now, end_read_at=now + dt.timedelta(seconds=9), status="failed", version=0)
    with CaptureQueriesContext(connection) as queries:
        words = viewer_client.get("/runs/").text
    assert "<b>more than 1,000 new runs</b>, <b>more than 1,000 ended</b>" in words
    assert "7 of the latest 1,000 failed" in words
    of_ends = [q["sql"] for q in queries if '"end_read_at" >' in q["sql"] or '"id" > ' in q["sql"]]
    assert of_ends
    assert all("LIMIT 1001" in sql for sql in of_ends)


def test_a_run_that_came_while_one_looked_is_still_new(viewer_client: Client):
    first = make_run()
    make_run()
    viewer_client.post("/runs/looked/", {"newest": first.pk})
    assert "<b>1 new run</b>" in viewer_client.get("/runs/").text


def test_strange_forms_and_strangers(viewer_client: Client, client: Client):
    run = make_run()
    look(viewer_client, run, version="x", micros="-1")
    look(viewer_client, run, version="9" * 30, micros="9" * 30)
    assert Watermark.objects.get().version == run.version
    assert viewer_client.post("/runs/looked/", {"newest": "x"}).status_code == 204
    assert viewer_client.post("/runs/run_none/looked/").status_code == 404
    for path in (f"/runs/{run.run_id}/looked/", "/runs/looked/"):
        assert viewer_client.get(path).status_code == 405
        assert client.post(path).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = viewer_client.cookies
    assert strict.post(f"/runs/{run.run_id}/looked/").status_code == 403


def test_to_say_that_one_looked_is_no_look(viewer_client: Client):
    run = make_run()
    look(viewer_client, run)
    viewer_client.post("/runs/looked/")
    assert not AuditEntry.objects.filter(page__endswith="looked").exists()


def test_lines_go_with_the_account_and_with_the_run(viewer: User):
    run = make_run()
    watermarks.saw(viewer.pk, run, 1, None)
    watermarks.looked(viewer.pk, None)
    run.delete()
    assert not Watermark.objects.exists()
    viewer.delete()
    assert not ListWatermark.objects.exists()


def test_the_lists_ask_the_same_for_many_known_runs(viewer_client: Client, viewer: User):
    watermarks.looked(viewer.pk, None)
    counts = []
    for number in (2, 30):
        for _ in range(number):
            run = make_run("running", step_count=0)
            watermarks.saw(viewer.pk, run, run.version, None)
            grow(run, steps=1)
        with CaptureQueriesContext(connection) as queries:
            page = viewer_client.get("/runs/").text
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 1
    assert "20 more runs that you know" in page
