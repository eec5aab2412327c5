"""A recipient's side of share links: one run, to read, and the same answer to all else."""

import datetime as dt
import hashlib
import logging
import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core import serializers
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import sharing
from dashboard.models import ShareLink, ShareView
from runs.models import Run, Step
from tests.dashboard.links import DOWNLOADS, PAGES, full_run, only_link, share, wrong_tokens
from tests.factories import make_entries, make_run, make_steps

pytestmark = pytest.mark.django_db


def told(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    """All that an answer tells."""
    return answer.status_code, answer.content, dict(answer.items())


# The token ---------------------------------------------------------------------------------------


def test_the_token_is_kept_nowhere_only_its_sha256(
    member_client: Client, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run = full_run()
    made = member_client.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": "7"})
    found = re.search(r"/s/([A-Za-z0-9_-]{43})/", made.text)
    assert found
    token = found[1]
    for path in (*PAGES, *DOWNLOADS, "nowhere/", "live/"):
        client.get(f"/s/{token}/{path}")
    client.post(f"/s/{token}/")
    client.get(f"/x/s/{token}/")
    assert bytes(only_link().token_digest) == hashlib.sha256(token.encode()).digest()
    assert token not in caplog.text
    stored = "".join(
        serializers.serialize("json", model._default_manager.all()) for model in apps.get_models()
    )
    stored += "".join(str(session.get_decoded()) for session in Session.objects.all())
    assert run.run_id in stored
    assert token not in stored
    assert token not in str(dict(client.session)) + str(dict(member_client.session))


def test_tokens_are_masked_in_whatever_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = "A" * 43
    logger = logging.getLogger("some.library")
    logger.warning("Not Found: %s", f"/s/{token}/cost/")
    logger.warning("at http://host/s/%s/ and 'runs/%s'", token, "B" * 43)
    try:
        raise LookupError(f"no match for 's/{token}/x'")
    except LookupError:
        logger.exception("an error")
    assert token not in caplog.text
    assert caplog.text.count("s/***") == 3
    assert "B" * 43 in caplog.text
    assert "LookupError" in caplog.text


def test_a_page_that_fails_leaves_no_token_in_the_log_and_keeps_its_headers(
    client: Client, member: User, caplog: pytest.LogCaptureFixture
) -> None:
    token = share(make_run(), member)
    connection.check_constraints()  # or PostgreSQL has rows of the table yet to check
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE runs_usageentry")
    client.raise_request_exception = False
    answer = client.get(f"/s/{token}/cost/")
    assert answer.status_code == 500
    assert "Internal Server Error: /s/***/cost/" in caplog.text
    assert "runs_usageentry" in caplog.text  # the traceback is there
    assert token not in caplog.text
    assert answer["Cache-Control"] == "no-store"
    assert answer["Referrer-Policy"] == "no-referrer"


def test_two_links_never_share_a_token(member: User) -> None:
    run = make_run()
    tokens = {share(run, member) for _ in range(50)}
    assert len(tokens) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)


# What the recipient sees -------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [*PAGES, *DOWNLOADS])
def test_every_page_opens_without_an_account(client: Client, member: User, tail: str) -> None:
    answer = client.get(f"/s/{share(full_run(), member)}/{tail}")
    assert answer.status_code == 200
    assert not answer.cookies


@pytest.mark.parametrize("status", ["queued", "running", "failed", "cancelled", "odd", ""])
def test_a_run_of_any_status_opens_also_when_it_holds_nothing(
    client: Client, member: User, status: str
) -> None:
    token = share(make_run(status, prompt=None, step_count=0, cost_micros=None), member)
    for tail in ("", "cost/", "result/", "logs/"):
        assert client.get(f"/s/{token}/{tail}").status_code == 200


def test_the_pages_show_the_run(client: Client, member: User) -> None:
    run = full_run()
    token = share(run, member)
    text = client.get(f"/s/{token}/").text
    assert run.run_id in text
    assert str(run.prompt) in text
    assert "Memo" in client.get(f"/s/{token}/result/").text
    assert "started" in client.get(f"/s/{token}/logs/").text


@pytest.mark.parametrize("tail", PAGES)
def test_a_shared_page_names_no_address_outside_its_link(
    client: Client, member: User, tail: str
) -> None:
    token = share(full_run(), member)
    text = client.get(f"/s/{token}/{tail}").text
    named = re.findall(r"""\b(?:href|src|action|hx-get|sse-connect|data-[a-z-]+)="(/[^"]*)""", text)
    assert named
    outside = [path for path in named if not path.startswith((f"/s/{token}/", "/static/"))]
    assert outside == []
    assert "<form" not in text or 'method="post"' not in text
    assert 'type="search"' not in text


@pytest.mark.parametrize("tail", PAGES)
def test_the_title_tells_nothing_of_the_matter(client: Client, member: User, tail: str) -> None:
    text = client.get(f"/s/{share(full_run(), member)}/{tail}").text
    head = text.split("</head>")[0]
    assert re.findall(r"<title>(.*?)</title>", head) == ["Shared run · Runsheet"]
    assert '<meta name="robots" content="noindex, nofollow, noarchive">' in text


def test_somebody_signed_in_sees_no_more_than_a_stranger(
    client: Client, member_client: Client, member: User
) -> None:
    token = share(full_run(), member)
    strange, known = client.get(f"/s/{token}/").text, member_client.get(f"/s/{token}/").text
    for text in (strange, known):
        assert "mira" not in text
        assert "/runs/" not in text
        assert "For opposing counsel" not in text


def test_a_link_shows_no_raw_answer(client: Client, member: User) -> None:
    token = share(full_run(), member)
    assert client.get(f"/s/{token}/raw/").status_code == 404
    assert "raw/" not in client.get(f"/s/{token}/").text


def test_a_link_pasted_without_its_last_slash_opens(client: Client, member: User) -> None:
    assert client.get(f"/s/{share(full_run(), member)}").status_code == 200


@pytest.mark.parametrize("tail", [*PAGES, *DOWNLOADS, "live/", "nowhere/", "steps/99/"])
@pytest.mark.parametrize("method", ["get", "head", "post", "put", "delete", "options"])
def test_every_answer_forbids_copies_indexing_and_referrers(
    client: Client, member: User, tail: str, method: str
) -> None:
    for token in (share(full_run(), member), "unknown"):
        answer = getattr(client, method)(f"/s/{token}/{tail}")
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Robots-Tag"] == "noindex, nofollow, noarchive"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer["Content-Security-Policy"]


@pytest.mark.parametrize("tail", [*PAGES, *DOWNLOADS])
def test_a_head_request_gets_the_headers_and_counts_as_no_view(
    client: Client, member: User, tail: str
) -> None:
    path = f"/s/{share(full_run(), member)}/{tail}"
    answer = client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer["Content-Type"] == client.get(path)["Content-Type"]
    assert ShareView.objects.count() == 1  # the GET


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_sent_to_a_link(client: Client, member: User, method: str) -> None:
    token = share(full_run(), member)
    known, unknown = (getattr(client, method)(f"/s/{each}/") for each in (token, "unknown"))
    assert known.status_code == 405
    assert told(known) == told(unknown)


# What opens nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [*PAGES, *DOWNLOADS, "live/", "raw/", "x/y/z"])
def test_whatever_is_wrong_with_a_token_the_answer_is_the_same_byte_for_byte(
    client: Client, member: User, tail: str
) -> None:
    tokens = wrong_tokens(member)
    answers = {why: told(client.get(f"/s/{token}/{tail}")) for why, token in tokens.items()}
    assert answers["unknown"][0] == 404
    assert b"Nothing opens here" in answers["unknown"][1]
    assert {why for why, answer in answers.items() if answer != answers["unknown"]} == set()
    assert not ShareView.objects.exists()


@pytest.mark.parametrize(
    "tail",
    [
        *("raw/", "steps/99/", "steps/0/", "steps/1/output/", "steps/2/body/", "steps/1", "x"),
        *(f"steps/{'9' * 30}/", "logs/9/", "cost/9/metadata/", "text/id/", "share/"),
        *("../runs/", "%2e%2e/"),
    ],
)
def test_a_wrong_address_behind_a_good_token_gets_that_answer_too(
    client: Client, member: User, tail: str
) -> None:
    token = share(full_run(), member)
    wrong = client.get(f"/s/{'A' * 43}/")
    assert told(client.get(f"/s/{token}/{tail}")) == told(wrong)


def test_wrong_tokens_ask_the_database_the_same(client: Client, member: User) -> None:
    asked = {}
    for why, token in wrong_tokens(member).items():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(f"/s/{token}/")
        asked[why] = [re.sub(r"'[^']*'|X'[^']*'|\d+|NULL", "?", query["sql"]) for query in queries]
    assert asked.pop("no token") == []  # no address of a link at all
    assert {why for why, queries in asked.items() if queries != asked["unknown"]} == set()
    reads = [sql for sql in asked["unknown"] if "dashboard_audit" not in sql]
    assert len(reads) == 2  # to open the link, and to name it in the audit log if there is one


def test_a_link_opens_until_its_last_moment(client: Client, member: User) -> None:
    token = share(full_run(), member)
    now = timezone.now()
    ShareLink.objects.update(expires_at=now + dt.timedelta(seconds=30))
    assert client.get(f"/s/{token}/").status_code == 200
    ShareLink.objects.update(expires_at=now)
    assert client.get(f"/s/{token}/").status_code == 404


def test_a_disabled_creators_links_close_and_open_again_with_the_account(
    client: Client, member: User
) -> None:
    token = share(full_run(), member)
    User.objects.filter(pk=member.pk).update(is_active=False)
    assert client.get(f"/s/{token}/").status_code == 404
    assert sharing.open_links([only_link().pk]) == set()
    User.objects.filter(pk=member.pk).update(is_active=True)
    assert client.get(f"/s/{token}/").status_code == 200


def test_open_streams_are_checked_all_at_once(member: User, django_assert_num_queries: Any) -> None:
    run, now = make_run(), timezone.now()
    links = [sharing.create(run, member, "x", 7)[0] for _ in range(4)]
    sharing.revoke(links[1], member)
    ShareLink.objects.filter(pk=links[2].pk).update(expires_at=now)
    with django_assert_num_queries(1):
        still = sharing.open_links([*(link.pk for link in links), 10**6])
    assert still == {links[0].pk, links[3].pk}
    assert sharing.live_count(run) == 2


# One run and no other ----------------------------------------------------------------------------


def test_a_link_to_one_run_opens_nothing_of_another(client: Client, member: User) -> None:
    mine = full_run(prompt="The matter of Hale")
    other = full_run(prompt="CANARY prompt", output="CANARY output", summary="CANARY summary")
    Run.objects.filter(pk=other.pk).update(logs=[["CANARY", "CANARY log"]], agent_id="CANARY")
    make_steps(other, 20, content="CANARY content", tool_name="CANARY")
    make_entries(other, 20, service="CANARY", metadata='"CANARY"')
    token, foreign = share(mine, member), share(other, member)
    # Keys of its rows, and positions that only it has.
    keys = [other.pk, other.run_id, other.steps.get(position=2).pk, 15]
    tails = [*PAGES, *DOWNLOADS]
    parts = ("", "input/", "output/", "content/")
    tails += [f"steps/{key}/{part}" for key in keys for part in parts]
    tails += [
        f"{page}?{name}={key}"
        for page, names in {
            "": ("run", "run_id", "id", "at", "after", "before"),
            "steps/1/": ("run", "was"),
            "cost/": ("run", "at"),
            "live/": ("run", "ids", "since"),
        }.items()
        for key in keys
        for name in names
    ]
    tails += [f"logs/{key}/" for key in keys] + [f"cost/{key}/metadata/" for key in keys]
    tails += [f"../{foreign}/", f"..%2f{foreign}/", f"runs/{other.run_id}/", f"{other.run_id}/"]
    for tail in tails:
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.get(f"/s/{token}/{tail}", headers=headers)
            # The test client does not join "..", and neither must the site.
            assert b"CANARY" not in answer.content, tail
            assert foreign.encode() not in answer.content, tail
    assert not ShareView.objects.filter(link__run=other).exists()


def test_the_key_of_another_runs_step_is_not_a_way_to_it(client: Client, member: User) -> None:
    mine, other = full_run(), full_run()
    make_steps(other, 1, content="CANARY", type="output")
    vanished = other.steps.order_by("-position").first()
    assert isinstance(vanished, Step)
    Step.objects.filter(pk=vanished.pk).update(vanished_at=timezone.now(), position=1)  # as `was`
    answer = client.get(f"/s/{share(mine, member)}/steps/1/?was={vanished.pk}")
    assert b"CANARY" not in answer.content


# Views -------------------------------------------------------------------------------------------


def test_each_opening_is_noted_with_its_page(client: Client, member: User) -> None:
    token = share(full_run(), member)
    before = timezone.now()
    for path in ("", "cost/", "result/", "logs/", "steps/2/", "steps/2/input/", ""):
        client.get(f"/s/{token}/{path}")
    views = ShareView.objects.order_by("id")
    assert [view.page for view in views] == [
        *("timeline", "cost", "result", "logs", "step", "step-payload", "timeline"),
    ]
    assert all(before <= view.at <= timezone.now() for view in views)


def test_what_an_open_page_fetches_for_itself_is_no_opening(client: Client, member: User) -> None:
    token = share(full_run("running"), member)
    part = {"HX-Request": "true"}
    client.get(f"/s/{token}/steps/2/", headers=part)
    client.get(f"/s/{token}/?after=1", headers=part)
    client.get(f"/s/{token}/live/")
    client.get(f"/s/{token}/live/?since=0")
    assert not ShareView.objects.exists()


def test_a_header_does_not_hide_the_opening_of_a_page(client: Client, member: User) -> None:
    token = share(full_run(), member)
    for path in ("", "cost/", "result/", "logs/"):
        client.get(f"/s/{token}/{path}", headers={"HX-Request": "true"})
    history = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    client.get(f"/s/{token}/steps/2/", headers=history)
    assert ShareView.objects.count() == 5


def test_a_get_writes_nothing_but_its_view_their_count_and_the_audit_log(
    client: Client, member: User
) -> None:
    token = share(full_run(), member)
    client.get(f"/s/{token}/")  # the row of Case.dev's state is made by whoever asks first
    for path in (*PAGES, *DOWNLOADS):
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/s/{token}/{path}")
        verbs = ("INSERT", "UPDATE", "DELETE", "WITH")
        writes = [q["sql"] for q in queries if q["sql"].lstrip().startswith(verbs)]
        counted, noted, audited = writes
        assert counted.startswith('UPDATE "dashboard_sharelink" SET "openings" ='), path
        assert noted.startswith('INSERT INTO "dashboard_shareview"'), path
        assert "INSERT INTO dashboard_audit " in audited, path
