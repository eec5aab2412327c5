"""Staff's side of share links: made by those who may, listed for all, closed for good."""

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import sharing
from dashboard.models import ShareLink, ShareView
from dashboard.views import shares
from tests.conftest import account, signed_in
from tests.dashboard.links import DOWNLOADS, PAGES, full_run, only_link, share, wrong_tokens
from tests.factories import make_run

pytestmark = pytest.mark.django_db

HOSTILE = '"><script>alert(1)</script>'


def address_in(answer: Any) -> str:
    found = re.search(r'id="share-address">([^<]+)<', answer.text)
    assert found
    return found[1]


# Making one --------------------------------------------------------------------------------------


def test_a_member_makes_a_link_and_gets_its_address_once(
    member_client: Client, client: Client
) -> None:
    run = full_run()
    path = f"/runs/{run.run_id}/share/"
    page = member_client.get(path)
    assert page.status_code == 200
    assert "What the recipient sees" in page.text
    made = member_client.post(path, {"purpose": "For opposing counsel", "days": "7"})
    address = address_in(made)
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    assert 'data-copy="share-address"' in made.text
    assert "nobody, not even an administrator, can show it again" in made.text
    assert re.fullmatch(r"http://testserver/s/[A-Za-z0-9_-]{43}/", address)
    assert client.get(address).status_code == 200
    assert only_link().purpose == "For opposing counsel"
    for later in (path, "/share-links/", run.get_absolute_url()):
        assert address.split("/")[-2] not in member_client.get(later).text


