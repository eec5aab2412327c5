"""The JSON API: what it answers, to whom, and that its document tells the truth about it."""

import json
import re
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from dashboard import filters
from dashboard.api import bearer, tokens
from dashboard.api.models import ApiToken
from dashboard.audit.models import AuditEntry
from runs import notices
from runs.models import Run, Step
from tests.conftest import account
from tests.dashboard.files import fetch
from tests.dashboard.links import full_run
from tests.factories import make_agent, make_entries, make_run, make_runs, make_steps

pytestmark = pytest.mark.django_db

GETS = (
    *("/api/me", "/api/runs", "/api/runs/run_a", "/api/runs/run_a/steps"),
    *("/api/runs/run_a/steps/2", "/api/runs/run_a/entries", "/api/runs/run_a/costs"),
)


def token_of(user: User, **chosen: Any) -> str:
    return tokens.create(user, "the tests", 7, **chosen)[1]


class Caller:
    """A program with a token, and nothing else."""

    def __init__(self, token: str | None) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    def get(self, address: str, **query: Any) -> Any:
        return self.client.get(address, query, headers=self.headers)

    def ok(self, address: str, **query: Any) -> Any:
        answer = self.get(address, **query)
        assert answer.status_code == 200, (address, answer.content)
        return answer.json()

    def post(self, address: str, body: Any) -> Any:
        return self.client.post(
            address, json.dumps(body), content_type="application/json", headers=self.headers
        )


@pytest.fixture
def reader(viewer: User) -> Caller:
    return Caller(token_of(viewer))


def is_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"]
    return body


# What it answers ---------------------------------------------------------------------------------


def test_the_list_goes_through_all_runs_by_its_windows(reader: Caller, viewer_client: Client):
    make_agent()
    make_runs(7)
    make_runs(5, status="failed")
    found: list[str] = []
    after = ""
    while True:
        page = reader.ok("/api/runs", status="failed", sort="cost", limit=2, after=after)
        found += [run["run_id"] for run in page["runs"]]
        assert (page["matched"], page["matched_is_exact"]) == (5, True)
        if (after := page["next"] or "") == "":
            break
    html = viewer_client.get("/runs/?status=failed&sort=cost").content.decode()
    assert found == re.findall(r'<tr id="run-.*?href="/runs/([\w-]+)/"', html, re.DOTALL)
    assert page["runs"][0]["agent_name"] == "Contract Reviewer"
    assert page["runs"][0]["prompt_start"]


def test_the_list_counts_as_far_as_the_page_does(reader: Caller, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filters, "MOST_MATCHING", 4)
    make_runs(5, status="failed")
    for query, told in (({"status": "failed"}, (4, False)), ({"sort": "cost"}, (5, True))):
        page = reader.ok("/api/runs", limit=2, **query)
        assert (page["matched"], page["matched_is_exact"]) == told


def test_counts_of_a_run_that_was_not_read_yet_are_null(reader: Caller):
    make_run("completed", run_id="run_a", version=0, step_count=0, tool_call_count=0)
    (listed,) = reader.ok("/api/runs")["runs"]
    for told in (listed, reader.ok("/api/runs/run_a")):
        assert (told["step_count"], told["tool_call_count"]) == (None, None)


def test_a_run_is_told_as_its_file_tells_it(reader: Caller, viewer: User):
    full_run(run_id="run_a", unreported=["workflowId"])
    filed = json.loads(fetch(viewer, "/runs/run_a/export/record.json").body)
    assert reader.ok("/api/runs/run_a") == filed["run"]
    assert reader.ok("/api/runs/run_a/steps")["steps"] == filed["steps"]
    assert reader.ok("/api/runs/run_a/entries")["entries"] == filed["entries"]
    assert reader.ok("/api/runs/run_a/steps/2") == filed["steps"][1]


def test_steps_and_entries_come_in_windows(reader: Caller):
    run = make_run(run_id="run_a", version=9)
    make_steps(run, 12)
    make_entries(run, 12)
    for position in (3, 4):  # two rows that stood at one place, of which one is gone
        Step.objects.filter(run=run, position=position).update(
            position=3, **({"vanished_at": timezone.now()} if position == 3 else {})
        )
    for what in ("steps", "entries"):
        for limit, more in ((5, {}), (1, {"include_vanished": "true"}), (500, {})):
            places: list[int] = []
            after = ""
            while True:
                page = reader.ok(f"/api/runs/run_a/{what}", limit=limit, after=after, **more)
                places += [row["position"] for row in page[what]]
                assert page["version"] == 9
                if (after := page["next"] or "") == "":
                    break
            wanted = [at for at in range(1, 13) if at != 4 or what == "entries"]
            assert places == (sorted([*wanted, 3]) if more and what == "steps" else wanted)
    Step.objects.filter(run=run, position=7).update(changed_version=10)
    changed = reader.ok("/api/runs/run_a/steps", changed_since=9)
    assert [step["position"] for step in changed["steps"]] == [7]


