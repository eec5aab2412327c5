"""A worker or beat by itself: `python -m dashboard.parts worker`.

What Celery's own command would start, without that command: its shell, colours and completion
hold 10 MB in each process and are never used here.
"""

import sys
from typing import NoReturn

from celery import Celery


def work(app: Celery) -> int:
    """The worker's exit code, once it has ended."""
    worker = app.Worker(
        quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True
    )
    worker.start()
    return int(worker.exitcode or 0)


def beat(app: Celery) -> int:
    # Intervals of seconds need no memory of when they last passed.
    app.Beat(scheduler="celery.beat:Scheduler", quiet=True).run()
    return 0


def main() -> NoReturn:
    if sys.argv[1:] == ["worker"]:
        from dashboard.celery import app

        sys.exit(work(app))
    if sys.argv[1:] == ["beat"]:
        from dashboard.beat import app as light

        sys.exit(beat(light))
    sys.exit("usage: python -m dashboard.parts worker|beat")


if __name__ == "__main__":
    main()
