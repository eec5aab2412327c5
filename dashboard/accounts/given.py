"""Passwords that somebody else chose or a machine made: they open an account once, to be changed.

A row stands for such a password until its account has a new one (OWASP ASVS 5.0, 6.4.1). Whoever
signs in with it gets no further than the page where it is changed; who comes in by a passkey or a
service used no password, and is not asked.
"""

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import models
from django.db.models.signals import post_save, pre_save
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from dashboard.audit import scene

MUST_CHANGE = "must_change_password"  # in the session
# What stays open: the change itself, the proof that it may ask for, and leaving.
OPEN = {
    *("account_change_password", "account_logout", "account_reauthenticate"),
    *("mfa_reauthenticate", "mfa_reauthenticate_webauthn"),
}


class GivenPassword(models.Model):
    """`account` has a password that it did not choose itself."""

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    given_at = models.DateTimeField()

    class Meta:
        app_label = "dashboard"
        default_permissions = ()

    def __str__(self) -> str:
        return f"given password of account {self.pk}"


def listen() -> None:
    uid = "dashboard.accounts.given"
    pre_save.connect(_compare, sender=User, dispatch_uid=uid)
    post_save.connect(_note, sender=User, dispatch_uid=uid)
    user_logged_in.connect(_remember, dispatch_uid=uid)


def give(user: User) -> None:
    GivenPassword.objects.update_or_create(account=user, defaults={"given_at": timezone.now()})


def take_back(user: User) -> None:
    GivenPassword.objects.filter(account=user).delete()


def lead(request: HttpRequest) -> HttpResponseRedirect | None:
    """To the page where the password is changed, from everywhere else; None if none must be."""
    if not request.session.get(MUST_CHANGE):
        return None
    match = request.resolver_match
    if match is not None and match.url_name in OPEN:
        return None
    methods = {record.get("method") for record in get_authentication_records(request, request.user)}
    return (
        HttpResponseRedirect(reverse("account_change_password")) if "password" in methods else None
    )


def _compare(sender: Any, instance: User, **kwargs: Any) -> None:
    """A password that is only hashed anew, as at a sign-in, is set by nobody."""
    fields = kwargs.get("update_fields")
    actor = scene.actor().person
    is_set = not kwargs.get("raw") and (fields is None or "password" in fields)
    if actor is None or not is_set:
        return
    before = User.objects.filter(pk=instance.pk).values_list("password", flat=True).first()
    if before != instance.password:
        instance._given = actor != instance.pk  # type: ignore[attr-defined]


def _note(sender: Any, instance: User, **kwargs: Any) -> None:
    is_given = instance.__dict__.pop("_given", None)
    if is_given and is_password_usable(instance.password):
        give(instance)
    elif is_given is not None:
        take_back(instance)


def _remember(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Once at the sign-in, so that no page has to ask for it."""
    if request is not None and GivenPassword.objects.filter(account=user).exists():
        request.session[MUST_CHANGE] = True
