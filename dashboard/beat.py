"""Beat by itself: `celery -A dashboard.beat beat`.

It sends the names of tasks on a timer and never calls one, so it needs settings, but neither apps
nor models: without them it holds half the memory and is there in half the time.
"""

import os
import time
from typing import Any

from celery import Celery, beat
from celery.loaders.app import AppLoader
from celery.signals import beat_init

from runs import notices, watchdog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

# Seconds between two while no run is active: less than what makes a worker look deaf; and the
# first after a run ended, which tells of its end, comes in its time.
AT_REST = {"runs.poll_due": 3.0, "runs.discover": 10.0, "dashboard.notice_changes": 10.0}
SLACK = 0.3  # seconds by which one may come early, or it would come a whole tick late


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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._sent_at_rest: dict[str, float] = {}  # when, in monotonic seconds
        self._ticked_at = time.monotonic()
        super().__init__(*args, **kwargs)

    def adjust(self, n: float, drift: float = 0.002) -> float:
        return float(super().adjust(n, drift))

    def tick(self, *args: Any, **kwargs: Any) -> float:
        self._ticked_at = time.monotonic()
        return float(super().tick(*args, **kwargs))

    def is_stuck(self) -> bool:
        """Whether a tick takes long, and not because the broker is away."""
        is_long = time.monotonic() - self._ticked_at > watchdog.LOOK_EVERY
        return is_long and notices.waiting() is not None

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        if not self._may_wait(entry.task):
            super().apply_entry(entry, producer)

    def _may_wait(self, task: str) -> bool:
        """Whether it may be left out this time."""
        if not notices.is_at_rest():
            self._sent_at_rest.clear()
            return False
        now, sent_at = time.monotonic(), self._sent_at_rest.get(task)
        pace = AT_REST.get(task, 0.0) - SLACK
        if sent_at is not None and now - sent_at < pace:
            return True
        self._sent_at_rest[task] = now
        return False


@beat_init.connect
def watch(sender: beat.Service, **_: object) -> None:
    watchdog.start(sender.scheduler.is_stuck, "no tick gets through; this beat ends itself")


app = Celery("runsheet", loader=Loader, fixups=[], set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
