#!/usr/bin/env python
"""Run a management command of Runsheet: `python manage.py help` lists them."""

import os
import sys
from importlib import import_module

# These two live as long as the product does and need settings, but neither apps nor models:
# without them they start in half the time and hold half the memory.
LIGHT = {
    "simulate": "runs.management.commands.simulate",
    "up": "dashboard.management.commands.up",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "up":
        os.environ.setdefault("RUNSHEET_EMBEDDED", "1")
    if name in LIGHT:
        import_module("dashboard.settings")  # a wrong setting ends it here, with one sentence
        import_module(LIGHT[name]).Command().run_from_argv(sys.argv)
        return
    import django

    django.setup()
    import_module("dashboard.audit.commands").run(sys.argv)


if __name__ == "__main__":
    main()
