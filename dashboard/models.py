"""What people do with the record. Only people's acts are written here, never a poller's."""

import datetime as dt
from typing import ClassVar, Self

from django.conf import settings
from django.db import models

from runs.models import Run


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def live(self, now: dt.datetime) -> Self:
        """Links that still open."""
        return self.filter(revoked_at=None, expires_at__gt=now)


class ShareLink(models.Model):
    """A link to one run for somebody without an account. The token itself is never stored."""

    DEFAULT_DAYS: ClassVar = 7
    LONGEST_DAYS: ClassVar = 30

    run = models.ForeignKey(Run, models.CASCADE, related_name="share_links")
    token_digest = models.BinaryField(
        max_length=32, unique=True, help_text="SHA-256 of the 256-bit token."
    )
    purpose = models.CharField(max_length=200)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="share_links"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"link {self.pk} to {self.run}"

    def is_live(self, now: dt.datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


class ShareView(models.Model):
    """One opening of a shared page."""

    link = models.ForeignKey(ShareLink, models.CASCADE, related_name="views")
    at = models.DateTimeField()
    page = models.CharField(max_length=32)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=["link", "-at"], name="views_of_link"),)

    def __str__(self) -> str:
        return f"{self.page} at {self.at:%Y-%m-%d %H:%M}"
