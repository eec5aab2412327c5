"""A token by which a program acts for a person."""

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def live(self, now: dt.datetime) -> "ApiTokenQuerySet":
        return self.filter(revoked_at=None, expires_at__gt=now, user__is_active=True)


class ApiToken(models.Model):
    """The text itself is never stored, only its SHA-256, as with share links."""

    DEFAULT_DAYS: ClassVar = 90
    LONGEST_DAYS: ClassVar = 365
    MOST_LIVE: ClassVar = 20  # of one person

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.BinaryField(max_length=32, unique=True)
    may_read = models.BooleanField(default=True)
    may_add = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")
    last_used_from = models.CharField(max_length=64, default="", blank=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        app_label = "dashboard"
        ordering = ("-created_at", "-id")
        verbose_name = "API token"
        default_permissions = ()

    def __str__(self) -> str:
        return f"token {self.pk} of {self.user}"

    @property
    def scopes(self) -> list[str]:
        return [name for name in ("read", "add") if getattr(self, f"may_{name}")]

    def is_live(self, now: dt.datetime) -> bool:
        """Whether it still opens anything, as far as the token itself goes."""
        return self.revoked_at is None and self.expires_at > now
