"""`record` writes one row about an act; the receivers below do so where Django tells of one."""

from typing import Any

from django.apps import apps
from django.contrib.auth import signals as auth
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from dashboard import logs
from dashboard.audit import chain, scene
from dashboard.audit.models import Act, AuditEntry, Result

LENGTHS = {field.name: field.max_length or 0 for field in AuditEntry._meta.fields}
# Columns of a link that change whenever somebody comes.
COUNTERS = {"openings", "wrong_passphrases", "next_passphrase_at"}
# Of an account: what an admin can change. Of a password only that it is another.
TOLD = ("username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser")


def record(
    act: Act,
    *,
    run: str = "",
    link: int | None = None,
    page: str = "",
    detail: str = "",
    result: Result = Result.OK,
    by: User | None = None,
    name: str = "",
) -> AuditEntry:
    """One row, in the caller's transaction if there is one. Raises django.db.DatabaseError.

    Who acts and from where is known of the request; `by` says it where there is none, or `name`
    for whoever has no account.
    """
    actor = scene.actor()
    entry = AuditEntry(
        act=act,
        result=result,
        person=by.pk if by else actor.person,
        link=link,
        name=fit(by.get_username() if by else name or actor.name, "name"),
        run=fit(run, "run"),
        page=fit(page, "page"),
        detail=fit(detail, "detail"),
        address=actor.address,
    )
    chain.append(entry)
    return entry


def fit(text: str, column: str) -> str:
    """Without a secret, in one line, no longer than the column, and the same on both databases."""
    masked = logs.mask(text)
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in masked)
    longest = LENGTHS[column]
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


# Signing in and out ------------------------------------------------------------------------------


def signed_in(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(Act.LOGIN, by=user)


def signed_out(sender: Any, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        record(Act.LOGOUT, by=user)


def failed_to_sign_in(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """People type passwords into the wrong field, so only the name of an account is written."""
    given = str(credentials.get("username") or credentials.get("email") or "")[:254]
    is_name = "\x00" not in given and given
    known = User.objects.filter(username=given).first() if is_name else None
    if known is None and is_name and "@" in given:
        known = User.objects.filter(email__iexact=given).first()
    detail = "" if known else "no account has this name"
    record(Act.LOGIN_FAILED, by=known, result=Result.REFUSED, detail=detail)


# Accounts and roles ------------------------------------------------------------------------------


def account_is_about_to_change(sender: Any, instance: User, **kwargs: Any) -> None:
    fields = kwargs.get("update_fields")
    if kwargs.get("raw") or (fields is not None and set(fields) <= {"last_login"}):
        return
    before = User.objects.filter(pk=instance.pk).first() if instance.pk else None
    instance._audited = "made" if before is None else _changes(before, instance)  # type: ignore[attr-defined]


def account_has_changed(sender: Any, instance: User, **kwargs: Any) -> None:
    told = instance.__dict__.pop("_audited", "")
    if told:
        record(Act.ACCOUNT, page=f"account {instance.pk}", detail=f"{instance.username}: {told}")


def account_is_gone(sender: Any, instance: User, **kwargs: Any) -> None:
    record(Act.ACCOUNT, page=f"account {instance.pk}", detail=f"{instance.username}: deleted")


def _changes(before: User, after: User) -> str:
    told = [
        f"{name} {getattr(before, name)} → {getattr(after, name)}"
        for name in TOLD
        if getattr(before, name) != getattr(after, name)
    ]
    return ", ".join([*told, *(["new password"] if before.password != after.password else [])])


def role_has_changed(sender: Any, instance: Group, created: bool, **kwargs: Any) -> None:
    told = "made" if created else "renamed or saved"
    record(Act.ROLE, page=f"role {instance.pk}", detail=f"{instance.name}: {told}")


def role_is_gone(sender: Any, instance: Group, **kwargs: Any) -> None:
    record(Act.ROLE, page=f"role {instance.pk}", detail=f"{instance.name}: deleted")


def rights_have_changed(
    sender: Any, instance: Model, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: Any
) -> None:
    """Somebody's roles, somebody's own permissions, or what a role may."""
    verbs = {"post_add": "gets", "post_remove": "loses", "pre_clear": "loses all"}
    if action not in verbs or pk_set == set():
        return
    others: Any = kwargs["model"]
    named = others.objects.filter(pk__in=pk_set or ())
    words = sorted(getattr(one, "codename", "") or str(one) for one in named)
    is_role = isinstance(instance, Group) and sender is Group.permissions.through
    what = {User: "account", Group: "role", Permission: "permission"}.get(type(instance), "row")
    detail = f"{instance}: {verbs[action]} {', '.join(words)}".rstrip()
    act = Act.ROLE if is_role else Act.ACCOUNT
    record(act, page=f"{what} {instance.pk}", detail=detail)


def second_factor_has_changed(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(Act.SECOND_FACTOR, page=f"account {user.pk}", detail=user.get_username())


def second_factor_was_wrong(
    sender: Any, user: User | None, authenticator: Any = None, **kwargs: Any
) -> None:
    kind = str(getattr(authenticator, "type", "") or "passkey")
    record(Act.LOGIN_FAILED, by=user, result=Result.REFUSED, detail=f"second factor: {kind}")


# Links -------------------------------------------------------------------------------------------


def link_was_made(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
    """A link may be changed in many ways, but is made in one. That it counts is no change."""
    fields = kwargs.get("update_fields")
    if not kwargs.get("raw") and (fields is None or set(fields) - COUNTERS):
        act = Act.SHARED if created else Act.SHARE_CHANGED
        by = instance.created_by if created else None
        record(act, run=instance.run.run_id, link=instance.pk, by=by, detail=instance.purpose)


def link_was_revoked(link: Any, by: User) -> None:
    record(Act.REVOKED, run=link.run.run_id, link=link.pk, by=by, detail=link.purpose)


def connect() -> None:
    """Called once, when all models are there."""
    from dashboard.models import ShareLink

    auth.user_logged_in.connect(signed_in)
    auth.user_logged_out.connect(signed_out)
    auth.user_login_failed.connect(failed_to_sign_in)
    pre_save.connect(account_is_about_to_change, sender=User)
    post_save.connect(account_has_changed, sender=User)
    post_delete.connect(account_is_gone, sender=User)
    post_save.connect(role_has_changed, sender=Group)
    post_delete.connect(role_is_gone, sender=Group)
    for rights in (User.groups, User.user_permissions, Group.permissions):
        m2m_changed.connect(rights_have_changed, sender=rights.through)
    post_save.connect(link_was_made, sender=ShareLink)
    if apps.is_installed("allauth.mfa"):
        from allauth.mfa import signals as mfa

        for signal in (mfa.authenticator_added, mfa.authenticator_removed, mfa.authenticator_reset):
            signal.connect(second_factor_has_changed)
        mfa.authentication_failed.connect(second_factor_was_wrong)
