"""Django's admin under the site's strict policy."""

from django.contrib.auth.models import User
from playwright.sync_api import Page

from tests.factories import make_run
from tests.siteserver import SiteServer


def test_the_admin_works_under_the_strict_policy(site: SiteServer, page: Page) -> None:
    make_run(run_id="run_known", prompt="Review the lease of Hale")
    User.objects.create_superuser("root", "root@firm.example", "the password")
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{site}/admin/runs/run/")
    page.fill("[name=login]", "root")
    page.fill("[name=password]", "the password")
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{site}/admin/runs/run/")
    page.check("#action-toggle")
    assert "1 of 1 selected" in page.inner_text(".action-counter")
    page.click("text=run_known")
    page.wait_for_selector("text=Review the lease of Hale")
    root = User.objects.get()
    for path in ("/admin/", f"/admin/auth/user/{root.pk}/change/", "/admin/auth/user/add/"):
        page.goto(f"{site}{path}")
    page.goto(f"{site}/admin/auth/group/add/")
    page.click("#id_permissions_from option >> nth=0")
    page.click("#id_permissions_add")
    assert page.locator("#id_permissions_to option").count() == 1
    assert complaints == []