def test_an_answer_never_holds_more_than_a_few_megabytes(reader: Caller):
    run = make_run(run_id="run_a")
    make_steps(run, 8, type="tool_call", tool_output=json.dumps("x" * 1_500_000))
    first = reader.ok("/api/runs/run_a/steps")
    assert [step["position"] for step in first["steps"]] == [1, 2]
    assert [
        step["position"]
        for step in reader.ok("/api/runs/run_a/steps", after=first["next"])["steps"]
    ] == [3, 4]
    Step.objects.filter(run=run, position=3).update(tool_output=json.dumps("x" * 5_000_000))
    alone = reader.ok("/api/runs/run_a/steps", after=first["next"])
    assert [step["position"] for step in alone["steps"]] == [3]


def test_costs_are_told_to_the_micro_dollar_and_absent_is_not_zero(reader: Caller):
    run = make_run(run_id="run_a", summary_cost_micros=4_001)
    make_entries(run, 4)
    costs = reader.ok("/api/runs/run_a/costs")
    assert (costs["cost_micros"], costs["entries_cost_micros"]) == (4_001, 4_000)
    assert (costs["difference_micros"], costs["adds_up"]) == (-1, False)
    assert sum(group["cost_micros"] for group in costs["by_service"]) == 4_000
    make_run("queued", run_id="run_b")
    silent = reader.ok("/api/runs/run_b/costs")
    assert (silent["cost_micros"], silent["adds_up"], silent["by_kind"]) == (None, None, [])


def test_the_document_tells_every_field_that_answers_have(reader: Caller):
    full_run(run_id="run_a")
    told = Client().get("/api/openapi.json").json()
    shapes = told["components"]["schemas"]
    assert told["openapi"].startswith("3.")

    def fits(value: Any, shape: dict[str, Any], where: str) -> None:
        if "$ref" in shape:
            shape = shapes[shape["$ref"].rpartition("/")[2]]
        if shape.get("type") == "array":
            for one in value:
                fits(one, shape["items"], where)
        elif "properties" in shape:
            optional = {"input", "output", "metadata"}
            assert set(shape["properties"]) - optional == set(value) - optional, where
            for name, one in value.items():
                fits(one, shape["properties"][name], f"{where}.{name}")
        elif kinds := {one.get("type") for one in shape.get("anyOf", [shape])} - {None}:
            kind = {bool: "boolean", int: "integer", str: "string", type(None): "null"}
            assert kind.get(type(value), "array") in kinds, (where, value, kinds)

    seen = set()
    for path, operations in told["paths"].items():
        address = path.replace("{run_id}", "run_a").replace("{position}", "2")
        assert operations["get"]["security"], path
        answer = operations["get"]["responses"]["200"]["content"]["application/json"]
        fits(reader.ok(address), answer["schema"], path)
        seen.add(address)
    assert seen == set(GETS)


# Adding ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_run_is_added_in_the_name_of_who_owns_the_token(member: User, simulator: Any):
    caller = Caller(token_of(member, may_read=False, may_add=True))
    body = is_problem(caller.post("/api/runs", {"run": "not an id!"}), 422, "invalid")
    assert body["errors"][0]["name"] == "run"
    is_problem(caller.post("/api/runs", {"run": "run_unknown"}), 404, "not-found")
    is_problem(caller.post("/api/runs", {}), 422, "invalid")
    asked = {"agentId": _agent(simulator), "prompt": "Review the NDA"}
    known = httpx.post(f"{simulator.url}/agent/v1/run", headers=simulator.headers, json=asked)
    added = caller.post("/api/runs", {"run": f"https://case.dev/runs/{known.json()['id']}"})
    assert (added.status_code, added.json()["prompt"]) == (201, "Review the NDA")
    act = AuditEntry.objects.get(act="run-added")
    assert (act.name, act.run) == ("mira", added.json()["run_id"])
    assert "by token “the tests”" in act.detail
    is_problem(caller.get("/api/runs"), 403, "not-allowed")


def _agent(simulator: Any) -> str:
    agents = httpx.get(f"{simulator.url}/agent/v1/agents", headers=simulator.headers).json()
    return str(agents["agents"][0]["id"])


