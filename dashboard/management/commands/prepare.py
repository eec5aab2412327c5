"""`manage.py prepare`: bring the database up to date and make the first account."""

from typing import Any

from django.core.management.base import BaseCommand

from dashboard.preparation import prepare


class Command(BaseCommand):
    help = "Migrate the database and, if there is no account yet, make the first one."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(prepare())
