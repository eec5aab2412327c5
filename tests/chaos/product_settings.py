"""Settings of the workers and beats that the rig starts: the product's own, on the database of
the test that started them."""

import os

from dashboard.settings import *  # noqa: F403
from dashboard.settings import DATABASES, INSTALLED_APPS

DATABASES["default"]["NAME"] = os.environ["RUNSHEET_CHAOS_NAME"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.tuning.Tuning"]
