"""The Celery app: `celery -A dashboard worker`, `celery -A dashboard beat`."""

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

# About running as root, where a pickled message could do harm. Ours are JSON, and no other is read.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("runsheet")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
