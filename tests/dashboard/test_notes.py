"""Notes with mentions, and labels of one run or of all that a list shows."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.audit.models import AuditEntry
from dashboard.notes import flows
from dashboard.notes.models import Label, Mention, Note, RunLabel, StepLabel
from tests.conftest import account, signed_in
from tests.dashboard.files import fetch
from tests.dashboard.links import full_run, share
from tests.factories import make_run, make_runs

pytestmark = pytest.mark.django_db


def write(client: Client, text: str, **form: str) -> int:
    return client.post("/runs/run_a/notes/write/", {"text": text} | form).status_code


def label(client: Client, name: str, **form: str) -> int:
    return client.post("/runs/run_a/labels/", {"name": name} | form).status_code


def body(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_a_note_stands_on_the_run_and_its_step(member_client: Client, viewer_client: Client):
    full_run(run_id="run_a")
    assert write(member_client, "  Check <b>this</b>\nagain ") == 302
    assert write(member_client, "The search was too narrow.", position="2") == 302
    html = body(viewer_client, "/runs/run_a/notes/")
    assert "Check &lt;b&gt;this&lt;/b&gt;<br>again" in html
    assert "<form" not in html.partition("<main")[2].partition("</main")[0]  # a viewer reads
    assert "2 notes" in body(viewer_client, "/runs/run_a/")
    assert ">1 note</a>" in body(viewer_client, "/runs/run_a/steps/2/")
    assert '<em class="mark label">1 note</em>' in body(viewer_client, "/runs/run_a/")
    assert "Write one" in body(viewer_client, "/runs/run_a/steps/1/")
    of_step = body(viewer_client, "/runs/run_a/notes/?step=2")
    assert "too narrow" in of_step
    assert "Check" not in of_step.partition("<main")[2]
    for wrong in ({"text": " "}, {"text": "x" * 4_001}, {"text": "x", "position": "99"}):
        answer = member_client.post("/runs/run_a/notes/write/", wrong)
        assert answer.status_code == 400, wrong
        assert 'class="error"' in answer.content.decode()
    assert Note.objects.count() == 2


def test_who_is_mentioned_is_told_until_they_looked(member_client: Client, viewer: User):
    full_run(run_id="run_a")
    nobody = User.objects.create_user("nora", password="x")
    account("v.o-l+x", "viewer")
    text = "@violet, see @violet and @v.o-l+x. Not @nora, @mira, mail@violet.example or @ghost"
    assert write(member_client, text) == 302
    assert sorted(Mention.objects.values_list("user__username", flat=True)) == ["v.o-l+x", "violet"]
    reader = signed_in(viewer)
    assert "Mentions <b>1</b>" in body(reader, "/")
    assert "@violet, see" in body(reader, "/mentions/")
    assert "Mentions <b>1</b>" in body(reader, "/")  # looking changes nothing by itself
    reader.post("/mentions/seen/")
    assert "Mentions</a>" in body(reader, "/")
    assert not Mention.objects.filter(user=nobody).exists()
    told = AuditEntry.objects.get(act="note")
    assert (told.run, told.detail) == ("run_a", "mentions v.o-l+x, mentions violet")


def test_a_note_is_taken_back_by_who_wrote_it(member: User, member_client: Client, viewer: User):
    run = full_run(run_id="run_a")
    note = flows.write(run, member, "Privileged @violet")
    other = signed_in(account("max", "member"))
    assert other.post(f"/notes/{note.pk}/take-back/").status_code == 404
    assert member_client.post(f"/notes/{note.pk}/take-back/").status_code == 302
    assert member_client.post(f"/notes/{note.pk}/take-back/").status_code == 302
    html = body(member_client, "/runs/run_a/notes/")
    assert "Taken back" in html
    assert "Privileged" not in html + body(signed_in(viewer), "/mentions/")
    assert AuditEntry.objects.filter(act="note").count() == 2
    assert not [one for one in AuditEntry.objects.all() if "Privileged" in one.detail]


def test_a_label_is_put_on_and_finds_its_runs(member_client: Client, viewer_client: Client):
    make_run(run_id="run_a")
    make_run(run_id="run_b")
    assert label(member_client, "  Torres   matter ") == 302
    assert label(member_client, "TORRES MATTER") == 302  # the same
    assert label(member_client, " ") == 400
    assert Label.objects.get().name == "Torres matter"
    assert RunLabel.objects.count() == AuditEntry.objects.filter(act="label").count() == 1
    assert 'href="/runs/?label=Torres%20matter"' in body(viewer_client, "/runs/run_a/")
    html = body(viewer_client, "/runs/?label=torres+matter")
    assert re.findall(r'href="/runs/(run_\w+)/"', html) == ["run_a"]
    assert re.search(r'class="chip".*?label <b>torres matter</b>', html)
    assert '<input type="hidden" name="label" value="torres matter">' in html
    assert label(member_client, "torres matter", off="1") == 302
    assert "No run matches" in body(viewer_client, "/runs/?label=torres+matter")


def test_a_label_stands_on_a_step_and_finds_it(
    member: User, member_client: Client, viewer: User, viewer_client: Client
):
    run = full_run(run_id="run_a")
    assert label(member_client, "Key finding", position="2") == 302
    assert label(member_client, "key  FINDING", position="2") == 302  # it is there already
    assert label(member_client, "On <b>", position="1") == 302
    assert label(member_client, "Key finding", position="99") == 404
    assert label(viewer_client, "Mine", position="1") == 403
    assert StepLabel.objects.count() == 2
    assert not RunLabel.objects.exists()
    timeline = body(viewer_client, "/runs/run_a/")
    chips = dict(re.findall(r'<li id="(s\d)".*?(?:mark label">(.*?)</em>.*?)?</li>', timeline))
    assert (chips["s2"], chips["s1"], chips["s3"]) == ("Key finding", "On &lt;b&gt;", "")
    address = "?label=Key+finding"
    assert address in timeline
    found = body(viewer_client, f"/runs/run_a/{address.upper().replace('LABEL', 'label')}")
    assert re.findall(r'<li id="(s\d)"', found) == ["s2"]
    assert "No step matches" in body(viewer_client, "/runs/run_a/?label=Key+finding&type=thinking")
    assert "Key finding" in body(viewer_client, "/runs/run_a/read/")
    assert "Key finding" in body(viewer_client, "/runs/run_a/steps/2/")
    assert "Key finding" in body(viewer_client, "/runs/run_a/notes/?step=2")
    table = fetch(viewer, f"/runs/run_a/export/steps.csv{address}").table
    assert [(row["Step"], row["Labels"]) for row in table] == [("2", "Key finding")]
    guest = Client()
    shared = guest.get(f"/s/{share(run, member)}/", follow=True).content.decode()
    assert "What the agent did" in shared
    assert "Key finding" not in shared
    assert AuditEntry.objects.filter(detail="“Key finding” on step 2").count() == 1
    assert label(member_client, "KEY finding", position="2", off="1") == 302
    assert "Key finding" not in body(viewer_client, "/runs/run_a/")


def test_all_that_match_get_a_label_after_their_number_was_told(member_client: Client):
    make_runs(1_100, status="failed")
    make_runs(3)
    address = "/runs/label/?status=failed"
    assert "Label all" in body(member_client, "/runs/?status=failed")
    html = body(member_client, address)
    assert "Label 1,100 runs" in html
    assert member_client.post(address, {"name": "", "count": "1100"}).status_code == 400
    damaged = f"{address}&from=yesterday"
    assert "is no date" in body(member_client, damaged)
    assert member_client.post(damaged, {"name": "x", "count": "1100"}).status_code == 400
    make_run("failed")
    answer = member_client.post(address, {"name": "Look at", "count": "1100"})
    assert answer.status_code == 400
    assert "Meanwhile 1101 runs match" in answer.content.decode()
    assert not RunLabel.objects.exists()
    answer = member_client.post(address, {"name": "Look at", "count": "1101"}, follow=True)
    assert "1101 runs got the label; 0 had it." in answer.content.decode()
    assert RunLabel.objects.count() == 1_101
    answer = member_client.post(address, {"name": "look AT", "count": "1101"}, follow=True)
    assert "0 runs got the label; 1101 had it." in answer.content.decode()
    told = AuditEntry.objects.filter(act="label").order_by("number")[0]
    assert told.detail == "“Look at” on 1101 runs: status=failed"


def test_nobody_but_members_writes_and_nobody_outside_reads(
    viewer: User, viewer_client: Client, member: User
):
    run = full_run(run_id="run_a")
    note = flows.write(run, member, "Privileged note")
    flows.put(run, "Secret matter", member)
    assert write(viewer_client, "x") == label(viewer_client, "x") == 403
    assert viewer_client.get("/runs/label/").status_code == 403
    assert viewer_client.post(f"/notes/{note.pk}/take-back/").status_code == 403
    assert "Label all" not in body(viewer_client, "/runs/")
    token = share(run, member)
    holder = Client()
    html = holder.get(f"/s/{token}/", headers={"accept": "text/html"}, follow=True).content.decode()
    html += holder.get(f"/s/{token}/steps/2/").content.decode()
    for name in ("steps.csv", "record.json"):
        html += fetch(viewer, f"/runs/run_a/export/{name}").body.decode()
    assert "Privileged note" not in html
    assert "Secret matter" not in html
    assert "otes and labels" not in html
