"""The admin of the record: found, filtered and read by those who may, edited by nobody."""

import json
import re
import zlib
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs import searching
from runs.admin.base import Bounded
from runs.models import (
    Agent,
    Discovery,
    Payload,
    Poll,
    Revision,
    Run,
    Step,
    Upstream,
    UsageEntry,
)
from tests.conftest import account, signed_in
from tests.factories import (
    make_agent,
    make_entries,
    make_poll,
    make_run,
    make_runs,
    make_steps,
)

pytestmark = pytest.mark.django_db

MOST_QUERIES = 15
RECORD = (Run, Step, UsageEntry, Poll, Payload, Revision, Agent, Upstream, Discovery)
BODY = {"id": "run_known", "steps": [{"content": "<b>privileged</b>"}]}


@pytest.fixture
def root(db: None) -> Client:
    """A superuser: may do everything that anybody may."""
    return signed_in(User.objects.create_superuser("root", "root@firm.example"))


@pytest.fixture
def staff(viewer: User) -> Client:
    """Looks into the admin with the permissions of a viewer."""
    viewer.is_staff = True
    viewer.save()
    return signed_in(viewer)


def name_of(model: type[Model]) -> str:
    return model._meta.model_name or ""


def path_of(model: type[Model], pk: Any = None) -> str:
    listed = f"/admin/runs/{name_of(model)}/"
    return listed if pk is None else f"{listed}{pk}/change/"


def known_run(**fields: Any) -> Run:
    """A run with one row of each kind below it."""
    make_agent()
    run = make_run(**({"run_id": "run_known", "prompt": "Review the lease of Hale"} | fields))
    make_steps(run, 3)
    make_entries(run, 2)
    now = timezone.now()
    body = json.dumps(BODY).encode()
    Payload.objects.create(
        run=run, kind="good", body=zlib.compress(body), size=len(body), observed_at=now
    )
    Revision.objects.create(
        run=run, of="step", position=1, replaced_version=1, replaced_at=now, body='{"content": "x"}'
    )
    Upstream.objects.get_or_create(pk=Upstream.SOLE)
    Discovery.objects.get_or_create(pk=Discovery.SOLE)
    return run


def row_of(model: type[Model]) -> Model:
    row = model._default_manager.first()
    assert row is not None
    return row


def choose(client: Client, model: type[Model], action: str, *rows: Model) -> Any:
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows], "index": "0"}
    return client.post(path_of(model), chosen, follow=True)


# Who comes in ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", RECORD, ids=name_of)
def test_a_stranger_is_led_to_the_sites_own_login(client: Client, model: type[Model]) -> None:
    answer = client.get(path_of(model))
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path_of(model)}"


def test_the_admins_own_login_page_leads_to_the_sites_too(client: Client) -> None:
    answer = client.get("/admin/login/?next=/admin/runs/run/")
    assert answer["Location"] == "/accounts/login/?next=/admin/runs/run/"


def test_the_admins_login_leads_to_no_other_site(client: Client) -> None:
    answer = client.get("/admin/login/?next=https://evil.example/")
    assert answer["Location"] == "/accounts/login/?next=/admin/"


@pytest.mark.parametrize("path", ["/admin/", "/admin/runs/run/", "/admin/login/"])
def test_a_member_is_told_in_words_that_the_admin_is_closed(
    member_client: Client, path: str
) -> None:
    answer = member_client.get(path, follow=True)
    assert answer.status_code == 403
    assert "may not open the administration" in answer.text


def test_the_role_admin_opens_it_without_a_second_switch(db: None) -> None:
    assert signed_in(account("abel", "admin")).get("/admin/runs/run/").status_code == 200


# Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", RECORD, ids=name_of)
def test_every_list_says_so_when_it_is_empty(root: Client, model: type[Model]) -> None:
    answer = root.get(path_of(model))
    assert answer.status_code == 200
    assert f"0 {model._meta.verbose_name_plural}" in answer.text


@pytest.mark.parametrize("model", RECORD, ids=name_of)
def test_no_page_needs_more_than_15_queries(admin: User, model: type[Model]) -> None:
    run = known_run()
    make_steps(run, 47)
    make_entries(run, 48)
    for each in make_runs(200):
        make_poll(each)
    client = signed_in(admin)
    for path in (path_of(model), path_of(model, row_of(model).pk)):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        assert len(queries) <= MOST_QUERIES, path


