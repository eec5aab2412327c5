"""Pages for what goes wrong: each leads on, keeps the policy, and gives nothing away."""

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from dashboard.urls import handler500  # noqa: F401

pytestmark = pytest.mark.django_db
SECRET = "sk_case_in_a_traceback"


def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(SECRET)


def finds_no_database(request: HttpRequest) -> HttpResponse:
    raise OperationalError(SECRET)


def asks_wrongly(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    return HttpResponse()


def forbids(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("<b>Ask</b> an administrator.")


def is_missing(request: HttpRequest) -> HttpResponse:
    raise Http404(SECRET)


def is_odd(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation(SECRET)


urlpatterns = [
    path("breaks/", breaks),
    path("away/", finds_no_database),
    path("wrong/", asks_wrongly),
    path("forbids/", forbids),
    path("missing/", is_missing),
    path("odd/", is_odd),
    path("", include("dashboard.urls")),
]

pages = pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("/breaks/", 500, "Something broke on our side"),
        ("/wrong/", 500, "Something broke on our side"),
        ("/away/", 503, "The database cannot be used now"),
        ("/forbids/", 403, "Your account may not do this"),
        ("/missing/", 404, "There is no page here"),
        ("/odd/", 400, "This request was not understood"),
        ("/no/such/page/", 404, "There is no page here"),
    ],
)


@pytest.fixture
def calm(viewer) -> Client:
    """A client that gets the 500 page and not the exception."""
    client = Client(raise_request_exception=False)
    client.force_login(viewer)
    return client


@pages
@pytest.mark.urls(__name__)
def test_an_error_says_what_happened_and_leads_on(calm, address, status, sentence):
    response = calm.get(address)
    html = response.content.decode()
    assert response.status_code == status
    assert sentence in html
    assert 'href="/"' in html
    assert SECRET not in html
    assert "Traceback" not in html


@pages
@pytest.mark.urls(__name__)
def test_an_error_page_keeps_the_policy_for_scripts_and_styles(calm, address, status, sentence):
    response = calm.get(address)
    html = response.content.decode()
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    for forbidden in ("<script", "<style", " style=", "onclick", "hx-headers"):
        assert forbidden not in html


@pytest.mark.urls(__name__)
def test_a_refusal_gives_its_reason_as_text(calm):
    assert "&lt;b&gt;Ask&lt;/b&gt; an administrator." in calm.get("/forbids/").content.decode()


def test_a_missing_page_offers_search_list_and_adding(viewer_client):
    html = viewer_client.get("/no/such/page/").content.decode()
    for way in ('action="/runs/"', 'href="/runs/"', 'href="/runs/add/"'):
        assert way in html


def test_a_stranger_learns_nothing_from_a_missing_page(client):
    response = client.get("/no/such/page/")
    html = response.content.decode()
    assert response.status_code == 404
    assert 'href="/accounts/login/"' in html
    assert 'action="/runs/"' not in html
    assert not response.cookies


def test_a_host_that_is_not_ours_is_refused(client):
    response = client.get("/", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert "This request was not understood" in response.content.decode()
    assert "evil.example" not in response.content.decode()