def test_the_full_link_stands_at_the_public_url(member_client: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://runs.firm.example"
    run = make_run()
    made = member_client.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": "7"})
    assert address_in(made).startswith("https://runs.firm.example/s/")


@pytest.mark.parametrize(("days", "lives"), [("1", 1), ("7", 7), ("30", 30)])
def test_a_link_lives_as_long_as_it_was_made_for(
    member_client: Client, days: str, lives: int
) -> None:
    run = make_run()
    member_client.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": days})
    link = only_link()
    assert link.expires_at - link.created_at == dt.timedelta(days=lives)


def test_seven_days_are_offered_first(member_client: Client) -> None:
    text = member_client.get(f"/runs/{make_run().run_id}/share/").text
    assert '<option value="7" selected>' in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"purpose": "x", "days": "31"}, "30 days at most"),
        ({"purpose": "x", "days": "0"}, "1 day at least"),
        ({"purpose": "x", "days": "soon"}, "Enter a whole number"),
        ({"purpose": "x"}, "This field is required"),
        ({"purpose": "   ", "days": "7"}, "Say why this run is shared"),
        ({"days": "7"}, "Say why this run is shared"),
        ({"purpose": "x" * 201, "days": "7"}, "at most 200 characters"),
        ({"purpose": "a\x00b", "days": "7"}, "Null characters are not allowed"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field_and_makes_no_link(
    member_client: Client, given: dict[str, str], told: str
) -> None:
    answer = member_client.post(f"/runs/{make_run().run_id}/share/", given)
    assert answer.status_code == 400
    assert told in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert not ShareLink.objects.exists()


@pytest.mark.parametrize("days", [0, 31])
def test_the_core_itself_refuses_a_lifetime_beyond_the_limits(member: User, days: int) -> None:
    with pytest.raises(ValueError, match="1 to 30 days"):
        sharing.create(make_run(), member, "x", days)


@pytest.mark.parametrize("passphrase", ["sunshine1", "Password-2026"])
def test_the_core_itself_refuses_a_passphrase_that_anybody_would_try(
    member: User, passphrase: str
) -> None:
    with pytest.raises(ValueError, match="anybody would try"):
        sharing.create(make_run(), member, "x", 7, passphrase=passphrase)
    assert not ShareLink.objects.exists()


def test_a_stranger_makes_no_link(client: Client) -> None:
    path = f"/runs/{make_run().run_id}/share/"
    for answer in (client.get(path), client.post(path, {"purpose": "x", "days": "7"})):
        assert answer.status_code == 302
        assert answer["Location"] == f"/accounts/login/?next={path}"
    assert not ShareLink.objects.exists()


def test_a_viewer_is_told_in_words_that_sharing_needs_a_member(viewer_client: Client) -> None:
    path = f"/runs/{make_run().run_id}/share/"
    for answer in (viewer_client.get(path), viewer_client.post(path, {"purpose": "x"})):
        assert answer.status_code == 403
        assert "Your role does not include sharing runs" in answer.text
    assert not ShareLink.objects.exists()


@pytest.mark.parametrize("run_id", ["run_unknown", "a%20b", "x" * 129])
def test_a_run_that_is_not_there_cannot_be_shared(member_client: Client, run_id: str) -> None:
    assert member_client.get(f"/runs/{run_id}/share/").status_code == 404
    assert member_client.post(f"/runs/{run_id}/share/", {"purpose": "x"}).status_code == 404


def test_making_a_link_needs_the_forms_own_token(member: User) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(member)
    run = make_run()
    answer = careful.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": "7"})
    assert answer.status_code == 403
    assert not ShareLink.objects.exists()


def test_the_share_page_lists_the_links_of_its_run_and_no_other(
    member_client: Client, member: User
) -> None:
    run, other = make_run(), make_run()
    sharing.create(run, member, "For the client", 7)
    sharing.create(other, member, "For the court", 7)
    text = member_client.get(f"/runs/{run.run_id}/share/").text
    assert "For the client" in text
    assert "For the court" not in text


# The list ----------------------------------------------------------------------------------------


def test_the_list_tells_of_each_link_and_its_views(
    viewer_client: Client, client: Client, member: User
) -> None:
    run = full_run()
    token = share(run, member)
    for _ in range(3):
        client.get(f"/s/{token}/")
    text = viewer_client.get("/share-links/").text
    for words in (run.run_id, "For opposing counsel", "mira", "just now", ">live<"):
        assert words in text
    assert '<td data-label="Views" class="figure">3</td>' in text
    assert "1 link." in text


def test_the_list_says_when_nothing_is_shared(viewer_client: Client) -> None:
    answer = viewer_client.get("/share-links/")
    assert answer.status_code == 200
    assert "Nothing is shared" in answer.text


def test_a_stranger_sees_no_list(client: Client) -> None:
    assert client.get("/share-links/")["Location"] == "/accounts/login/?next=/share-links/"


def test_each_state_is_told_in_a_word(member_client: Client, member: User) -> None:
    wrong_tokens(member)
    text = member_client.get("/share-links/").text
    for word in ("live", "expired", "revoked", "account disabled"):
        assert f"<span>{word}</span>" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a", "b", "c"]),
        ("?state=live", ["a", "b"]),
        ("?state=ended", ["c"]),
        ("?state=odd", ["a", "b", "c"]),
        ("?run=run_mine", ["a", "c"]),
        ("?run=run_mine&state=live", ["a"]),
        ("?run=nobody", []),
        ("?run=%00%ff", []),
        ("?after=odd", ["a", "b", "c"]),
        ("?after=99999999999999999999999", ["a", "b", "c"]),
    ],
)
def test_the_list_is_filtered_by_run_and_state(
    viewer_client: Client, member: User, query: str, found: list[str]
) -> None:
    mine, other = make_run(run_id="run_mine"), make_run()
    for name, run in (("a", mine), ("b", other), ("c", mine)):
        link, _ = sharing.create(run, member, f"purpose {name}", 7)
    sharing.revoke(link, member)
    text = viewer_client.get(f"/share-links/{query}").text
    assert sorted(re.findall(r"purpose (\w)</a>", text)) == found
    if not found:
        assert "No link matches" in text


def test_a_long_list_is_walked_to_its_end(viewer_client: Client, member: User) -> None:
    run, now = make_run(), timezone.now()
    number = 2 * shares.PAGE + 5
    ShareLink.objects.bulk_create(
        ShareLink(
            run=run,
            token_digest=sharing.digest(str(i)),
            purpose=f"p{i}",
            created_by=member,
            created_at=now,
            expires_at=now + dt.timedelta(days=1),
        )
        for i in range(number)
    )
    seen: list[str] = []
    path: str | None = "/share-links/?state=live"
    while path:
        text = viewer_client.get(path).text
        seen += re.findall(r'class="purpose"><a [^>]+>(p\d+)<', text)
        assert f"of {number} links shown" in text
        older = re.search(r'rel="next" href="([^"]+)"', text)
        path = f"/share-links/{older[1].replace('&amp;', '&')}" if older else None
    assert seen == [f"p{i}" for i in reversed(range(number))]


