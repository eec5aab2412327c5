"""What must be done before the site can be served: tables, static files, a first account."""

import secrets
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError

from dashboard import blank, environment, static
from dashboard.accounts import given as given_passwords
from runs.casedev import pin

# Without letters and digits that look alike. 20 of these 31 are 99 bits.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def prepare() -> str:
    """Do all of it; returns one sentence that says how to sign in.

    Ends the process with exit code 2 if the database cannot be used.
    """
    try:
        with _quickly_if_new():
            call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        sentence = first_account()
        if why := pin.refusal(
            settings.CASEDEV_BASE_URL, settings.CASEDEV_API_KEY, settings.CASEDEV_CONFIRM_HOST
        ):
            environment.refuse(why)
    except DatabaseError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        setting = "DATABASE_URL" if settings.DATABASE_URL else "RUNSHEET_DATA_DIR"
        environment.refuse(f"{setting}: the database cannot be used: {reason}")
    if settings.EMBEDDED and not settings.DEBUG:
        static.collect()
    return sentence


def _quickly_if_new() -> AbstractContextManager[None]:
    if settings.DATABASE_URL:
        return nullcontext()
    return blank.kept_or_copied(Path(settings.DATABASES["default"]["NAME"]))


def first_account() -> str:
    """Make an administrator if there is no account at all; how to sign in, as a sentence."""
    if first := User.objects.order_by("-is_superuser", "pk").first():
        name = first.get_username()
        return f"Sign in as before ({name}; manage.py changepassword {name} sets a new password)."
    given = environment.text("DJANGO_SUPERUSER_PASSWORD")
    password = given or _new_password()
    user = User(
        username=environment.text("DJANGO_SUPERUSER_USERNAME", "admin"),
        email=environment.text("DJANGO_SUPERUSER_EMAIL"),
        is_staff=True,
        is_superuser=True,
    )
    user.set_password(password)
    _check(user)
    user.save()
    if not given and not settings.EMBEDDED:
        given_passwords.give(user)
    if given:
        return f"Sign in as {user.username} with the password in DJANGO_SUPERUSER_PASSWORD."
    return f"Sign in as {user.username} with the password {password} (shown only this once)."


def _check(user: User) -> None:
    try:
        user.full_clean()
    except ValidationError as error:
        for field, messages in error.message_dict.items():
            environment.refuse(f"DJANGO_SUPERUSER_{field.upper()}: {' '.join(messages)}")


def _new_password() -> str:
    groups = ("".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(4))
    return "-".join(groups)
