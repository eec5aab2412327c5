"""Beat by itself: `celery -A dashboard.beat beat`.

It sends the names of tasks on a timer and never calls one, so it needs settings, but neither apps
nor models: without them it holds half the memory and is there in half the time.
"""

import os
from typing import Any

from celery import Celery, beat
from celery.loaders.app import AppLoader

from runs import notices

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")


POLL = "runs.poll_due"


class Loader(AppLoader):
    def init_worker(self) -> None:
        """Import no task modules."""


class Scheduler(beat.Scheduler):
    """Keeps nothing on disk: intervals of seconds need no memory of when they last passed.

    Celery's wakes 10 ms early and then looks at the clock without a pause until the time has
    come, which was most of what beat took of a core. This one wakes a little late. And while no
    run is active it wakes a worker only now and then: to ask whether there is need of one costs
    less than a tick.
    """

    def adjust(self, n: float, drift: float = 0.002) -> float:
        return float(super().adjust(n, drift))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        if entry.task != POLL or not notices.is_at_rest():
            super().apply_entry(entry, producer)


app = Celery("runsheet", loader=Loader, fixups=[], set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
