"""The live addresses, through a real server: what streams bring, and when they end."""

import datetime as dt
import re
import time

import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from dashboard.live.hub import census
from runs import notices
from runs.models import Poll, Run, Step, Upstream
from tests.dashboard.streams import change, live, steps_in
from tests.eventstream import EventStream
from tests.factories import make_entries, make_run, make_steps
from tests.product import until

# What comes ------------------------------------------------------------------------------------


def test_a_change_arrives_at_once_with_its_new_step(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        change(run, steps=1)
        took = stream.until(lambda it: 'id="s1"' in it.html)
        assert took < 1
        assert [event.id for event in stream.named("change") if event.id] == ["2"]


def test_what_was_missed_arrives_exactly_once_after_a_reconnect(
    site: str, run: Run, viewer_client: Client
) -> None:
    change(run, steps=3)
    with EventStream(live(site, run), viewer_client) as stream:
        change(run, steps=1)
        stream.until(lambda it: "s4" in steps_in(it))
        last_id = stream.named("change")[-1].id or "3"
    change(run, steps=2)
    Step.objects.filter(run=run, position=3).update(
        content="Said otherwise.", changed_version=run.version + 1
    )
    change(run)
    first = live(site, run, since=1)
    with EventStream(first, viewer_client, **{"Last-Event-ID": last_id}) as stream:
        stream.until(lambda it: "s6" in steps_in(it))
        change(run, steps=1)
        stream.until(lambda it: "s7" in steps_in(it))
    # s4 follows the one that changed, so its line is drawn anew too.
    assert steps_in(stream) == ["s3", "s4", "s5", "s6", "s7"]
    assert "Said otherwise." in stream.html


def test_without_redis_changes_still_arrive_within_three_seconds(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        change(run, steps=1, tell=False)
        assert stream.until(lambda it: 'id="s1"' in it.html) < 3


def test_a_stream_opened_while_redis_is_away_brings_changes(
    site: str, run: Run, viewer_client: Client, settings: object
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"  # type: ignore[attr-defined]
    notices.connection.cache_clear()
    try:
        with EventStream(live(site, run), viewer_client) as stream:
            change(run, steps=1)
            assert stream.until(lambda it: 'id="s1"' in it.html) < 3
    finally:
        notices.connection.cache_clear()


def test_a_notice_that_promises_too_much_is_harmless(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        notices.publish([notices.Notice(run.pk, 9_000), notices.Notice(123_456, 2)])
        with redis.Redis.from_url(django_settings.REDIS_URL) as connection:
            connection.publish(notices.CHANNEL, b"\xff no notice at all")
        time.sleep(0.5)
        change(run, steps=1)
        stream.until(lambda it: 'id="s1"' in it.html)
        assert stream.named("change")[-1].id != "9000"


def test_many_steps_at_once_come_in_part_and_the_rest_is_named(
    site: str, run: Run, viewer_client: Client
) -> None:
    change(run, steps=450)
    with EventStream(live(site, run, since=1), viewer_client) as stream:
        stream.until(lambda it: bool(it.named("catch-up")))
        assert len(steps_in(stream)) == 200
        assert stream.named("catch-up")[0].text == '{"up_to":200,"last":450}'


@pytest.mark.parametrize(
    ("tab", "piece"),
    [
        ("cost", '<section id="cost-totals"'),
        ("cost", '<section id="cost-entries"'),
        ("result", '<section id="run-result"'),
        ("logs", '<section id="run-logs"'),
        ("raw", '<section id="run-head"'),
    ],
)
def test_each_tab_gets_its_own_regions_and_no_steps(
    site: str, run: Run, viewer_client: Client, tab: str, piece: str
) -> None:
    with EventStream(live(site, run, tab=tab), viewer_client) as stream:
        make_entries(run, 2)
        change(run, steps=1, output="# Memo", logs=[["stdout", "hello"]])
        stream.until(lambda it: piece in it.html)
        assert steps_in(stream) == []


def test_a_region_that_stayed_the_same_is_not_sent_again(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run, tab="logs"), viewer_client) as stream:
        change(run, logs=[["stdout", "hello"]])
        stream.until(lambda it: it.html.count('id="run-logs"') == 1)
        change(run, output_tokens=77)
        stream.until(lambda it: it.named("change")[-1].id == "3")
        assert stream.html.count('id="run-logs"') == 1


def test_text_of_the_api_cannot_end_an_event_or_escape_into_the_page(
    site: str, run: Run, viewer_client: Client
) -> None:
    hostile = "one\r\n\r\nevent: gone\rdata: x\n\n<script>alert(1)</script>\u2028end"
    with EventStream(live(site, run), viewer_client) as stream:
        change(run, steps=1)
        Step.objects.filter(run=run).update(content=hostile, changed_version=run.version + 1)
        change(run)
        stream.until(lambda it: "&lt;script&gt;" in it.html)
        assert not stream.named("gone")
        assert "<script" not in stream.html


def test_a_page_is_told_when_case_dev_stops_answering(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "site-fresh" in it.html)
        Upstream.objects.update_or_create(
            pk=Upstream.SOLE,
            defaults={"state": "down", "since": timezone.now(), "last_error": "It answered 503."},
        )
        notices.publish_upstream()
        assert stream.until(lambda it: "It answered 503" in it.html) < 2
        assert "banners" in stream.html


def test_an_open_page_has_its_run_marked_as_watched(
    site: str, run: Run, viewer_client: Client
) -> None:
    assert notices.watched([run.pk]) == set()
    with EventStream(live(site, run), viewer_client):
        until(lambda: notices.watched([run.pk]), 3, "the mark")


# The end ---------------------------------------------------------------------------------------


def test_the_stream_of_a_run_ends_after_its_last_poll(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        change(run, steps=1, status="completed")
        stream.until(lambda it: 'class="status completed"' in it.html)
        time.sleep(1.5)
        assert not stream.has_ended  # late costs may come
        Poll.objects.filter(run=run).update(due_at=None)
        stream.until(lambda it: it.has_ended)
        assert stream.events[-1].name == "end"
        assert "final" in stream.html


def test_the_stream_of_a_run_that_is_over_brings_what_was_missed_and_ends(
    site: str, viewer_client: Client
) -> None:
    run = make_run("completed", version=4, step_count=0)
    make_steps(run, 2)
    with EventStream(live(site, run, since=3), viewer_client) as stream:
        stream.until(lambda it: it.has_ended)
        assert steps_in(stream) == ["s1", "s2"]
        assert stream.events[-1].name == "end"


@pytest.mark.parametrize("way", ["again", "Last-Event-ID"])
def test_what_follows_slowly_is_not_lost_with_the_connection(
    site: str,
    run: Run,
    viewer_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dashboard.live.streams.LATER", 60)
        with EventStream(live(site, run, tab="result"), viewer_client) as stream:
            change(run, output="# Memo", status="completed")
            stream.until(lambda it: 'class="status completed"' in it.html)
            last_id = next(one.id for one in reversed(stream.events) if one.id)
    assert "Memo" not in stream.html
    Poll.objects.filter(run=run).update(due_at=None)
    address = live(site, run, since=int(last_id), tab="result")
    headers = {"Last-Event-ID": last_id} if way == "Last-Event-ID" else {}
    with EventStream(f"{address}&{way}=1", viewer_client, **headers) as stream:
        stream.until(lambda it: it.has_ended)
        assert "Memo" in stream.html
        assert stream.events[-1].name == "end"


def test_a_page_that_was_just_made_is_not_sent_what_it_has(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run, tab="result"), viewer_client) as stream:
        stream.until(lambda it: 'id="run-fresh"' in it.html)
        assert 'id="run-result"' not in stream.html


# Polling where streams do not pass -------------------------------------------------------------


def test_a_page_without_a_stream_gets_the_same_pieces_in_one_answer(
    site: str, run: Run, viewer_client: Client
) -> None:
    change(run, steps=2)
    response = viewer_client.get(f"/runs/{run.run_id}/live/?since=1&tab=timeline")
    html = response.content.decode()
    assert '<ol hx-swap-oob="beforeend:#steps">' in html
    assert 'id="s2"' in html
    assert 'id="run-fresh"' in html
    assert response["Runsheet-Version"] == "2"
    assert response["Runsheet-State"] == '{"over":false,"catch_up":null}'
    again = viewer_client.get(f"/runs/{run.run_id}/live/?since=2&tab=timeline")
    assert 'id="s2"' not in again.content.decode()
    assert again["Runsheet-Version"] == "2"


def test_a_polling_page_learns_that_the_run_is_over(site: str, viewer_client: Client) -> None:
    run = make_run("failed")
    response = viewer_client.get(f"/runs/{run.run_id}/live/?since=1&tab=cost")
    assert response["Runsheet-State"] == '{"over":true,"catch_up":null}'


# Lists -----------------------------------------------------------------------------------------


def test_rows_that_changed_are_sent_and_no_others(
    site: str, run: Run, viewer_client: Client
) -> None:
    quiet = make_run("running", run_id="run_quiet")
    change(run, step_count=5)
    ids = f"{run.pk}:1,{quiet.pk}:{quiet.version},999999:1"
    with EventStream(f"{site}/runs/live/?ids={ids}&seen={quiet.pk}", viewer_client) as stream:
        stream.until(lambda it: f'id="run-{run.pk}"' in it.html)
        change(quiet, status="failed")
        stream.until(lambda it: f'id="run-{quiet.pk}"' in it.html)
        assert stream.html.count("<tr ") == 2
        assert "arrivals" not in stream.html


def test_later_runs_are_counted(site: str, run: Run, viewer_client: Client) -> None:
    with EventStream(f"{site}/runs/live/?ids=&seen={run.pk}", viewer_client) as stream:
        stream.until(lambda it: "site-fresh" in it.html)
        make_run("queued")
        make_run("queued")
        stream.until(lambda it: "2 new runs" in it.html, 6)


def test_a_row_says_that_a_run_stalled_though_it_did_not_change(
    site: str, viewer_client: Client
) -> None:
    long_ago = timezone.now() - dt.timedelta(minutes=9, seconds=58)
    run = make_run("queued", created_at=long_ago)
    with EventStream(f"{site}/runs/live/?ids={run.pk}:1", viewer_client) as stream:
        stream.until(lambda it: "stalled" in it.html, 8)


def test_how_long_a_run_has_stalled_is_not_told_as_it_once_was(
    site: str, viewer_client: Client
) -> None:
    """Pieces are kept for who asks next; what moves with time alone is not."""
    run = make_run("queued", created_at=timezone.now() - dt.timedelta(minutes=11))
    ways = live(site, run), f"{site}/runs/live/?ids={run.pk}:1"
    for minutes in (11, 71):
        began = timezone.now() - dt.timedelta(minutes=minutes)
        Run.objects.filter(pk=run.pk).update(created_at=began, first_seen_at=began)
        said = f"{minutes} min"
        for way in ways:
            with EventStream(way, viewer_client) as stream:
                stream.until(lambda it: "stalled" in it.html, 8)
                titles = re.findall(r'title="([^"]*(?:queued|start)[^"]*)"', stream.html)
                assert any(said in title for title in titles), (minutes, way, titles)
            until(lambda: census().runs == 0, 5, "the stream to be forgotten")
