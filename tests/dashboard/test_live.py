"""The live addresses, through a real server: what streams bring, when they end, who gets one."""

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard import sharing
from dashboard.live.hub import census
from runs import notices
from runs.models import Poll, Run, Step, Upstream
from tests.eventstream import EventStream
from tests.factories import make_entries, make_run, make_steps
from tests.product import ROOT, free_port, until


@pytest.fixture
def run(site: str) -> Run:
    return make_run("running", run_id="run_live", step_count=0)


def change(run: Run, steps: int = 0, tell: bool = True, **fields: object) -> None:
    """What a sync does: new rows under a new version, and a notice once they are there."""
    run.version += 1
    if steps:
        make_steps(run, steps)
    Run.objects.filter(pk=run.pk).update(version=run.version, **fields)
    if tell:
        notices.publish([notices.Notice(run.pk, run.version)])


def live(site: str, run: Run, since: int | None = None, tab: str = "timeline") -> str:
    since = run.version if since is None else since
    return f"{site}/runs/{run.run_id}/live/?since={since}&tab={tab}"


def steps_in(stream: EventStream) -> list[str]:
    """Ids of the lines that came, in their order."""
    return [piece.partition('"')[0] for piece in stream.html.split('<li id="')[1:]]


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


# One rendering for all -------------------------------------------------------------------------


def test_a_change_is_rendered_once_however_many_look(
    site: str, run: Run, viewer_client: Client
) -> None:
    streams = [EventStream(live(site, run), viewer_client) for _ in range(25)]
    try:
        for stream in streams:
            stream.__enter__()
            stream.until(lambda it: "run-fresh" in it.html and "site-fresh" in it.html)
        before = census()
        assert before.streams == 25
        change(run, steps=1)
        for stream in streams:
            stream.until(lambda it: 'id="s1"' in it.html)
        # The change itself; at most two more pieces may fall due by the clock meanwhile.
        assert 1 <= census().rendered - before.rendered <= 3
    finally:
        for stream in streams:
            stream.close()
    until(lambda: census().streams == 0, 5, "all streams to be freed")
    assert census().runs == 0


def test_a_browser_that_does_not_read_is_sent_the_newest_when_it_does(
    site: str, run: Run, viewer_client: Client
) -> None:
    cookie = viewer_client.cookies[django_settings.SESSION_COOKIE_NAME]
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(3)
        slow.connect(("127.0.0.1", int(site.rpartition(":")[2])))
        slow.sendall(
            f"GET /runs/{run.run_id}/live/?since=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Accept: text/event-stream\r\nCookie: {cookie.key}={cookie.value}\r\n\r\n".encode()
        )
        until(lambda: census().streams == 1, 5, "the stream")
        make_steps(run, 30, type=Step.Type.OUTPUT, content="x" * 4_000)
        for _ in range(120):
            run.steps.update(changed_version=run.version + 1)
            change(run)
            time.sleep(0.02)
        came = b""
        while f"id: {run.version}\n".encode() not in came:
            came += slow.recv(2**20)
        assert came.count(b"\nid: ") < 110


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


# Who gets one ----------------------------------------------------------------------------------


def test_a_stranger_is_sent_to_the_login(site: str, run: Run) -> None:
    with EventStream(live(site, run)) as stream:
        assert stream.status == 302
        assert stream.response is not None
        assert "/accounts/login/" in stream.response.headers["location"]
        assert stream.events == []
    with EventStream(f"{site}/runs/live/?ids={run.pk}:1") as stream:
        assert stream.status == 302


def test_an_unknown_run_has_no_stream(site: str, run: Run, viewer_client: Client) -> None:
    with EventStream(f"{site}/runs/run_other/live/?since=0", viewer_client) as stream:
        assert stream.status == 404


