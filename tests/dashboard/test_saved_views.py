"""Views of the list that people keep, and filters as things that can be taken away."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.audit.models import AuditEntry
from dashboard.saved.models import DefaultView, SavedView
from tests.conftest import signed_in
from tests.factories import make_agent, make_run, make_runs

pytestmark = pytest.mark.django_db

QUERY = "q=nda&status=failed&status=running&agent=agent_review&from=7d&sort=cost"


def keep(client: Client, name: str = "Mine", query: str = QUERY, **form: str) -> int:
    return client.post(f"/runs/views/new/?{query}", {"name": name} | form).status_code


def act(client: Client, name: str, what: str) -> int:
    pk = SavedView.objects.get(name=name).pk
    return client.post(f"/runs/views/{pk}/", {"act": what}).status_code


def test_each_filter_is_a_chip_that_takes_itself_away(viewer_client: Client):
    make_agent()
    make_run("failed")
    html = viewer_client.get(f"/runs/?{QUERY}").content.decode()
    chips = re.findall(r'class="chip" href="/runs/\?([^"]+)".*?<b>(.*?)</b>', html)
    assert [text for _, text in chips] == [
        *("“nda”", "running", "failed", "Contract Reviewer", "in the last 7 days"),
    ]
    for query, text in chips:
        left = viewer_client.get(f"/runs/?{query.replace('&amp;', '&')}").content.decode()
        others = re.findall(r'class="chip".*?<b>(.*?)</b>', left)
        assert others == [other for _, other in chips if other != text]
    part = viewer_client.get("/runs/?status=failed", headers={"HX-Request": "true"})
    assert 'class="chip"' in part.content.decode()


def test_a_view_is_kept_and_found_above_the_list(viewer: User, viewer_client: Client):
    assert "Save this view" not in viewer_client.get("/runs/").content.decode()
    assert "Save this view" in viewer_client.get(f"/runs/?{QUERY}").content.decode()
    assert "highest cost first" in viewer_client.get(f"/runs/views/new/?{QUERY}").content.decode()
    assert keep(viewer_client) == 302
    assert keep(viewer_client) == 400  # the name is taken
    assert keep(viewer_client, " ") == 400
    html = viewer_client.get(f"/runs/?{QUERY}").content.decode()
    assert re.search(r'<a href="/runs/\?[^"]*q=nda[^"]*" aria-current="true">Mine', html)
    entry = AuditEntry.objects.get(act="view")
    assert (entry.name, "q=nda" in entry.detail) == ("violet", True)
    assert SavedView.objects.get().owner == viewer


def test_the_default_opens_where_nothing_is_asked_for(viewer_client: Client):
    keep(viewer_client, is_default="on")
    answer = viewer_client.get("/runs/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/runs/?q=nda&")
    assert viewer_client.get("/runs/?all").status_code == 200
    assert viewer_client.get("/runs/", headers={"HX-Request": "true"}).status_code == 200
    assert act(viewer_client, "Mine", "no-default") == 302
    assert viewer_client.get("/runs/").status_code == 200
    keep(viewer_client, "All", "", is_default="on")  # all runs, as a default, leads to no circle
    assert viewer_client.get("/runs/", follow=True).redirect_chain == [("/runs/?all", 302)]


def test_all_runs_stay_all_runs_for_whoever_has_a_default(viewer_client: Client):
    make_runs(60)
    keep(viewer_client, is_default="on")
    first = viewer_client.get("/runs/?all").text
    following = re.findall(r'rel="next" href="([^"]+)"', first)[0]
    second = viewer_client.get(f"/runs/{following}").text
    ways = re.findall(r'href="([^"]*)">Back to the first<', second)
    sorted_ = viewer_client.get("/runs/?sort=cost").text
    ways += re.findall(r'href="([^"]*)" title="Back to the newest first"', sorted_)
    ways += re.findall(r'href="([^"]*)">Back to the list<', viewer_client.get("/runs/export/").text)
    assert len(ways) == 4
    from_form = {"HX-Request": "true", "HX-Current-URL": "http://testserver/runs/?status=failed"}
    ways.append(viewer_client.get("/runs/?q=&agent=&sort=newest", headers=from_form)["HX-Push-Url"])
    for way in ways:
        page = viewer_client.get(f"/runs/{way.removeprefix('/runs/')}")
        assert page.status_code == 200, way
        assert "60</b> runs" in page.text


def test_others_see_a_view_only_while_it_is_shared(
    viewer: User, viewer_client: Client, member: User
):
    keep(viewer_client)
    other = signed_in(member)
    assert "Mine" not in other.get("/runs/views/").content.decode()
    assert act(other, "Mine", "default") == 404
    assert act(viewer_client, "Mine", "share") == 302
    assert "Mine" in other.get("/runs/").content.decode()
    for what in ("unshare", "remove", "share", "nonsense"):
        assert act(other, "Mine", what) == 404
    assert act(other, "Mine", "default") == 302
    assert other.get("/runs/").status_code == 302
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert other.get("/runs/").status_code == 200
    User.objects.filter(pk=viewer.pk).update(is_active=True)
    assert act(viewer_client, "Mine", "unshare") == 302
    assert not DefaultView.objects.exists()
    assert act(viewer_client, "Mine", "remove") == 302
    assert not SavedView.objects.exists()
