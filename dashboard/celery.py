"""The Celery app: `celery -A dashboard worker`, `celery -A dashboard beat`."""

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import task_prerun, worker_init

from dashboard import garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

# About running as root, where a pickled message could do harm. Ours are JSON, and no other is read.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("runsheet")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect  # type: ignore[untyped-decorator]
def keep_connections(**_: object) -> None:
    """Celery closes connections to the database around each task, but for CELERY_DB_REUSE_MAX; what
    Django does between requests is done before each task instead: look whether one is still good,
    and how old."""
    from django.db import close_old_connections

    task_prerun.connect(close_old_connections)


@worker_init.connect  # type: ignore[untyped-decorator]
def keep_in_one_heap(**_: object) -> None:
    garbage.keep_in_one_heap()
