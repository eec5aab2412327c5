"""The audit log: who looked at what and who did what, in a chain that nobody can mend."""

import random
import re
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver

from dashboard import sharing
from dashboard.audit import acts, looks
from dashboard.audit.models import Act, AuditEntry, Result
from runs.models import Run
from tests.conftest import account, signed_in
from tests.dashboard.links import full_run, share
from tests.dashboard.logbook import added, entries, head, log_closed, undone, verified
from tests.dashboard.streams import live
from tests.eventstream import EventStream
from tests.factories import make_run

pytestmark = pytest.mark.django_db


# Who looked --------------------------------------------------------------------------------------

STAFF_PAGES = {
    "": "run",
    "cost/": "run-cost",
    "result/": "run-result",
    "logs/": "run-logs",
    "steps/1/": "step",
    "steps/2/input/": "step-payload",
    "text/prompt/": "run-text",
    "logs/1/": "run-log",
    "cost/1/metadata/": "entry-metadata",
}


@pytest.mark.parametrize(("path", "page"), STAFF_PAGES.items())
def test_each_look_at_a_run_is_in_the_log_with_who_what_and_where(
    viewer: User, viewer_client: Client, path: str, page: str
) -> None:
    run = full_run()
    with added() as rows:
        answer = viewer_client.get(f"/runs/{run.run_id}/{path}", REMOTE_ADDR="203.0.113.77")
    assert answer.status_code == 200
    (row,) = rows
    assert (row.person, row.name, row.run, row.page) == (viewer.pk, "violet", run.run_id, page)
    assert (row.result, row.address, row.link) == ("ok", "203.0.113.77", None)
    is_file = "Content-Disposition" in answer.headers
    assert row.act == (Act.DOWNLOAD if is_file else Act.LOOK)


def test_a_look_through_a_link_names_the_link_and_only_the_network(
    client: Client, member: User
) -> None:
    run = full_run()
    token = share(run, member)
    with added() as rows:
        client.get(f"/s/{token}/", REMOTE_ADDR="203.0.113.77")
    (row,) = rows
    link = run.share_links.get()
    assert (row.link, row.person, row.run, row.result) == (link.pk, None, run.run_id, "ok")
    assert row.address == "203.0.113.0/24"
    told = " ".join(str(value) for value in vars(row).values())
    assert token not in told


def test_what_was_refused_or_not_there_says_so(client: Client, viewer_client: Client) -> None:
    run = make_run()
    with added() as rows:
        client.get(f"/runs/{run.run_id}/")
        viewer_client.get("/runs/run_nowhere/")
        viewer_client.get(f"/runs/{run.run_id}/share/")
        client.get(f"/s/{'A' * 43}/")
    told = [(row.name, row.run, row.page, row.result) for row in rows]
    assert told == [
        ("", run.run_id, "run", "refused"),
        ("violet", "run_nowhere", "run", "not-found"),
        ("violet", run.run_id, "share-run", "refused"),
        ("", "", "shared-run", "not-found"),
    ]


def test_a_revoked_link_is_named_when_somebody_tries_it(client: Client, member: User) -> None:
    token = share(full_run(), member)
    link = member.share_links.get()
    sharing.revoke(link, member)
    with added() as rows:
        client.get(f"/s/{token}/cost/")
    assert [(row.link, row.result) for row in rows] == [(link.pk, "not-found")]


def test_a_poll_for_news_is_one_look_for_a_while(viewer_client: Client) -> None:
    run = full_run()
    with added() as rows:
        for _ in range(5):
            viewer_client.get(f"/runs/{run.run_id}/live/?since=0")
    assert [(row.page, row.act) for row in rows] == [("run-live", "look")]


def test_a_stream_is_one_row_when_it_opens(site: str, viewer_client: Client) -> None:
    run = full_run()
    with added() as rows, EventStream(live(site, run), viewer_client) as stream:
        assert stream.status == 200
    assert [(row.page, row.act, row.run) for row in rows] == [("run-live", "stream", run.run_id)]


def test_the_address_before_our_proxies_is_not_believed(
    viewer_client: Client, settings: Any
) -> None:
    run = make_run()
    forged: dict[str, Any] = {
        "HTTP_X_FORWARDED_FOR": "6.6.6.6, 198.51.100.9",
        "REMOTE_ADDR": "10.0.0.2",
    }
    for count, address in {0: "10.0.0.2", 1: "198.51.100.9"}.items():
        settings.ALLAUTH_TRUSTED_PROXY_COUNT = count
        with added() as rows:
            viewer_client.get(f"/runs/{run.run_id}/", **forged)
        assert [row.address for row in rows] == [address]


