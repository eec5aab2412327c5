"""What people do with the record. Only people's acts are written here, never a poller's."""

import datetime as dt
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Left

from runs.models import Run


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def live(self, now: dt.datetime) -> Self:
        """Links that still open. A disabled account takes its links with it."""
        return self.filter(self._is_live(now))

    def ended(self, now: dt.datetime) -> Self:
        return self.exclude(self._is_live(now))

    @staticmethod
    def _is_live(now: dt.datetime) -> Q:
        return Q(revoked_at=None, expires_at__gt=now, created_by__is_active=True)

    def for_lists(self) -> Self:
        """With the people's names and the first words of the prompt (`prompt_start`), and not
        one of the columns of a run or a link that no list shows."""
        people = [
            f"{who}__{column}"
            for who in ("created_by", "revoked_by")
            for column in ("username", "first_name", "last_name", "is_active")
        ]
        own = ("purpose", "created_at", "expires_at", "revoked_at", "run__run_id")
        return (
            self.select_related("run", "created_by", "revoked_by")
            .only(*own, *people)
            .annotate(prompt_start=Left("run__prompt", 200))
        )

    def with_views(self) -> Self:
        """Adds `view_count`, and `last_view_at` (None when nobody came)."""
        views = ShareView.objects.filter(link=models.OuterRef("pk")).order_by()
        counted = views.values("link").annotate(count=models.Count("pk")).values("count")
        return self.annotate(
            view_count=Coalesce(models.Subquery(counted), 0),
            last_view_at=models.Subquery(views.order_by("-at").values("at")[:1]),
        )


class ShareLink(models.Model):
    """A link to one run for somebody without an account. The token itself is never stored."""

    class State(models.TextChoices):
        LIVE = "live", "live"
        REVOKED = "revoked", "revoked"
        EXPIRED = "expired", "expired"
        SUSPENDED = "suspended", "account disabled"

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

    def state(self, now: dt.datetime) -> State:
        """As `ShareLinkQuerySet.live`; reads `created_by`, so join it."""
        if self.revoked_at is not None:
            return self.State.REVOKED
        if self.expires_at <= now:
            return self.State.EXPIRED
        return self.State.LIVE if self.created_by.is_active else self.State.SUSPENDED

    def is_live(self, now: dt.datetime) -> bool:
        return self.state(now) == self.State.LIVE


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