def test_lists_load_none_of_the_columns_that_hold_megabytes(root: Client) -> None:
    known_run(output="the whole output", logs=[["runner", "the whole log"]])
    heavy = {"Run": ('"output"', '"logs"', '"guidance"'), "Step": ('"tool_output"',)}
    for model, columns in ((Run, heavy["Run"]), (Step, heavy["Step"]), (Payload, ('"body"',))):
        with CaptureQueriesContext(connection) as queries:
            root.get(path_of(model))
        asked = " ".join(query["sql"] for query in queries)
        assert not [column for column in columns if f"{column}," in asked]


def test_the_list_of_runs_tells_what_one_looks_for(root: Client) -> None:
    known_run(summary_cost_micros=1_234_567, poll_last_error="API answered 503")
    text = root.get(path_of(Run)).text
    for words in ("run_known", "completed", "Contract Reviewer", "Review the lease of Hale"):
        assert words in text
    assert "$1.234567" in text
    assert "0:03:41" in text
    assert "API answered 503" in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("run_known", ["run_known"]),
        ("run_kn", ["run_known"]),
        ("LEASE of", ["run_known"]),
        ("agent_rare", ["run_other"]),
        ("nothing like it", []),
        ("\x00", ["run_known", "run_other"]),
    ],
)
def test_runs_are_found_by_id_its_beginning_agent_and_prompt(
    root: Client, words: str, found: list[str]
) -> None:
    known_run()
    make_run(run_id="run_other", agent_id="agent_rare", prompt="Sort the exhibits")
    text = root.get(path_of(Run), {"q": words}).text
    assert [name for name in ("run_known", "run_other") if f">{name}</a>" in text] == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", "run_b"),
        ("status=~", "run_c"),
        ("agent_id=agent_rare", "run_b"),
    ],
)
def test_runs_are_filtered_by_status_and_agent(root: Client, query: str, found: str) -> None:
    make_agent("agent_rare", "Rare")
    make_run(run_id="run_a")
    make_run("failed", run_id="run_b", agent_id="agent_rare")
    make_run("suspended", run_id="run_c")
    text = root.get(f"{path_of(Run)}?{query}").text
    assert [name for name in ("run_a", "run_b", "run_c") if f">{name}</a>" in text] == [found]


def test_polls_in_trouble_are_one_click_away(root: Client) -> None:
    make_run(run_id="run_fine")
    make_run(run_id="run_held", poll_quarantined_at=timezone.now(), poll_failures=5)
    make_run(run_id="run_flaky", poll_failures=2)
    for query, found in (
        ("quarantined", "run_held"),
        ("failing", "run_flaky"),
        ("none", "run_fine"),
    ):
        text = root.get(path_of(Poll), {"trouble": query}).text
        names = ("run_fine", "run_held", "run_flaky")
        assert [name for name in names if f">{name}</a>" in text] == [found]


def test_a_run_leads_to_all_that_belongs_to_it(root: Client) -> None:
    run = known_run()
    text = root.get(path_of(Run, run.pk)).text
    for part in ("step", "usageentry", "revision", "payload"):
        assert f'href="/admin/runs/{part}/?run={run.pk}"' in text
    assert f'href="/admin/dashboard/sharelink/?run={run.pk}"' in text
    assert f'href="/admin/runs/poll/{run.pk}/change/"' in text
    assert 'href="/runs/run_known/"' in text


def test_the_parts_of_one_run_are_listed_alone(root: Client) -> None:
    run = known_run()
    make_steps(make_run(run_id="run_other"), 4)
    text = root.get(f"{path_of(Step)}?run={run.pk}").text
    assert "3 steps" in text
    assert "run_other" not in text


def test_absent_zero_and_empty_are_told_apart(root: Client) -> None:
    run = known_run(output="", summary=None, input_tokens=0, issues=[])
    text = root.get(path_of(Run, run.pk)).text
    assert value_in(text, "output") == "none"
    assert value_in(text, "summary") == "not reported"
    assert value_in(text, "input_tokens") == "0"
    assert value_in(text, "issues") == "none"


def value_in(text: str, field: str) -> str:
    """What a page of the admin shows for `field`."""
    shown = text.split(f"form-row field-{field}", 1)[1].split('class="readonly">', 1)[1]
    return shown.split("</div>")[0].replace('<span class="quiet">', "").replace("</span>", "")


