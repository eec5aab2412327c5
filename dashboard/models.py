"""What people do with the record. Only people's acts are written here, never a poller's."""

import datetime as dt
import secrets
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Left

from dashboard.accounts.given import GivenPassword
from dashboard.api.models import ApiToken
from dashboard.audit.models import AuditEntry, AuditHead
from dashboard.notes.models import Label, Mention, Note, RunLabel
from dashboard.notices.models import (
    Delivery,
    Follow,
    Message,
    Notice,
    NoticeChoice,
    NoticeRules,
)
from dashboard.saved.models import DefaultView, SavedView
from dashboard.watermarks import ListWatermark, Watermark
from runs.models import Run

__all__ = [
    "ApiToken",
    "AuditEntry",
    "AuditHead",
    "DefaultView",
    "Delivery",
    "Follow",
    "FrozenCopy",
    "GivenPassword",
    "Label",
    "ListWatermark",
    "Mention",
    "Message",
    "Note",
    "Notice",
    "NoticeChoice",
    "NoticeRules",
    "RunLabel",
    "SavedView",
    "ShareLink",
    "ShareView",
    "SharingSwitch",
    "Watermark",
]

# Whoever makes a link needs it, and whoever loses it takes their links along.
RIGHT_TO_SHARE = "dashboard.add_sharelink"


def new_public_id() -> str:
    """Names a link in addresses once its token has been given in; opens nothing by itself."""
    return secrets.token_urlsafe(12)


class SharingSwitch(models.Model):
    """The switch for the whole site: while a row says so, no shared link opens."""

    is_closed = models.BooleanField(default=False)
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        verbose_name_plural = "sharing switch"

    def __str__(self) -> str:
        return "no shared link opens" if self.is_closed else "shared links open"


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def live(self, now: dt.datetime) -> Self:
        """Links that still open, to whoever has been let in before the last view was used up.

        An account that is disabled, or may not share any more, takes its links with it.
        """
        return self.filter(self._is_live(now))

    def ended(self, now: dt.datetime) -> Self:
        return self.exclude(self._is_live(now))

    @staticmethod
    def _is_live(now: dt.datetime) -> Q:
        switch = SharingSwitch.objects.filter(is_closed=True)
        return (
            Q(revoked_at=None, expires_at__gt=now, created_by__is_active=True)
            & _creator_may_share()
            & ~Q(Exists(switch))
        )

    def for_lists(self) -> Self:
        """With the people's names and the first words of the prompt (`prompt_start`), and not
        one of the columns of a run or a link that no list shows."""
        people = [
            f"{who}__{column}"
            for who in ("created_by", "revoked_by")
            for column in ("username", "first_name", "last_name", "is_active")
        ]
        own = (
            *("purpose", "recipient", "created_at", "expires_at", "revoked_at", "run__run_id"),
            *("most_views", "passphrase", "is_frozen", "shows", "rules", "public_id"),
        )
        return (
            self.select_related("run", "created_by", "revoked_by")
            .only(*own, *people)
            .annotate(prompt_start=Left("run__prompt", 200))
        )

    def with_views(self) -> Self:
        """Adds `view_count`, `last_view_at` (None when nobody came; robots are nobody) and
        `creator_may`, which `state` needs."""
        views = ShareView.objects.filter(link=OuterRef("pk"), is_robot=False)
        return self.annotate(
            view_count=F("openings"),
            last_view_at=models.Subquery(views.order_by("-at").values("at")[:1]),
            creator_may=models.Case(
                models.When(_creator_may_share(), then=True),
                default=False,
                output_field=models.BooleanField(),
            ),
        )


def _creator_may_share() -> Q:
    """As `User.has_perm` for the creator of a link, asked of the database with the link."""
    app, codename = RIGHT_TO_SHARE.split(".")
    right = Permission.objects.filter(content_type__app_label=app, codename=codename)
    return (
        Q(created_by__is_superuser=True)
        | Q(Exists(right.filter(group__user=OuterRef("created_by"))))
        | Q(Exists(right.filter(user=OuterRef("created_by"))))
    )


class ShareLink(models.Model):
    """A link to one run for somebody without an account. The token itself is never stored."""

    class State(models.TextChoices):
        LIVE = "live", "live"
        REVOKED = "revoked", "revoked"
        EXPIRED = "expired", "expired"
        SUSPENDED = "suspended", "account disabled"
        UNENTITLED = "unentitled", "creator may not share"

    DEFAULT_DAYS: ClassVar = 7
    LONGEST_DAYS: ClassVar = 30
    MOST_VIEWS: ClassVar = 10_000

    run = models.ForeignKey(Run, models.CASCADE, related_name="share_links")
    token_digest = models.BinaryField(
        max_length=32, unique=True, help_text="SHA-256 of the 256-bit token."
    )
    public_id = models.CharField(max_length=32, unique=True, default=new_public_id)
    purpose = models.CharField(max_length=200)
    recipient = models.CharField(max_length=200, default="", blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="share_links"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    passphrase = models.CharField(
        max_length=200, default="", blank=True, help_text="Hashed; empty when none is asked."
    )
    wrong_passphrases = models.PositiveIntegerField(default=0)
    next_passphrase_at = models.DateTimeField(null=True)
    most_views = models.PositiveIntegerField(null=True, help_text="Null: as many as like.")
    openings = models.PositiveIntegerField(default=0, help_text="Views so far.")
    shows = models.JSONField(default=list, help_text="Names of parts: disclosure.rules.Part.")
    rules = models.JSONField(default=dict, help_text="What is redacted: disclosure.rules.Rules.")
    is_frozen = models.BooleanField(default=False, help_text="Shows a copy and not the run.")

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"link {self.pk} to {self.run}"

    def state(self, now: dt.datetime) -> State:
        """As `ShareLinkQuerySet.live` but for the site's switch. Reads `created_by`, so join it;
        whether the creator may share comes with `with_views`, else it is asked for."""
        if self.revoked_at is not None:
            return self.State.REVOKED
        if self.expires_at <= now:
            return self.State.EXPIRED
        if not self.created_by.is_active:
            return self.State.SUSPENDED
        may = getattr(self, "creator_may", None)
        if may is None:
            may = self.created_by.has_perm(RIGHT_TO_SHARE)
        return self.State.LIVE if may else self.State.UNENTITLED

    def is_live(self, now: dt.datetime) -> bool:
        return self.state(now) == self.State.LIVE


class FrozenCopy(models.Model):
    """What a frozen link shows: a disclosure as it was when the link was made."""

    link = models.OneToOneField(ShareLink, models.CASCADE, related_name="copy")
    body = models.BinaryField(help_text="disclosure.shown.Disclosure as JSON, zlib-compressed.")
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"copy for {self.link}"


class ShareView(models.Model):
    """One opening of a shared page, or a robot's attempt, which is shown nothing."""

    link = models.ForeignKey(ShareLink, models.CASCADE, related_name="views")
    at = models.DateTimeField()
    page = models.CharField(max_length=32)
    address = models.CharField(
        max_length=64, default="", help_text="Truncated: IPv4 to /24, IPv6 to /48."
    )
    agent = models.CharField(max_length=200, default="", help_text="User agent, cut.")
    is_opening = models.BooleanField(default=False, help_text="Counted as a view of the link.")
    is_robot = models.BooleanField(default=False)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=["link", "-at"], name="views_of_link"),)

    def __str__(self) -> str:
        return f"{self.page} at {self.at:%Y-%m-%d %H:%M}"