def test_the_list_needs_as_many_queries_for_a_hundred_links_as_for_one(
    member: User, member_client: Client, client: Client
) -> None:
    def queries_of(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert member_client.get(path).status_code == 200
        asked = [query["sql"] for query in queries]
        # The bar's own freshness is another page's matter.
        others = ("runs_upstream", "runs_poll", "SAVEPOINT")
        return len([sql for sql in asked if not any(word in sql for word in others)])

    run = make_run()
    client.get(f"/s/{share(run, member)}/")
    paths = ("/share-links/", f"/runs/{run.run_id}/share/")
    few = [queries_of(path) for path in paths]
    for other in [make_run() for _ in range(20)]:
        for _ in range(6):
            sharing.record_view(sharing.create(other, member, "x", 7)[0], "cost")
    many = [queries_of(path) for path in paths]
    assert few[0] <= many[0] <= few[0] + 1  # the count, once there is more than one page
    assert many[0] <= 10  # two of them the audit log's, one counts mentions
    assert many[1] == few[1] <= 10


def test_a_hostile_purpose_and_prompt_stay_text(member: User, member_client: Client) -> None:
    run = make_run(prompt=HOSTILE)
    link, _ = sharing.create(run, member, HOSTILE, 7)
    paths = ("/share-links/", f"/runs/{run.run_id}/share/", f"/share-links/{link.pk}/revoke/")
    for path in (*paths, f"/share-links/?run={HOSTILE}"):
        text = member_client.get(path).text
        assert "&lt;script&gt;alert" in text
        assert HOSTILE not in text
    answer = member_client.post(paths[1], {"purpose": HOSTILE, "days": "99"})
    assert HOSTILE not in answer.text


# Revoking ----------------------------------------------------------------------------------------


def test_revoking_asks_first_and_holds_from_the_next_request(
    client: Client, member: User, member_client: Client
) -> None:
    token = share(full_run(), member)
    path = f"/share-links/{only_link().pk}/revoke/"
    page = member_client.get(path)
    assert "Revoke this link?" in page.text
    assert client.get(f"/s/{token}/").status_code == 200  # asking changes nothing
    done = member_client.post(path, follow=True)
    assert done.redirect_chain == [("/share-links/", 302)]
    assert "The link is revoked" in done.text
    for tail in (*PAGES, *DOWNLOADS, "live/"):
        assert client.get(f"/s/{token}/{tail}").status_code == 404
    assert only_link().revoked_by == member


def test_revoking_from_a_runs_share_page_leads_back_there(
    member: User, member_client: Client
) -> None:
    run = make_run()
    link, _ = sharing.create(run, member, "x", 7)
    text = member_client.get(f"/runs/{run.run_id}/share/").text
    assert f'href="/share-links/{link.pk}/revoke/?back=run"' in text
    page = member_client.get(f"/share-links/{link.pk}/revoke/?back=run").text
    assert '<input type="hidden" name="back" value="run">' in page
    answer = member_client.post(f"/share-links/{link.pk}/revoke/", {"back": "run"})
    assert answer["Location"] == f"/runs/{run.run_id}/share/"
    away = member_client.post(f"/share-links/{link.pk}/revoke/", {"back": "//evil.example"})
    assert away["Location"] == "/share-links/"


def test_a_second_revoking_keeps_the_first(member: User, member_client: Client) -> None:
    link, _ = sharing.create(make_run(), member, "x", 7)
    path = f"/share-links/{link.pk}/revoke/"
    member_client.post(path)
    first = only_link().revoked_at
    other = signed_in(account("max", "member"))
    assert "had been revoked before" in other.post(path, follow=True).text
    assert "This link is revoked" in other.get(path).text
    assert only_link().revoked_at == first
    assert only_link().revoked_by == member


def test_revoking_one_link_leaves_the_others_open(
    client: Client, member: User, member_client: Client
) -> None:
    run = full_run()
    link, gone = sharing.create(run, member, "x", 7)
    kept = share(run, member)
    member_client.post(f"/share-links/{link.pk}/revoke/")
    assert client.get(f"/s/{gone}/").status_code == 404
    assert client.get(f"/s/{kept}/").status_code == 200


def test_a_viewer_revokes_nothing_and_is_told_so(viewer_client: Client, member: User) -> None:
    link, _ = sharing.create(make_run(), member, "x", 7)
    path = f"/share-links/{link.pk}/revoke/"
    for answer in (viewer_client.get(path), viewer_client.post(path)):
        assert answer.status_code == 403
        assert "Your role does not include revoking links" in answer.text
    assert path not in viewer_client.get("/share-links/").text
    assert only_link().revoked_at is None


def test_a_stranger_revokes_nothing(client: Client, member: User) -> None:
    link, _ = sharing.create(make_run(), member, "x", 7)
    assert client.post(f"/share-links/{link.pk}/revoke/").status_code == 302
    assert only_link().revoked_at is None


@pytest.mark.parametrize("pk", ["999999", "0", "9" * 30, "x"])
def test_a_link_that_is_not_there_cannot_be_revoked(member_client: Client, pk: str) -> None:
    assert member_client.get(f"/share-links/{pk}/revoke/").status_code == 404
    assert member_client.post(f"/share-links/{pk}/revoke/").status_code == 404


# In the admin ------------------------------------------------------------------------------------


def test_the_admin_finds_links_and_revokes_them(client: Client, admin: User, member: User) -> None:
    token = share(full_run(), member)
    staff = signed_in(admin)
    listed = "/admin/dashboard/sharelink/"
    for query in ("", "?q=mira", "?q=counsel", "?state=live"):
        assert "For opposing counsel" in staff.get(listed + query).text
    assert "For opposing counsel" not in staff.get(f"{listed}?state=ended").text
    chosen = {"action": "revoke", "_selected_action": [str(only_link().pk)], "index": "0"}
    assert "1 link revoked" in staff.post(listed, chosen, follow=True).text
    assert client.get(f"/s/{token}/").status_code == 404
    assert only_link().revoked_by == admin


def test_the_admin_shows_no_token_and_no_digest(client: Client, admin: User, member: User) -> None:
    token = share(full_run(), member)
    client.get(f"/s/{token}/")
    link, view = only_link(), ShareView.objects.get()
    staff = signed_in(admin)
    pages = (f"sharelink/{link.pk}/change/", f"shareview/{view.pk}/change/")
    for path in ("sharelink/", "shareview/", *pages):
        with CaptureQueriesContext(connection) as queries:
            answer = staff.get(f"/admin/dashboard/{path}")
        assert answer.status_code == 200
        assert len(queries) <= 15
        for secret in (token, sharing.digest(token).hex(), str(sharing.digest(token))):
            assert secret not in answer.text


@pytest.mark.parametrize("model", ["sharelink", "shareview"])
def test_links_and_views_are_not_edited_in_the_admin(
    client: Client, member: User, model: str
) -> None:
    root = signed_in(User.objects.create_superuser("root"))
    client.get(f"/s/{share(full_run(), member)}/")
    pk = {"sharelink": only_link().pk, "shareview": ShareView.objects.get().pk}[model]
    assert root.post(f"/admin/dashboard/{model}/add/").status_code == 403
    assert root.post(f"/admin/dashboard/{model}/{pk}/change/", {"purpose": "x"}).status_code == 403
    assert root.post(f"/admin/dashboard/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert only_link().purpose == "For opposing counsel"
    assert ShareView.objects.count() == 1


# On the run's page -------------------------------------------------------------------------------


def test_a_runs_page_tells_staff_by_how_many_live_links_it_is_shared(
    viewer_client: Client, client: Client, member: User
) -> None:
    run = make_run()
    assert "live link" not in viewer_client.get(run.get_absolute_url()).text
    token = share(run, member)
    gone, _ = sharing.create(run, member, "x", 7)
    text = viewer_client.get(run.get_absolute_url()).text
    assert f'href="/share-links/?run={run.run_id}&amp;state=live">shared by 2 live links<' in text
    sharing.revoke(gone, member)
    assert "shared by 1 live link<" in viewer_client.get(run.get_absolute_url()).text
    assert "live link" not in client.get(f"/s/{token}/").text