def test_a_long_value_is_cut_and_its_size_told(root: Client) -> None:
    run = known_run()
    Step.objects.filter(run=run, position=2).update(tool_output="é" * 50_000 + "the very end")
    step = Step.objects.get(run=run, position=2)
    answer = root.get(path_of(Step, step.pk))
    assert "the first 4,000 characters of 100.0 kB" in answer.text
    assert "the very end" not in answer.text
    assert len(answer.content) < 60_000


def test_markup_in_the_record_stays_text(root: Client) -> None:
    bad = "<script>alert(1)</script>"
    run = known_run(prompt=bad, output=bad * 100, poll_last_error=bad, agent_id=bad, issues=[bad])
    Step.objects.filter(run=run).update(content=bad, tool_name=bad)
    pages = [path_of(Run), path_of(Run, run.pk), path_of(Poll), path_of(Poll, run.pk)]
    pages += [path_of(Step), path_of(Step, row_of(Step).pk)]
    for path in pages:
        text = root.get(path).text
        assert "&lt;script&gt;alert" in text, path
        assert bad not in text, path


@pytest.mark.parametrize("model", RECORD, ids=name_of)
@pytest.mark.parametrize("pk", ["999999", "x", "1_2"])
def test_a_row_that_is_not_there_is_said_to_be_missing(
    root: Client, model: type[Model], pk: str
) -> None:
    answer = root.get(path_of(model, pk), follow=True)
    assert answer.status_code == 200
    assert "doesn’t exist" in answer.text


# Nobody edits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", RECORD, ids=name_of)
def test_not_even_a_superuser_adds_changes_or_deletes(root: Client, model: type[Model]) -> None:
    known_run()
    row = row_of(model)
    before = model._default_manager.order_by("pk").values_list()
    kept = [tuple(map(repr, values)) for values in before]
    changed = path_of(model, row.pk)
    deleted = changed.replace("/change/", "/delete/")
    for method in (root.get, root.post):
        assert method(f"{path_of(model)}add/").status_code == 403
        assert method(deleted, {"post": "yes"}).status_code == 403
    assert root.post(changed, {"status": "failed", "name": "x", "_save": "1"}).status_code == 403
    choose(root, model, "delete_selected", row)
    after = model._default_manager.order_by("pk").values_list()
    assert [tuple(map(repr, values)) for values in after] == kept
    text = root.get(changed).text
    assert 'name="_save"' not in text
    assert "deletelink" not in text


# What one can do ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Run, Poll], ids=name_of)
def test_poll_now_asks_at_once_and_says_what_came_of_it(admin: User, model: type[Model]) -> None:
    run = known_run(status="running", poll_last_tried_at=None)
    answer = choose(signed_in(admin), model, "poll_now", model._default_manager.get(pk=run.pk))
    assert "run_known could not be polled" in answer.text  # nobody listens in this test
    assert Poll.objects.get(pk=run.pk).last_tried_at is not None


@pytest.mark.django_db(transaction=True)
def test_poll_now_stands_on_the_page_of_a_run_too(admin: User) -> None:
    run = known_run(status="running")
    page = signed_in(admin).get(path_of(Run, run.pk))
    field = page.context["action_form"]["action"].html_name
    asked = {field: "poll_now", "_selected_action": str(run.pk)}
    answer = signed_in(admin).post(path_of(Run, run.pk), asked, follow=True)
    assert "run_known could not be polled" in answer.text


def test_poll_now_takes_a_handful_and_no_more(admin: User) -> None:
    runs = [make_poll(run).run for run in make_runs(21)]
    answer = choose(signed_in(admin), Run, "poll_now", *runs)
    assert "Choose at most 20 runs" in answer.text


@pytest.mark.django_db(transaction=True)
def test_a_quarantine_is_lifted_and_the_run_due_at_once(admin: User) -> None:
    trouble = {"quarantined_at": timezone.now(), "failures": 5, "sync_failures": 5, "due_at": None}
    run = known_run(**{f"poll_{name}": value for name, value in trouble.items()})
    answer = choose(signed_in(admin), Poll, "lift_quarantine", Poll.objects.get(pk=run.pk))
    poll = Poll.objects.get(pk=run.pk)
    assert "1 run goes on" in answer.text
    assert poll.quarantined_at is None
    assert poll.due_at is not None
    assert poll.due_at <= timezone.now()


