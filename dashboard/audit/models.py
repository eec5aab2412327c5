"""The log's two tables. Made by a migration in SQL, with the triggers that keep them append-only.

Not managed by Django: `manage.py flush` leaves them alone, as everything else has to.
"""

from typing import Any, NoReturn

from django.db import models


class Act(models.TextChoices):
    LOOK = "look", "looked"
    STREAM = "stream", "watched live"
    DOWNLOAD = "download", "downloaded"
    EXPORT = "export", "exported"
    LIST = "list", "looked at lists"
    ADMIN = "admin", "looked in the administration"
    ADMIN_ACT = "admin-act", "acted in the administration"
    RUN_ADDED = "run-added", "added a run"
    POLLED = "poll-now", "asked Case.dev now"
    RELEASED = "quarantine-lifted", "lifted a quarantine"
    SHARED = "share-made", "shared"
    SHARE_CHANGED = "share-changed", "changed a link"
    REVOKED = "share-revoked", "revoked a link"
    LOGIN = "login", "signed in"
    LOGIN_FAILED = "login-failed", "failed to sign in"
    LOGOUT = "logout", "signed out"
    SECOND_FACTOR = "second-factor", "changed a second factor"
    ACCOUNT = "account", "changed an account"
    ROLE = "role", "changed a role"
    SETTING = "setting", "changed a setting"
    COMMAND = "command", "ran a command on the server"
    NOTE = "note", "wrote or took back a note"
    LABEL = "label", "labelled runs"
    FOLLOW = "follow", "followed runs, or no more"
    NOTICES_SET = "notices-set", "changed what they are told"
    NOTICE = "notice", "was sent a notice"
    VIEW = "view", "changed a saved view"
    TOKEN_MADE = "token-made", "made an API token"
    TOKEN_REVOKED = "token-revoked", "revoked an API token"


# Acts by which somebody sees what a run holds.
SIGHTS = (Act.LOOK, Act.STREAM, Act.DOWNLOAD, Act.EXPORT, Act.ADMIN)


class Result(models.TextChoices):
    OK = "ok", "ok"
    REFUSED = "refused", "refused"
    NOT_FOUND = "not-found", "not found"
    FAILED = "failed", "failed"


class Immutable(TypeError):
    """The audit log is only ever added to."""

    def __init__(self) -> None:
        super().__init__("The audit log is only ever added to.")


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Refuses what the triggers would refuse anyway, before it gets there."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    update = delete = bulk_update = bulk_create = update_or_create = _refuse


class AuditEntry(models.Model):
    """One act. Holds names beside keys, and no foreign key: it outlives what it tells of."""

    number = models.BigIntegerField(primary_key=True, help_text="From 1, without a gap.")
    at = models.DateTimeField()
    act = models.CharField(max_length=32, choices=Act.choices)
    result = models.CharField(max_length=16, choices=Result.choices)
    person = models.BigIntegerField(null=True, help_text="Key of the account, if one acted.")
    link = models.BigIntegerField(null=True, help_text="Key of the link, if it was about one.")
    name = models.CharField(max_length=150, help_text="Of the account, as it was then.")
    run = models.CharField(max_length=128, help_text="The run's id, if it was about one.")
    page = models.CharField(max_length=64)
    detail = models.CharField(max_length=300)
    address = models.CharField(max_length=64, help_text="Where it came from.")
    digest = models.BinaryField(
        max_length=32, help_text="SHA-256 of the row's content after the digest before it."
    )

    objects = AuditQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "dashboard_audit"
        ordering = ("-number",)
        verbose_name_plural = "audit entries"
        permissions = (("see_audience", "Can see who has seen a run"),)

    def __str__(self) -> str:
        return f"audit entry {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("force_insert"):
            raise Immutable
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable


class AuditHead(models.Model):
    """The end of the chain, one row: moved by a trigger, and locked by whoever appends."""

    SOLE = 1

    id = models.SmallIntegerField(primary_key=True)
    number = models.BigIntegerField()
    at = models.DateTimeField(null=True)
    digest = models.BinaryField(max_length=32)

    class Meta:
        managed = False
        db_table = "dashboard_audit_head"
        default_permissions = ()

    def __str__(self) -> str:
        return f"head of the audit log: {self.number}"