@pytest.mark.parametrize("model", ["run", "step", "usageentry", "poll", "payload"])
def test_the_administration_s_pages_of_a_run_are_looks_at_it(admin: User, model: str) -> None:
    run = full_run()
    run.payloads.create(
        kind="good", body=zlib.compress(b"{}"), size=2, observed_at=run.first_seen_at
    )
    rows_of: dict[str, Any] = {"run": run, "poll": run.poll, "payload": run.payloads.get()}
    row_of: Any = rows_of.get(model) or (run.steps if model == "step" else run.entries).first()
    with added() as rows:
        answer = signed_in(admin).get(f"/admin/runs/{model}/{row_of.pk}/change/")
    assert answer.status_code == 200
    told = [(row.act, row.run, row.page) for row in rows if row.act != Act.LOGIN]
    assert told == [("admin", run.run_id, f"admin:runs_{model}_change")]


def test_poll_now_and_lifting_a_quarantine_are_rows_for_each_run(admin: User) -> None:
    runs = [make_run(), make_run(poll_quarantined_at=make_run().first_seen_at)]
    client = signed_in(admin)
    keys = [run.poll.pk for run in runs]
    with added() as rows:
        client.post("/admin/runs/poll/", {"action": "lift_quarantine", "_selected_action": keys})
    assert [(row.act, row.run, row.name) for row in rows] == [
        ("quarantine-lifted", run.run_id, "ada") for run in runs
    ]