@pytest.mark.parametrize(("model", "action"), [(Run, "poll_now"), (Poll, "lift_quarantine")])
def test_who_may_only_look_is_offered_no_action_and_gets_none(
    staff: Client, model: type[Model], action: str
) -> None:
    now = timezone.now()
    run = known_run(poll_quarantined_at=now, poll_last_tried_at=None, poll_due_at=None)
    assert action not in staff.get(path_of(model)).text
    choose(staff, model, action, model._default_manager.get(pk=run.pk))
    poll = Poll.objects.get(pk=run.pk)
    assert poll.quarantined_at == now
    assert poll.last_tried_at is None


# The raw payload ---------------------------------------------------------------------------------


def test_the_raw_payload_needs_a_permission_of_its_own(staff: Client, viewer: User) -> None:
    run = known_run()
    payload = Payload.objects.get(run=run)
    download = f"/admin/runs/payload/{payload.pk}/download/"
    for path in (path_of(Payload), path_of(Payload, payload.pk), download):
        assert staff.get(path).status_code == 403
    assert "Raw payloads" not in staff.get(path_of(Run, run.pk)).text
    viewer.user_permissions.add(Permission.objects.get(codename="view_payload"))
    for path in (path_of(Payload), path_of(Payload, payload.pk), download):
        assert staff.get(path).status_code == 200


def test_the_raw_payload_is_shown_as_text(root: Client) -> None:
    run = known_run()
    text = root.get(path_of(Payload, Payload.objects.get(run=run).pk)).text
    assert "&lt;b&gt;privileged&lt;/b&gt;" in text
    assert "<b>privileged" not in text


def test_the_raw_payload_is_downloaded_byte_for_byte_and_runs_nowhere(root: Client) -> None:
    run = known_run()
    payload = Payload.objects.get(run=run)
    answer = root.get(f"/admin/runs/payload/{payload.pk}/download/")
    assert answer.content == json.dumps(BODY).encode()
    assert answer["Content-Disposition"] == 'attachment; filename="run_known.json"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert answer["Content-Type"] == "application/octet-stream"


def test_a_download_of_no_payload_is_not_found(root: Client, client: Client) -> None:
    assert root.get("/admin/runs/payload/999/download/").status_code == 404
    assert client.get("/admin/runs/payload/999/download/").status_code == 302


def test_the_pages_of_a_list_follow_one_another(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bounded, "MOST", 110)
    make_runs(120)
    pages = [root.get(path_of(Run) + query).text for query in ("", "?p=2", "?p=3")]
    shown = [re.findall(r">(run_\d+)</a></th>", page) for page in pages]
    assert [len(names) for names in shown] == [50, 50, 10]
    newest = Run.objects.order_by("-listed_at", "-id").values_list("run_id", flat=True)
    assert [name for names in shown for name in names] == list(newest[:110])


def test_words_that_many_runs_hold_are_counted_among_a_few_thousand(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SAMPLE", 10**6)
    monkeypatch.setattr(searching, "COMMON", 1)
    make_runs(40, prompt="lease", status="failed")
    make_runs(70, prompt="contract", status="completed")
    cases = (
        (200, "contract", "70 runs", 2),
        (95, "contract", "The first [567]\\d runs; narrow", 2),  # 96 are looked at
        (10, "contract", "The first 51 runs; narrow", 2),  # ten at most, and a page and more
        (10, "lease", "40 runs", 1),
        (10, "contract&status=failed", "0 runs", 1),
    )
    for looked_at, asked, told, pages in cases:
        monkeypatch.setattr(searching, "COUNTED", looked_at)
        page = root.get(f"{path_of(Run)}?q={asked}").text
        assert re.search(told, page), (looked_at, asked)
        assert ("p=2" in page) == (pages == 2), asked


def test_a_list_counts_and_pages_only_so_far_and_says_so(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bounded, "MOST", 60)
    make_runs(70)
    page = root.get(path_of(Run)).text
    assert "The first 60 runs; narrow the list" in page
    assert "?p=2" in page
    assert "?p=3" not in page
    with CaptureQueriesContext(connection) as queries:
        assert root.get(path_of(Run) + "?p=2").status_code == 200
    counts = [
        one["sql"] for one in queries if "COUNT(*)" in one["sql"] and "runs_run" in one["sql"]
    ]
    assert counts
    assert all("LIMIT 61" in sql for sql in counts)
    assert "0 runs" in root.get(path_of(Run), {"q": "no such words"}).text
