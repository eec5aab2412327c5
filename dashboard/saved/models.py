"""A saved view is the list's own query string with a name; one of them may open by itself."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def seen_by(self, person: int) -> "SavedViewQuerySet":
        """One's own, and those that others share while they have an account."""
        return self.filter(Q(owner=person) | Q(is_shared=True, owner__is_active=True))


class SavedView(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2_000, blank=True, help_text="As in the list's address.")
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        app_label = "dashboard"
        ordering = (Lower("name"), "id")
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["owner", "name"], name="one_view_a_name"),)

    def __str__(self) -> str:
        return self.name


class ListColumns(models.Model):
    """The columns of the list as a person keeps them; no row where it is the default."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    columns = models.CharField(max_length=200, help_text="As in the list's address.")

    class Meta:
        app_label = "dashboard"
        default_permissions = ()

    def __str__(self) -> str:
        return f"columns of {self.user}"


class DefaultView(models.Model):
    """What opens where somebody asks for the list and for nothing else."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    view = models.ForeignKey(SavedView, models.CASCADE, related_name="+")

    class Meta:
        app_label = "dashboard"
        default_permissions = ()

    def __str__(self) -> str:
        return f"default of {self.user}"