def routes(patterns: list[Any], prefix: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        where = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else space
            yield from routes(pattern.url_patterns, where, inner)
        elif isinstance(pattern, URLPattern):
            yield f"{space}{pattern.name}", where


def test_no_route_is_left_out_of_the_log_unless_it_is_named() -> None:
    """What a new page shows is recorded by itself; this holds the list of those that are not."""
    silent = {
        name
        for name, where in routes(get_resolver().url_patterns)
        if name in looks.UNRECORDED or f"/{where}".startswith(looks.ACCOUNTS)
    }
    assert {"healthz", "readyz"} <= silent
    telling = re.compile("run|step|share|seen|raw|export|overview|dashboard_")
    harmless = {"export-progress", "run-looked"}  # how far a file has come; a note of having looked
    assert {name for name in silent if telling.search(name)} <= harmless


# What was done -----------------------------------------------------------------------------------


def test_signing_in_and_out_and_failing_to_are_rows(client: Client, viewer: User) -> None:
    known = {"login": "violet", "password": "violet of the tests"}
    with added() as rows:
        client.post("/accounts/login/", {"login": "violet", "password": "hunter2-by-mistake"})
        client.post("/accounts/login/", {"login": "hunter2-by-mistake", "password": "x"})
        client.post("/accounts/login/", known)
        client.post("/accounts/logout/")
    told = [(row.act, row.name, row.result) for row in rows]
    assert told[0] == ("login-failed", "violet", "refused")
    assert told[1] == ("login-failed", "", "refused")
    assert ("login", "violet", "ok") in told
    assert told[-1] == ("logout", "violet", "ok")
    assert "hunter2" not in " ".join(row.detail + row.name for row in rows)


def test_making_changing_and_revoking_a_link_are_rows(member: User, member_client: Client) -> None:
    run = make_run()
    with added() as rows:
        link, _ = sharing.create(run, member, "For counsel", 7)
        member_client.post(f"/share-links/{link.pk}/revoke/")
        member_client.post(f"/share-links/{link.pk}/revoke/")  # it had been
    told = [(row.act, row.run, row.link, row.name) for row in rows]
    assert told == [
        ("share-made", run.run_id, link.pk, "mira"),
        ("share-revoked", run.run_id, link.pk, "mira"),
    ]


def test_changes_of_accounts_and_roles_say_what_changed(admin: User) -> None:
    user = account("nora", "viewer")
    with added() as rows:
        user.is_staff = True
        user.set_password("another one of the tests")
        user.save()
        user.groups.set([Group.objects.get(name="admin")])
        user.save(update_fields=["last_login"])
        user.delete()
    assert [row.detail for row in rows] == [
        "nora: is_staff False → True, new password",
        "nora: loses viewer",
        "nora: gets admin",
        "nora: deleted",
    ]
    assert {row.act for row in rows} == {Act.ACCOUNT}


def test_what_a_role_may_is_a_row_too(admin: User) -> None:
    group = Group.objects.create(name="auditors")
    permission = Group.objects.get(name="admin").permissions.get(codename="view_auditentry")
    with added() as rows:
        group.permissions.add(permission)
    assert [(row.act, row.detail) for row in rows] == [("role", "auditors: gets view_auditentry")]


# Nothing unrecorded is shown ---------------------------------------------------------------------


def test_what_cannot_be_recorded_is_not_shown(viewer_client: Client, member: User) -> None:
    run = full_run(prompt="Privileged words")
    token = share(run, member)
    with log_closed():
        for path in (f"/runs/{run.run_id}/", f"/runs/{run.run_id}/text/prompt/", f"/s/{token}/"):
            with undone():
                answer = viewer_client.get(path)
            assert answer.status_code == 503, path
            assert "Privileged" not in answer.text
    assert viewer_client.get(f"/runs/{run.run_id}/").status_code == 200


def test_a_link_whose_row_cannot_be_written_is_not_made(member: User) -> None:
    run = make_run()
    with log_closed(), undone(), pytest.raises(DatabaseError):
        sharing.create(run, member, "x", 7)
    assert not run.share_links.exists()


def test_strangers_cannot_fill_the_log(client: Client) -> None:
    run = make_run()
    with added() as rows:
        for _ in range(looks.PER_PLACE + 40):
            client.get(f"/runs/{run.run_id}/")
        client.get(f"/runs/{run.run_id}/", REMOTE_ADDR="198.51.100.1")
    assert len(rows) == looks.PER_PLACE + 1
    assert rows[-1].detail.startswith("40 like it left out before")


# Under load --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_rows_equal_the_views_served_by_many_at_once(viewer: User) -> None:
    runs = [full_run() for _ in range(3)]
    before = head()
    served: list[tuple[str, int]] = []

    def browse(number: int) -> None:
        client, chance = signed_in(viewer), random.Random(number)
        for _ in range(15):
            run = chance.choice(runs)
            path = chance.choice(["", "cost/", "steps/1/", "text/prompt/", "nowhere/"])
            answer = client.get(f"/runs/{run.run_id}/{path}")
            served.append((run.run_id, answer.status_code))
        connections.close_all()

    threads = [threading.Thread(target=browse, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for _, status in served} == {200, 404}
    good = [run_id for run_id, status in served if status == 200]
    rows = [row.run for row in entries(before) if row.result == Result.OK and row.run]
    assert sorted(rows) == sorted(good)
    assert verified()[0] == 0


# Pages -------------------------------------------------------------------------------------------


def test_members_see_who_has_seen_a_run_people_and_links(
    member_client: Client, viewer_client: Client, client: Client, member: User
) -> None:
    run = full_run()
    token = share(run, member)
    viewer_client.get(f"/runs/{run.run_id}/cost/")
    client.get(f"/s/{token}/")
    client.get(f"/s/{'A' * 43}/")
    page = member_client.get(f"/runs/{run.run_id}/seen/")
    assert page.status_code == 200
    assert "violet" in page.text
    assert "For opposing counsel" in page.text
    assert "127.0.0.0/24" in page.text
    assert f"/runs/{run.run_id}/seen/" in member_client.get(f"/runs/{run.run_id}/").text
    assert viewer_client.get(f"/runs/{run.run_id}/seen/").status_code == 403
    assert "/seen/" not in viewer_client.get(f"/runs/{run.run_id}/").text
    assert member_client.get("/runs/run_nowhere/seen/").status_code == 404


def test_the_looks_are_paged_newest_first_and_none_is_lost(member_client: Client) -> None:
    run = make_run()
    for number in range(230):
        acts.record(Act.LOOK, run=run.run_id, page="step", detail=f"position {number}")
    found: list[str] = []
    path = f"/runs/{run.run_id}/seen/"
    address = path
    while address:
        text = member_client.get(address).text
        found += re.findall(r"position (\d+)", text)
        onward = re.search(r'href="\?after=(\d+)"', text)
        address = f"{path}?after={onward[1]}" if onward else ""
    assert found == [str(number) for number in range(229, -1, -1)]


def test_a_hostile_name_and_purpose_stay_text(member: User, member_client: Client) -> None:
    run = full_run()
    sharing.create(run, member, "<script>alert(1)</script>", 7)
    link = run.share_links.get()
    acts.record(Act.LOOK, run=run.run_id, link=link.pk, page="<b>x</b>", detail="<i>y</i>")
    text = member_client.get(f"/runs/{run.run_id}/seen/").text
    assert "<script>alert" not in text
    assert "<b>x" not in text
    assert "<i>y" not in text


def test_the_administration_reads_the_log_and_nobody_edits_it(admin: User, member: User) -> None:
    run = make_run()
    for number in range(60):
        acts.record(Act.LOOK, run=run.run_id, page="run", detail=str(number), by=member)
    number = head()
    client = signed_in(admin)
    client.get("/admin/dashboard/auditentry/")
    for path in (
        "/admin/dashboard/auditentry/",
        f"/admin/dashboard/auditentry/?q={run.run_id}",
        f"/admin/dashboard/auditentry/?act=look&person={member.pk}&result=ok",
        "/admin/dashboard/auditentry/?at__gte=2020-01-01+00:00:00Z&at__lt=2120-01-01+00:00:00Z",
        f"/admin/dashboard/auditentry/{number}/change/",
    ):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        assert answer.status_code == 200, path
        assert run.run_id in answer.text
        assert len(queries) <= 15, path
    assert (
        client.post(f"/admin/dashboard/auditentry/{number}/change/", {"name": "x"}).status_code
        == 403
    )
    assert client.get("/admin/dashboard/auditentry/add/").status_code == 403
    assert client.post(f"/admin/dashboard/auditentry/{number}/delete/").status_code == 403


def test_a_run_that_is_gone_stays_in_the_log(viewer_client: Client) -> None:
    run = make_run()
    viewer_client.get(f"/runs/{run.run_id}/")
    run_id = run.run_id
    Run.objects.filter(pk=run.pk).delete()
    assert AuditEntry.objects.filter(run=run_id).exists()
