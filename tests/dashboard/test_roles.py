"""Accounts: what each role may, who may touch whom, and that a disabled account is out at once."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.conftest import account, signed_in
from tests.factories import make_run

pytestmark = pytest.mark.django_db

USERS = "/admin/auth/user/"


def form_of(client: Client, user: User) -> dict[str, object]:
    """What the admin's page of `user` would send if nothing was touched."""
    form = client.get(f"{USERS}{user.pk}/change/").context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in values.items() if value not in (None, False)}
    sent.pop("last_login", None)
    joined = sent.pop("date_joined")
    sent |= {"date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}"}
    return sent


# Roles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", set()),
        ("member", {"runs.add_run", "dashboard.add_sharelink", "dashboard.change_sharelink"}),
        (
            "admin",
            {
                *("runs.add_run", "dashboard.add_sharelink", "dashboard.change_sharelink"),
                *("runs.change_poll", "runs.view_payload", "auth.change_user"),
            },
        ),
    ],
)
def test_each_role_may_what_it_is_for_and_no_more(role: str, may: set[str]) -> None:
    user = account("somebody", role)
    every = {
        *("runs.add_run", "dashboard.add_sharelink", "dashboard.change_sharelink"),
        *("runs.change_poll", "runs.view_payload", "auth.change_user"),
    }
    assert {permission for permission in every if user.has_perm(permission)} == may
    assert user.has_perm("runs.view_run")
    for never in ("runs.change_run", "runs.delete_run", "dashboard.delete_sharelink"):
        assert not user.has_perm(never)


def test_making_the_roles_again_changes_nothing(admin: User) -> None:
    before = {group.name: group.permissions.count() for group in Group.objects.all()}
    account("another", "viewer")
    assert set(before) == {"viewer", "member", "admin"}
    assert {group.name: group.permissions.count() for group in Group.objects.all()} == before


# A disabled account ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/runs/", "/share-links/", "/admin/"])
def test_a_disabled_account_is_out_with_its_next_request(admin: User, path: str) -> None:
    client = signed_in(admin)
    assert client.get(path).status_code == 200
    User.objects.filter(pk=admin.pk).update(is_active=False)
    answer = client.get(path, follow=True)
    assert answer.redirect_chain[-1] == (f"/accounts/login/?next={path}", 302)


def test_a_disabled_account_cannot_share(member: User, member_client: Client) -> None:
    User.objects.filter(pk=member.pk).update(is_active=False)
    path = f"/runs/{make_run().run_id}/share/"
    assert member_client.post(path, {"purpose": "x", "days": "7"}).status_code == 302
    assert not member.share_links.exists()


def test_a_role_that_is_taken_away_is_gone_with_the_next_request(
    member: User, member_client: Client
) -> None:
    path = f"/runs/{make_run().run_id}/share/"
    assert member_client.get(path).status_code == 200
    member.groups.clear()
    assert member_client.get(path).status_code == 403


# Accounts in the admin ---------------------------------------------------------------------------


def test_an_admin_makes_an_account_and_gives_it_a_role(admin: User) -> None:
    client = signed_in(admin)
    password = {"password1": "a long enough one", "password2": "a long enough one"}
    made = client.post(f"{USERS}add/", {"username": "nora", "usable_password": "true", **password})
    nora = User.objects.get(username="nora")
    assert made["Location"] == f"{USERS}{nora.pk}/change/"
    role = Group.objects.get(name="member")
    sent = form_of(client, nora) | {"groups": [str(role.pk)]}
    assert client.post(f"{USERS}{nora.pk}/change/", sent).status_code == 302
    assert User.objects.get(pk=nora.pk).has_perm("dashboard.add_sharelink")
    assert Client().login(username="nora", password="a long enough one")


def test_an_admin_disables_an_account(admin: User, member: User, member_client: Client) -> None:
    client = signed_in(admin)
    sent = form_of(client, member)
    sent.pop("is_active")
    assert client.post(f"{USERS}{member.pk}/change/", sent).status_code == 302
    assert member_client.get("/").status_code == 302


def test_an_admin_makes_nobody_a_superuser(admin: User, member: User) -> None:
    client = signed_in(admin)
    for user in (admin, member):
        sent = form_of(client, user) | {"is_superuser": "on", "is_staff": "on"}
        client.post(f"{USERS}{user.pk}/change/", sent)
        assert User.objects.get(pk=user.pk).is_staff
        assert not User.objects.get(pk=user.pk).is_superuser


def test_an_admin_does_not_touch_a_superuser(admin: User) -> None:
    root = User.objects.create_superuser("root", "root@firm.example", "the old password")
    client = signed_in(admin)
    assert client.get(f"{USERS}{root.pk}/change/").status_code == 200  # to look at
    refused = {
        "change": {"username": "root", "email": "mine@evil.example"},
        "password": {"password1": "another one 1", "password2": "another one 1"},
        "delete": {"post": "yes"},
    }
    for act, sent in refused.items():
        assert client.post(f"{USERS}{root.pk}/{act}/", sent).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(root.pk)], "post": "yes"}
    client.post(USERS, chosen)
    assert User.objects.get(username="root").check_password("the old password")
    assert User.objects.get(username="root").email == "root@firm.example"


def test_an_account_that_shared_something_is_disabled_and_never_deleted(
    admin: User, member: User, member_client: Client
) -> None:
    member_client.post(f"/runs/{make_run().run_id}/share/", {"purpose": "x", "days": "7"})
    answer = signed_in(admin).post(f"{USERS}{member.pk}/delete/", {"post": "yes"})
    assert "Cannot delete user" in answer.text
    assert User.objects.filter(pk=member.pk).exists()
