"""Adding a run by its id or address."""

import re

import httpx
import pytest
from django.test import Client

from runs.models import Run, Upstream
from tests.factories import make_run

pytestmark = pytest.mark.django_db


def paste(client: Client, text: str) -> tuple[int, str]:
    """Status of the answer, and what it says beside the field (or where it leads)."""
    assert client.get("/runs/add/").status_code == 200
    response = client.post("/runs/add/", {"run": text})
    if response.status_code == 302:
        return 302, response["Location"]
    html = response.content.decode()
    errors = re.findall(r'class="error"[^>]*>(.*?)</(?:ul|p)>', html, re.DOTALL)
    return response.status_code, " ".join(re.sub(r"<[^>]+>", " ", " ".join(errors)).split())


def test_a_stranger_is_led_to_the_login(client):
    for response in (client.get("/runs/add/"), client.post("/runs/add/", {"run": "run_1"})):
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/")
    assert not Run.objects.exists()


def test_a_viewer_may_not_add_and_is_told_so(viewer_client):
    for response in (viewer_client.get("/runs/add/"), viewer_client.post("/runs/add/")):
        assert response.status_code == 403
        assert "does not include adding runs" in response.content.decode()


def test_the_page_asks_for_one_thing(member_client):
    html = member_client.get("/runs/add/").content.decode()
    assert "Run id or address" in html
    assert "csrfmiddlewaretoken" in html


def test_a_form_of_another_site_is_refused(member):
    client = Client(enforce_csrf_checks=True)
    client.force_login(member)
    response = client.post("/runs/add/", {"run": "run_1"})
    assert response.status_code == 403
    assert "The form was not accepted" in response.content.decode()


@pytest.mark.parametrize(
    "text",
    ["", "   ", "not an id!", "run 1", "../etc/passwd", "https://example.com/", "run_1\x00",
     "ru​n_1", "x" * 129, "<script>alert(1)</script>", "y" * 3_000],
)  # fmt: skip
def test_what_cannot_be_an_id_gets_a_message_and_no_request_is_made(member_client, text):
    # Nobody listens where the settings point, so a request would say that Case.dev is away.
    status, message = paste(member_client, text)
    assert status == 422
    assert message
    assert "Case.dev" not in message
    assert "<script>" not in message
    assert not Run.objects.exists()


def test_what_was_pasted_stays_in_the_field(member_client):
    response = member_client.post("/runs/add/", {"run": '"><b>x'})
    assert 'value="&quot;&gt;&lt;b&gt;x"' in response.content.decode()


def test_a_known_run_opens_without_a_request(member_client):
    run = make_run(run_id="run_known")
    assert paste(member_client, " run_known ") == (302, f"/runs/{run.run_id}/")
    assert paste(member_client, "https://app.case.dev/agents/runs/run_known?tab=steps") == (
        302,
        "/runs/run_known/",
    )


def test_an_unknown_run_is_fetched_stored_and_opened(member_client, simulator):
    created = httpx.post(
        f"{simulator.url}/agent/v1/run",
        headers=simulator.headers,
        json={"agentId": _agent(simulator), "prompt": "Review the NDA"},
    ).json()
    assert paste(member_client, created["id"]) == (302, f"/runs/{created['id']}/")
    assert Run.objects.get(run_id=created["id"]).prompt == "Review the NDA"


def _agent(simulator) -> str:
    agents = httpx.get(f"{simulator.url}/agent/v1/agents", headers=simulator.headers).json()
    return str(agents["agents"][0]["id"])


def test_a_run_that_case_dev_does_not_know_gets_a_message(member_client, simulator):
    assert paste(member_client, "run_nowhere") == (
        422,
        "Case.dev knows no run with this id in your organisation.",
    )
    assert not Run.objects.exists()


@pytest.mark.simulator(key="sk_case_right")
def test_a_refused_key_is_said(member_client, simulator, settings):
    settings.CASEDEV_API_KEY = "sk_case_wrong_and_secret"
    status, message = paste(member_client, "run_1")
    assert status == 422
    assert message.startswith("Case.dev could not be asked:")
    assert "sk_case_wrong" not in message
    html = member_client.get("/runs/").content.decode()
    assert '<p class="banner bad"><span role="alert">Case.dev refuses our key' in html
    assert "sk_case_wrong" not in html


def test_when_case_dev_is_away_it_is_said_and_the_page_stays_up(member_client):
    status, message = paste(member_client, "run_1")
    assert status == 422
    assert message.startswith("Case.dev could not be asked:")
    assert not Run.objects.exists()
    assert Upstream.objects.get().failures == 1
