"""What an administrator does about somebody's account: actions in the admin's list of users."""

from typing import TYPE_CHECKING, Any

from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard.accounts import sessions
from dashboard.audit import acts
from dashboard.audit.models import Act

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[User]  # generic in its stubs only
else:
    AnyAdmin = object


class AccountActions(AnyAdmin):
    actions = ("end_sessions", "take_factors_away")

    @admin.action(description="End all sessions", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        touched = [user for user in queryset if self.has_change_permission(request, user)]
        ended = sum(sessions.end_all_of(user) for user in touched)
        self.message_user(request, f"{ended} {'session' if ended == 1 else 'sessions'} ended.")

    @admin.action(
        description="Take the second factor away (lost telephone)", permissions=["change"]
    )
    def take_factors_away(self, request: HttpRequest, queryset: QuerySet[User]) -> Any:
        """And with it every session: whoever holds the lost thing may be signed in by it."""
        touched = [user for user in queryset if self.has_change_permission(request, user)]
        Authenticator.objects.filter(user__in=touched).delete()
        for user in touched:
            page = f"account {user.pk}"
            acts.record(Act.SECOND_FACTOR, page=page, detail=f"{user.username}: taken away")
            sessions.end_all_of(user)
        count = len(touched)
        self.message_user(
            request, f"{count} {'account has' if count == 1 else 'accounts have'} no factor now."
        )
