"""A worker, beat or the site by itself: `python -m dashboard.parts worker`.

What the commands of Celery and uvicorn would start, without those: Celery's shell, colours and
completion hold 10 MB in each process and are never used here. `make run` starts these.
"""

import os
import sys
from importlib import import_module
from typing import NoReturn

from celery import Celery
from django.conf import settings

from dashboard import garbage

GRACE = 3  # seconds that open event streams may hold the web process on its way out


def work(app: Celery) -> int:
    """The worker's exit code, once it has ended."""
    worker = app.Worker(
        quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True
    )
    garbage.begin()
    worker.start()
    return int(worker.exitcode or 0)


def beat(app: Celery) -> int:
    timer = app.Beat(quiet=True)
    garbage.begin()
    timer.run()
    return 0


def serve(listener: int, gate: int) -> None:
    """Serve on the socket `listener` once nobody holds the other end of the pipe `gate`.

    What needs no table and no static file is done before that, beside what makes them.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django
    import uvicorn

    django.setup()
    import_module(settings.ROOT_URLCONF)
    os.read(gate, 1)
    uvicorn.run(
        "dashboard.asgi:application",
        fd=listener,
        access_log=False,  # the paths of shared pages hold the tokens that open them
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )


def main() -> NoReturn:
    garbage.put_off()
    if sys.argv[1:2] == ["web"]:
        serve(*map(int, sys.argv[2:]))
        sys.exit()
    if sys.argv[1:] == ["worker"]:
        from dashboard.celery import app

        sys.exit(work(app))
    if sys.argv[1:] == ["beat"]:
        from dashboard.beat import app as light

        sys.exit(beat(light))
    sys.exit("usage: python -m dashboard.parts worker|beat")


if __name__ == "__main__":
    main()
