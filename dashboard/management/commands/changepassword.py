"""`manage.py changepassword`: as Django's; who gets a password so has to change it at once."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import User

from dashboard.accounts import given


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        answer = super().handle(*args, **options)
        name = options["username"] or getpass.getuser()
        given.give(User.objects.get(username=name))
        return answer