def test_the_stream_of_a_disabled_account_is_cut(
    site: str, run: Run, viewer: User, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        viewer.is_active = False
        viewer.save()
        assert stream.until(lambda it: it.has_ended, 8) < 6
        assert stream.events[-1].name == "gone"


def test_the_stream_of_an_account_that_lost_its_role_is_cut(
    site: str, run: Run, viewer: User, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        viewer.groups.clear()
        stream.until(lambda it: it.has_ended, 8)


def test_logging_out_cuts_the_streams_of_that_session_alone(
    site: str, run: Run, viewer: User, viewer_client: Client
) -> None:
    elsewhere = Client()
    elsewhere.force_login(viewer)
    with (
        EventStream(live(site, run), viewer_client) as stream,
        EventStream(live(site, run), elsewhere) as other,
    ):
        viewer_client.session.flush()
        stream.until(lambda it: it.has_ended, 8)
        assert not other.has_ended


def test_a_new_password_cuts_the_streams_opened_with_the_old(
    site: str, run: Run, viewer: User, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        viewer.set_password("another one")
        viewer.save()
        stream.until(lambda it: it.has_ended, 8)


def test_the_stream_of_a_revoked_link_is_cut_and_knows_nothing_of_the_site(
    site: str, run: Run, member: User
) -> None:
    link, token = sharing.create(run, member, "For the client", days=7)
    address = f"{site}/s/{token}/live/?since=1&tab=timeline"
    with EventStream(address) as stream:
        assert stream.status == 200
        change(run, steps=1)
        stream.until(lambda it: bool(it.named("change")) and it.named("change")[-1].id == "2")
        sharing.revoke(link, member)
        assert stream.until(lambda it: it.has_ended, 8) < 6
        assert stream.events[-1].name == "gone"
    assert "site-fresh" not in stream.html
    assert f"/runs/{run.run_id}/" not in stream.html
    with EventStream(address) as stream:
        assert stream.status == 404


def test_an_expired_link_loses_its_stream(site: str, run: Run, member: User) -> None:
    link, token = sharing.create(run, member, "For the client", days=7)
    with EventStream(f"{site}/s/{token}/live/?since=1") as stream:
        assert stream.status == 200
        link.expires_at = timezone.now() - dt.timedelta(seconds=1)
        link.save()
        stream.until(lambda it: it.has_ended, 8)


def test_one_link_cannot_use_up_all_the_room(site: str, run: Run, member: User) -> None:
    _, token = sharing.create(run, member, "For the client", days=7)
    address = f"{site}/s/{token}/live/?since=1"
    streams = [EventStream(address) for _ in range(50)]
    try:
        for stream in streams:
            assert stream.__enter__().status == 200
        with EventStream(address) as stream:
            assert stream.status == 503
    finally:
        for stream in streams:
            stream.close()


# What is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "since=-1",
        "since=one",
        "since=1.5",
        "since=99999999999999999999999",
        "since=%D9%A1",  # a digit to Python's \d, no number here
        "since=1&tab=everything",
        "since=1&at=x",
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_in_words(
    site: str, run: Run, viewer_client: Client, query: str
) -> None:
    response = viewer_client.get(f"/runs/{run.run_id}/live/?{query}")
    assert response.status_code == 400
    assert b"must" in response.content


@pytest.mark.parametrize(
    "ids",
    [
        "1",
        "1:",
        ":1",
        "1:2:3",
        "a:b",
        "1:1;drop table",
        "-1:1",
        "9223372036854775808:1",
        ",".join(f"{pk}:1" for pk in range(201)),
        "<script>alert(1)</script>:1",
    ],
)
def test_a_hostile_list_of_ids_is_refused_in_words(
    site: str, viewer_client: Client, ids: str
) -> None:
    response = viewer_client.get("/runs/live/", {"ids": ids})
    assert response.status_code == 400
    assert response["Content-Type"].startswith("text/plain")
    assert b"ids must" in response.content


def test_a_version_from_before_a_backup_was_restored_gets_everything(
    site: str, run: Run, viewer_client: Client
) -> None:
    change(run, steps=2)
    with EventStream(live(site, run, since=5_000), viewer_client) as stream:
        stream.until(lambda it: steps_in(it) == ["s1", "s2"])


def test_the_answer_passes_proxies_unheld_and_caches_unkept(
    site: str, run: Run, viewer_client: Client
) -> None:
    with EventStream(live(site, run), viewer_client) as stream:
        assert stream.response is not None
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert "content-length" not in headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert stream.until(lambda it: bool(it.named("beat"))) < 3


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


# The server stops ------------------------------------------------------------------------------

SERVE = """
import sys, uvicorn
from dashboard import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
uvicorn.run("dashboard.asgi:application", port=int(sys.argv[2]), log_level="warning")
"""


@pytest.fixture
def process(run: Run) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The site as a process of its own, on this test's database."""
    port = free_port()
    name = str(connection.settings_dict["NAME"])
    served = subprocess.Popen(
        [sys.executable, "-c", SERVE, name, str(port)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"},
    )
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{url}/healthz"), 30, "the server")
    yield url, served
    served.terminate()
    served.wait(10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_server_that_stops_ends_its_streams_at_once(
    process: tuple[str, "subprocess.Popen[bytes]"], run: Run, viewer_client: Client
) -> None:
    url, served = process
    with EventStream(live(url, run), viewer_client) as stream:
        stream.until(lambda it: "run-fresh" in it.html)
        served.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        served.wait(10)
        stream.until(lambda it: it.has_ended)
        assert time.monotonic() - asked_at < 2
        assert not stream.named("gone")


def test_an_open_stream_keeps_no_database_connection_and_no_thread(
    process: tuple[str, "subprocess.Popen[bytes]"], run: Run, viewer_client: Client
) -> None:
    url, served = process
    streams = [EventStream(live(url, run), viewer_client) for _ in range(30)]
    try:
        for stream in streams:
            stream.__enter__()
            stream.until(lambda it: "run-fresh" in it.html)
        held = Path(f"/proc/{served.pid}")
        assert len(list((held / "task").iterdir())) < 15
        opened = [os.readlink(one) for one in (held / "fd").iterdir() if one.is_symlink()]
        sockets = [one for one in opened if one.startswith("socket:")]
        assert len([one for one in opened if "sqlite3" in one]) <= 6
        assert len(sockets) <= 30 + 10  # the streams, the listener, Valkey and the hub's own
    finally:
        for stream in streams:
            stream.close()
