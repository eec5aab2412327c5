"""A link shows what was chosen, previewed and, if wanted, frozen; and the switch for all."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from dashboard import sharing
from dashboard.disclosure.rules import Part, complete
from dashboard.models import FrozenCopy, ShareLink
from runs.models import Run
from tests.conftest import signed_in
from tests.dashboard.links import full_run, only_link, share
from tests.factories import make_entries, make_run, make_steps

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]

# What is shown -----------------------------------------------------------------------------------

SECRETS = {
    Part.SUMMARY: ("SUMMARY-CANARY", "ISSUE-CANARY"),
    Part.REQUEST: ("PROMPT-CANARY", "GUIDANCE-CANARY"),
    Part.OUTPUT: ("OUTPUT-CANARY",),
    Part.TIMELINE: ("SAID-CANARY",),
    Part.THINKING: ("THOUGHT-CANARY",),
    Part.TOOLS: ("GIVEN-CANARY", "FOUND-CANARY"),
    Part.COST: ("SERVICE-CANARY", "0.004242"),
    Part.LOGS: ("LOG-CANARY",),
    Part.IDS: ("AGENT-CANARY", "OBJECT-CANARY", "META-CANARY"),
}
NEEDED = {Part.THINKING: Part.TIMELINE, Part.TOOLS: Part.TIMELINE}


def marked_run(status: str = "completed") -> Run:
    run = full_run(
        status,
        prompt="PROMPT-CANARY",
        guidance="GUIDANCE-CANARY",
        output="OUTPUT-CANARY",
        summary="SUMMARY-CANARY",
        issues=["ISSUE-CANARY"],
        logs=[["LOG-CANARY", "LOG-CANARY"]],
        agent_id="AGENT-CANARY",
        created_object_ids=["OBJECT-CANARY"],
        summary_cost_micros=4_242,
        failure_cause="LOG-CANARY",
    )
    run.steps.all().delete()
    make_steps(run, 1, type="thinking", content="THOUGHT-CANARY")
    make_steps(run, 1, type="output", content="SAID-CANARY")
    make_steps(
        run,
        1,
        type="tool_call",
        tool_name="bash",
        content=None,
        tool_input='{"command": "GIVEN-CANARY"}',
        tool_output='"FOUND-CANARY"',
    )
    make_steps(
        run,
        1,
        type="tool_result",
        tool_input=None,
        tool_output='"FOUND-CANARY"',
        content="FOUND-CANARY",
    )
    run.entries.all().delete()
    make_entries(run, 1, service="SERVICE-CANARY", metadata='"META-CANARY"', cost_micros=4_242)
    return run


def everything_told(base: str, client: Client) -> bytes:
    tails = ["", "cost/", "result/", "result/?as=text", "logs/", "?at=2", "logs/1/"]
    tails += ["cost/1/metadata/", "live/?since=0", "nowhere/", "raw/"]
    tails += [f"live/?since=0&tab={tab}" for tab in ("timeline", "cost", "result", "logs")]
    tails += [f"text/{name}/" for name in ("prompt", "guidance", "output", "summary")]
    for step in range(1, 6):
        tails += [f"steps/{step}/", *(f"steps/{step}/{part}/" for part in ("input", "output"))]
        tails += [f"steps/{step}/content/"]
    told = b""
    for tail in tails:
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.get(base + tail, headers=headers)
            told += answer.content + str(dict(answer.headers)).encode()
    told += client.get(f"{base}?after=0", headers={"HX-Request": "true"}).content
    return told


@pytest.mark.parametrize("is_frozen", [False, True], ids=["live", "frozen"])
@pytest.mark.parametrize("part", [None, *Part])
def test_a_link_shows_the_parts_that_were_chosen_and_not_a_word_more(
    member: User, part: Part | None, is_frozen: bool
) -> None:
    run = marked_run("failed")
    shows = {part, NEEDED.get(part, part)} - {None} if part else set()
    token = share(run, member, shows=shows, is_frozen=is_frozen)
    told = everything_told(f"/s/{token}/", Client()).decode()
    for other, secrets in SECRETS.items():
        for secret in secrets:
            # A metadata file needs its entry, and an entry its cost.
            is_shown = other in shows and secret != "META-CANARY"
            assert (secret in told) == is_shown, (part, secret)


def test_a_link_made_without_choosing_shows_the_summary_only(
    member: User, member_client: Client
) -> None:
    run = marked_run()
    member_client.post(f"/runs/{run.run_id}/share/", {"purpose": "x", "days": "7"})
    assert only_link().shows == ["summary"]


def test_a_frozen_link_shows_what_was_and_not_what_came(member: User) -> None:
    run = marked_run("running")
    token = share(run, member, is_frozen=True)
    live = share(run, member)
    run.steps.filter(type="output").update(content="LATER")
    Run.objects.update(summary="LATER", version=9, output="LATER", logs=[["LATER", "LATER"]])
    frozen = everything_told(f"/s/{token}/", Client())
    assert b"LATER" not in frozen
    assert b"SAID-CANARY" in frozen
    assert b"A copy as of" in frozen
    assert b"sse-connect" not in frozen
    assert b"LATER" in everything_told(f"/s/{live}/", Client())
    assert FrozenCopy.objects.count() == 1


# The form ----------------------------------------------------------------------------------------

CHOSEN = {"purpose": "For the court", "days": "7", "chosen": "1"}


def test_the_form_makes_the_link_that_was_chosen(member_client: Client) -> None:
    run = marked_run()
    path = f"/runs/{run.run_id}/share/"
    member_client.post(
        path,
        CHOSEN
        | {
            "recipient": "j@firm.example",
            "passphrase": "open sesame",
            "most_views": "3",
            "shows": ["timeline", "tools"],
            "words": "Hale\nAcme Corp",
            "kinds": ["email"],
            "steps": "2-3",
            "fields_named": "command",
            "step": ["7"],
            "is_frozen": "1",
        },
    )
    link = only_link()
    assert (link.recipient, link.most_views, link.is_frozen) == ("j@firm.example", 3, True)
    assert link.shows == ["timeline", "tools"]
    assert link.rules == {
        "steps": [[2, 3], [7, 7]],
        "fields": ["command"],
        "words": ["Hale", "Acme Corp"],
        "kinds": ["email"],
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"shows": ["tools"]}, "can only be shown in the timeline"),
        ({"passphrase": "short"}, "at least 8 characters"),
        ({"passphrase": "sunshine1"}, "anybody would try first"),
        ({"passphrase": "SUNSHINE1"}, "anybody would try first"),
        ({"passphrase": "Case.dev 2026!"}, "anybody would try first"),
        ({"most_views": "0"}, "greater than or equal to 1"),
        ({"steps": "two"}, "names no steps"),
        ({"words": "a"}, "too short to be found"),
        ({"shows": ["everything"]}, "Select a valid choice"),
    ],
)
def test_a_choice_that_cannot_be_is_said_beside_its_field(
    member_client: Client, given: dict[str, Any], told: str
) -> None:
    answer = member_client.post(f"/runs/{full_run().run_id}/share/", CHOSEN | given)
    assert answer.status_code == 400
    assert told in answer.text.replace("&#x27;", "'")
    assert not ShareLink.objects.exists()


def test_the_preview_is_what_the_recipient_gets_and_makes_no_link(
    member: User, member_client: Client
) -> None:
    run = marked_run()
    chosen = {"shows": ["timeline", "tools", "summary"], "words": "GIVEN-CANARY", "steps": "2"}
    answer = member_client.post(f"/runs/{run.run_id}/share/", CHOSEN | chosen | {"preview": "0"})
    assert answer.status_code == 200
    assert not ShareLink.objects.exists()
    preview = answer.text.split('id="preview"')[1]
    for shown in ("SUMMARY-CANARY", "[redacted]", "FOUND-CANARY"):
        assert shown in preview
    for hidden in ("GIVEN-CANARY", "SAID-CANARY", "THOUGHT-CANARY", "PROMPT-CANARY", "0.004242"):
        assert hidden not in preview
    assert 'name="step" value="3" form="share-form"' in preview


# The switch --------------------------------------------------------------------------------------


def test_an_admin_closes_every_link_after_being_asked_and_opens_them_again(
    admin: User, member: User, member_client: Client
) -> None:
    admin.user_permissions.add(Permission.objects.get(codename="change_sharingswitch"))
    staff = signed_in(admin)
    token = share(full_run(), member)
    assert "Close every shared link?" in staff.get("/share-links/switch/").text
    assert Client().get(f"/s/{token}/").status_code == 200
    assert (
        "No shared link opens now"
        in staff.post("/share-links/switch/", {"closed": "yes"}, follow=True).text
    )
    assert Client().get(f"/s/{token}/").status_code == 404
    for page in ("/share-links/", f"/share-links/{only_link().pk}/"):
        assert "No shared link opens: ada closed them all" in member_client.get(page).text
    staff.post("/share-links/switch/", {"closed": "no"})
    assert Client().get(f"/s/{token}/").status_code == 200


def test_a_member_does_not_turn_the_switch(member_client: Client) -> None:
    for answer in (
        member_client.get("/share-links/switch/"),
        member_client.post("/share-links/switch/", {"closed": "yes"}),
    ):
        assert answer.status_code == 403
    assert sharing.switch() is None


def test_a_viewer_changes_no_maximum(viewer_client: Client, member: User) -> None:
    share(full_run(), member, most_views=2)
    path = f"/share-links/{only_link().pk}/"
    assert viewer_client.get(path).status_code == 200
    assert viewer_client.post(path, {"most_views": "99"}).status_code == 403
    assert only_link().most_views == 2


# What a cause quotes, and how calls stand ---------------------------------------------------------

QUOTED = frozenset({Part.SUMMARY, Part.TIMELINE, Part.THINKING, Part.TOOLS, Part.LOGS})


@pytest.mark.parametrize("missing", [None, *sorted(QUOTED)])
def test_a_cause_is_told_only_with_all_that_it_may_quote(
    member: User, missing: Part | None
) -> None:
    run = full_run("failed", failure_cause="CAUSE-CANARY", issues=["An issue"])
    token = share(run, member, shows=complete(QUOTED - {missing}))
    told = everything_told(f"/s/{token}/", Client())
    assert (b"CAUSE-CANARY" in told) == (missing is None)


@pytest.mark.parametrize(
    "rules", [{"steps": [[3, 3]]}, {"fields": ["logs"]}, {"fields": ["issues"]}]
)
def test_a_cause_is_not_told_beside_a_rule_that_may_be_about_its_source(
    member: User, rules: dict[str, Any]
) -> None:
    run = full_run("failed", failure_cause="CAUSE-CANARY", issues=["An issue"])
    token = share(run, member, rules=rules)
    assert b"CAUSE-CANARY" not in everything_told(f"/s/{token}/", Client())


def run_with_calls(status: str) -> Run:
    """A call whose own result calls it failed, and one that is at work or was never answered."""
    run = make_run(status, step_count=0)
    call = {"type": "tool_call", "duration_ms": None, "tool_output": None}
    make_steps(run, 1, **call, tool_name="bash", tool_input='{"command": "touch x.txt"}')
    denied = {"tool_name": "bash", "tool_output": '"bash: x.txt: Permission denied"'}
    make_steps(run, 1, type="tool_result", tool_input=None, **denied)
    given = '{"filePath": "/report.docx", "content": "x"}'
    make_steps(run, 1, **call, tool_name="write", tool_input=given)
    return run


@pytest.mark.parametrize("is_frozen", [False, True], ids=["live", "frozen"])
@pytest.mark.parametrize(
    ("status", "word", "mark"),
    [("running", "Writing", None), ("completed", "Writing", "no outcome was told")],
)
def test_calls_are_told_as_they_stand(
    member: User, status: str, word: str, mark: str | None, is_frozen: bool
) -> None:
    run = run_with_calls(status)
    token = share(run, member, is_frozen=is_frozen)
    for page in ("", "read/"):
        told = Client().get(f"/s/{token}/{page}", follow=True).text
        assert f"{word} <code>/report.docx</code>" in told, page
        assert "Wrote" not in told
        assert ("no outcome was told" in told) == bool(mark), page
        assert "Tried to" in told, "the call that its result calls failed"


def test_without_tools_no_call_is_called_failed(member: User) -> None:
    token = share(run_with_calls("completed"), member, shows=frozenset({Part.TIMELINE}))
    assert "Tried to" not in Client().get(f"/s/{token}/", follow=True).text
