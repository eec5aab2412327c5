"""What going back to an older database must not undo, read from the one that it replaces.

A link that was revoked since, a right that was taken away, a password that was changed: each was
an act of somebody who relies on it. And a fence that was given out may never be given out again.
"""

import datetime as dt

import msgspec
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Max

from dashboard.models import ShareLink, SharingSwitch
from runs.models import Discovery, Poll


def revocable() -> dict[type[models.Model], str]:
    """Whatever opens something by a secret of its own and can be revoked, and the column of that
    secret's digest."""
    found: dict[type[models.Model], str] = {}
    for model in apps.get_app_config("dashboard").get_models():
        names = {field.name for field in model._meta.fields}
        digest = next((name for name in ("token_digest", "digest") if name in names), None)
        if digest and "revoked_at" in names:
            found[model] = digest
    return found


type Factor = tuple[str, str, dt.datetime]


class Account(msgspec.Struct, frozen=True):
    password: str
    is_active: bool
    is_staff: bool
    is_superuser: bool
    roles: frozenset[str]


class LinkState(msgspec.Struct, frozen=True):
    openings: int
    most_views: int | None
    expires_at: dt.datetime
    wrong_passphrases: int


class Carried(msgspec.Struct):
    """`None` in the place of a whole: there was no database to be replaced, or none that could be
    read. `valid`: digests of what still opened something, by model."""

    fence: int
    is_closed: bool
    valid: dict[str, set[bytes]]
    factors: set[Factor]
    links: dict[bytes, LinkState]
    accounts: dict[str, Account]


def read() -> Carried | None:
    """From the database in place now; None if it holds no tables of ours."""
    try:
        with transaction.atomic():
            return _read()
    except DatabaseError:
        return None


def is_empty() -> bool:
    """Whether nothing would be lost: no table, or no account, run and row of the audit log."""
    from dashboard.audit.models import AuditEntry
    from runs.models import Run

    with connection.cursor() as cursor:
        if User._meta.db_table not in connection.introspection.table_names(cursor):
            return True
    asked: tuple[type[models.Model], ...] = (User, Run, AuditEntry)
    return not any(model._default_manager.exists() for model in asked)


def _read() -> Carried:
    fences = (
        model._default_manager.aggregate(top=Max("fence"))["top"] for model in (Poll, Discovery)
    )
    return Carried(
        fence=max((fence or 0 for fence in fences), default=0),
        is_closed=SharingSwitch.objects.filter(is_closed=True).exists(),
        valid={model._meta.label: _valid(model, digest) for model, digest in revocable().items()},
        factors={named(factor) for factor in Authenticator.objects.select_related("user")},
        links={
            bytes(link.token_digest): LinkState(
                link.openings, link.most_views, link.expires_at, link.wrong_passphrases
            )
            for link in ShareLink.objects.all()
        },
        accounts={user.get_username(): _account(user) for user in User.objects.all()},
    )


def _valid(model: type[models.Model], digest: str) -> set[bytes]:
    unrevoked = model._default_manager.filter(revoked_at=None)
    return {bytes(key) for key in unrevoked.values_list(digest, flat=True)}


def named(factor: Authenticator) -> Factor:
    """What tells one second factor from all others, in every copy of the database."""
    return factor.user.get_username(), factor.type, factor.created_at


def _account(user: User) -> Account:
    roles = frozenset(user.groups.values_list("name", flat=True))
    return Account(user.password, user.is_active, user.is_staff, user.is_superuser, roles)