def test_who_may_not_add_cannot_add_by_a_token(viewer: User, member: User):
    make_run(run_id="run_a")
    for token in (token_of(viewer, may_add=True), token_of(member)):
        is_problem(Caller(token).post("/api/runs", {"run": "run_a"}), 403, "not-allowed")
    assert not AuditEntry.objects.filter(act="run-added").exists()


# Who is let in -----------------------------------------------------------------------------------


def test_nothing_opens_without_a_live_token(viewer: User, viewer_client: Client):
    full_run(run_id="run_a")
    expired, revoked = token_of(viewer), token_of(viewer)
    ApiToken.objects.filter(digest=tokens.digest(expired)).update(expires_at=timezone.now())
    found = tokens.found(revoked)
    assert found is not None
    assert tokens.revoke(found, viewer)
    assert not tokens.revoke(found, viewer)
    for token in (None, "", "x", "runsheet_" + "A" * 43, expired, revoked, "\u00e9" * 20):
        notices.connection().flushdb()
        for address in GETS:
            answer = Caller(token).get(address)
            is_problem(answer, 401, "no-token")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert b"run_a" not in answer.content
    notices.connection().flushdb()
    for address in GETS:  # a session is no token
        is_problem(viewer_client.get(address), 401, "no-token")
    wrong = Client().get("/api/runs", headers={"Authorization": "Basic dXNlcjpwYXNz"})
    is_problem(wrong, 401, "no-token")
    in_address = Client().get(f"/api/runs?token={token_of(viewer)}")
    is_problem(in_address, 401, "no-token")


def test_a_token_ends_with_what_its_owner_may(viewer: User, settings: Any):
    caller = Caller(token_of(viewer))
    caller.ok("/api/runs")
    viewer.groups.clear()
    is_problem(caller.get("/api/runs"), 403, "not-allowed")
    viewer.groups.add(Group.objects.get(name="viewer"))
    caller.ok("/api/runs")
    settings.REQUIRE_MFA = settings.MFA_FOR_EVERYONE = True
    assert "second factor" in is_problem(caller.get("/api/runs"), 403, "not-allowed")["detail"]
    settings.REQUIRE_MFA = settings.MFA_FOR_EVERYONE = False
    caller.ok("/api/runs")
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    is_problem(caller.get("/api/runs"), 401, "no-token")


def test_too_many_requests_are_held_off(reader: Caller, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bearer, "A_MINUTE", 3)
    monkeypatch.setattr(bearer, "WRONG_A_MINUTE", 2)
    answers = [reader.get("/api/me") for _ in range(8)]  # also where a minute ends meanwhile
    held = [answer for answer in answers if answer.status_code == 429]
    assert held
    assert 1 <= int(held[0].headers["Retry-After"]) <= 60
    is_problem(held[0], 429, "too-many-requests")
    wrong = [Caller("runsheet_wrong").get("/api/me").status_code for _ in range(6)]
    assert 429 in wrong
    monkeypatch.undo()
    reader.ok("/api/me")  # a good token from the same place goes on


def test_what_cannot_be_is_told_as_a_problem(reader: Caller):
    make_run(run_id="run_a")
    errors = is_problem(reader.get("/api/runs", limit=0, after="x"), 422, "invalid")["errors"]
    assert [error["name"] for error in errors] == ["limit"]
    errors = is_problem(reader.get("/api/runs", after="x", sort="age"), 422, "invalid")["errors"]
    assert {error["name"] for error in errors} == {"sort", "after"}
    for after in ("x", "1-", "-1", "1-x", "9" * 30 + "-1", "１-1"):
        is_problem(reader.get("/api/runs/run_a/steps", after=after), 422, "invalid")
    for address in ("/api/runs/run_none", "/api/runs/run_a/steps/99", "/api/nowhere", "/api/"):
        is_problem(reader.get(address), 404, "not-found")
    is_problem(reader.get("/api/runs/run_a/steps/99999999999999999999"), 404, "not-found")
    refused = reader.client.delete("/api/runs", headers=reader.headers)
    is_problem(refused, 405, "method-not-allowed")
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_head_is_answered_as_get_without_the_body(reader: Caller):
    full_run(run_id="run_a")
    for address in GETS:
        told, asked = reader.get(address), reader.client.head(address, headers=reader.headers)
        assert (asked.status_code, asked.content) == (200, b""), address
        assert asked.headers["Content-Type"] == told.headers["Content-Type"]
    missing = reader.client.head("/api/runs/run_nowhere", headers=reader.headers)
    assert (missing.status_code, missing.content) == (404, b"")
    assert Client().head("/api/runs").status_code == 401


# What is noted -----------------------------------------------------------------------------------


