"""Constants of the product that a row shortens in the workers it starts, so that it need not
wait for minutes: `RUNSHEET_CHAOS_SHORTER={"leases.LEASE": 6}`, in seconds."""

import datetime as dt
import json
import os
from importlib import import_module

from django.apps import AppConfig


class Tuning(AppConfig):
    name = "tests.chaos.tuning"
    label = "chaos_tuning"

    def ready(self) -> None:
        shorter = json.loads(os.environ.get("RUNSHEET_CHAOS_SHORTER", "{}"))
        for name, seconds in shorter.items():
            module_name, constant = name.split(".")
            module = import_module(f"runs.{module_name}")
            is_span = isinstance(getattr(module, constant), dt.timedelta)
            setattr(module, constant, dt.timedelta(seconds=seconds) if is_span else seconds)
