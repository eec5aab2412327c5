"""What an account may do is asked in one question, and is what Django would have said."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.accounts.backend import Backend

pytestmark = pytest.mark.django_db
RIGHTS = ("view_run", "add_run", "view_poll", "change_sharelink")


def account(name: str, own: Iterable[str] = (), groups: Iterable[str] = (), **fields: Any) -> User:
    user = User.objects.create_user(name, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=own))
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def accounts() -> list[User]:
    viewers, editors = Group.objects.create(name="seers"), Group.objects.create(name="doers")
    viewers.permissions.set(Permission.objects.filter(codename__in=RIGHTS[:2]))
    editors.permissions.set(Permission.objects.filter(codename__in=RIGHTS[1:]))
    return [
        account("nobody"),
        account("own", own=RIGHTS[:1]),
        account("group", groups=["seers"]),
        account("both", own=RIGHTS[2:3], groups=["seers", "doers"]),
        account("former", own=RIGHTS, groups=["seers"], is_active=False),
        account("root", is_superuser=True),
    ]


def test_rights_are_those_of_django() -> None:
    for user in accounts():
        expected = ModelBackend().get_all_permissions(User.objects.get(pk=user.pk))
        assert Backend().get_all_permissions(User.objects.get(pk=user.pk)) == expected, user
        for right in ("runs.view_run", "runs.add_run", "dashboard.change_sharelink"):
            assert User.objects.get(pk=user.pk).has_perm(right) == (right in expected), user
        assert Backend().get_all_permissions(User.objects.get(pk=user.pk), obj=user) == set()
    assert Backend().get_all_permissions(AnonymousUser()) == set()


def test_rights_are_asked_for_once() -> None:
    user = accounts()[3]
    with CaptureQueriesContext(connection) as asked:
        assert user.has_perm("runs.view_run")
        assert not user.has_perm("auth.change_user")
        assert user.has_module_perms("runs")
    assert len(asked) == 1
