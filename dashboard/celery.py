"""The Celery app: `celery -A dashboard worker`, `celery -A dashboard beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

app = Celery("runsheet")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
