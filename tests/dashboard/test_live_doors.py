"""Who gets a stream and how long, and what the live addresses make of a question."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard import sharing
from runs.models import Run
from tests.dashboard.streams import change, live, steps_in
from tests.eventstream import EventStream

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
