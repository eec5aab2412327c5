"""Beat by itself: `celery -A dashboard.beat beat`.

It sends the names of tasks on a timer and never calls one, so it needs settings, but neither apps
nor models: without them it holds half the memory and is there in half the time.
"""

import os

from celery import Celery
from celery.loaders.app import AppLoader

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")


class Loader(AppLoader):
    def init_worker(self) -> None:
        """Import no task modules."""


app = Celery("runsheet", loader=Loader, fixups=[], set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