def test_looks_by_a_token_are_in_the_log_with_its_name(reader: Caller, viewer: User):
    full_run(run_id="run_a")
    reader.ok("/api/runs/run_a/steps")
    look = AuditEntry.objects.order_by("-number")[0]
    assert (look.act, look.name, look.run, look.page) == ("look", "violet", "run_a", "api:steps")
    assert "by token “the tests”" in look.detail
    Caller("runsheet_wrong").get("/api/runs/run_a")
    refused = AuditEntry.objects.order_by("-number")[0]
    assert (refused.result, refused.person, refused.run) == ("refused", None, "run_a")
    token = ApiToken.objects.get(user=viewer)
    assert token.last_used_at
    assert token.last_used_from == "127.0.0.1"


# Tokens on the account's pages -------------------------------------------------------------------


def signed_in_anew(name: str) -> Client:
    client = Client()
    password = f"{name} of the tests"
    client.post("/accounts/login/", {"login": name, "password": password})
    client.post("/accounts/reauthenticate/", {"password": password})
    return client


def made(client: Client, **form: Any) -> tuple[int, str]:
    """The status of the answer, and the token in it."""
    answer = client.post(
        "/accounts/tokens/new/", {"name": "ci", "days": "7", "may_read": "on"} | form
    )
    found = re.search(r'id="api-token">([^<]+)<', answer.content.decode())
    return answer.status_code, found[1] if found else ""


def test_a_token_is_shown_once_listed_and_revoked(viewer: User):
    client = signed_in_anew("violet")
    assert "You have none" in client.get("/accounts/tokens/").content.decode()
    assert "may_add" not in client.get("/accounts/tokens/new/").content.decode()
    status, text = made(client)
    assert status == 201
    assert text.startswith("runsheet_")
    assert Caller(text).ok("/api/me")["scopes"] == ["read"]
    html = client.get("/accounts/tokens/").content.decode()
    assert text not in html
    assert "ci" in html
    assert "127.0.0.1" in html
    token = ApiToken.objects.get()
    assert text.encode() not in bytes(token.digest)
    client.post(f"/accounts/tokens/{token.pk}/revoke/")
    assert "revoked" in client.get("/accounts/tokens/").content.decode()
    is_problem(Caller(text).get("/api/me"), 401, "no-token")
    acts = AuditEntry.objects.filter(act__startswith="token-").order_by("number")
    assert [(one.act, one.name) for one in acts] == [
        ("token-made", "violet"),
        ("token-revoked", "violet"),
    ]
    assert not [one for one in AuditEntry.objects.all() if text[9:] in one.detail]


def test_a_form_that_cannot_be_says_why(member: User):
    client = signed_in_anew("mira")
    for form in ({"name": " "}, {"days": "0"}, {"days": "366"}, {"days": "x"}, {"may_read": ""}):
        assert made(client, **form) == (400, ""), form
    assert made(client, may_add="on")[0] == 201
    assert ApiToken.objects.get().scopes == ["read", "add"]
    ApiToken.MOST_LIVE = 1
    try:
        assert made(client) == (400, "")
    finally:
        ApiToken.MOST_LIVE = 20


def test_tokens_are_for_their_owner_and_for_who_manages_accounts(viewer: User, admin: User):
    text = token_of(viewer)
    token = ApiToken.objects.get()
    account("mira", "member")
    other = signed_in_anew("mira")
    assert other.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 404
    assert "the tests" not in other.get("/accounts/tokens/").content.decode()
    overseer = signed_in_anew("ada")
    assert "the tests" in overseer.get("/accounts/tokens/").content.decode()
    overseer.post(f"/accounts/tokens/{token.pk}/revoke/")
    is_problem(Caller(text).get("/api/me"), 401, "no-token")
    assert "by ada" in signed_in_anew("violet").get("/accounts/tokens/").content.decode()


def test_making_a_token_asks_for_a_fresh_proof_and_a_role(viewer_client: Client):
    assert "reauthenticate" in viewer_client.get("/accounts/tokens/new/")["Location"]
    User.objects.create_user("nora", password="nora of the tests")
    nobody = signed_in_anew("nora")
    assert nobody.get("/accounts/tokens/").status_code == 403
    assert nobody.post("/accounts/tokens/new/", {"name": "x"}).status_code == 403


def test_the_page_about_the_api_names_every_address(viewer_client: Client):
    html = viewer_client.get("/api/docs").content.decode()
    told = Client().get("/api/openapi.json").json()
    for path, operations in told["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in html
    assert "<script src=" not in re.sub(r'<script src="/static/[^"]+"', "", html)
    assert Client().get("/api/docs").status_code == 302
    assert Run.objects.count() == 0
