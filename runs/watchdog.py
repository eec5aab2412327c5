"""A worker that is alive and hears nothing ends itself; whoever keeps it starts another.

Workers have gone deaf after Redis restarted while Celery's own heartbeat went on (celery#8030,
#10205), so only what was heard and done counts. Where others take all messages, a worker that has
heard none for a while sends one to itself, the way the others come. A beat that does not get
through a round ends itself too. What hangs as a whole cannot watch itself: `up` watches its worker
and beat from outside by the same signs.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

PATIENCE = 40.0  # seconds; longer than a round in which Case.dev lets us wait for each answer
LOOK_EVERY = 5.0
LAST_ROUND = 20.0  # seconds that a worker which was told to stop has for what it has begun


class Watch:
    """Whether something has looked wrong at every look for `PATIENCE`."""

    def __init__(self) -> None:
        self._fine_at: float | None = None

    def has_seen_enough(self, now: float, *, is_suspect: bool) -> bool:
        """Take one look, at `now` (monotonic)."""
        if self._fine_at is None or not is_suspect:
            self._fine_at = now
        return now - self._fine_at > PATIENCE


def is_worker_suspect(silent: float | None, waiting: int | None) -> bool:
    """Messages wait, and no round has ended for `silent` seconds (None: ever). While the broker
    is away (`waiting` is None) there is nothing to hear."""
    return bool(waiting) and _is_long(silent)


def is_beat_suspect(silent: float | None, waiting: int | None) -> bool:
    """No round ends, and no message waits that a worker could be to blame for."""
    return waiting == 0 and _is_long(silent)


def _is_long(silent: float | None) -> bool:
    return silent is None or abs(silent) > LOOK_EVERY  # a clock may have been set back


def start(is_suspect: Callable[[], bool], why: str) -> None:
    """Watch this process from a thread of its own; end it, saying `why`, when it looked suspect for
    long."""
    threading.Thread(target=_watch, args=(is_suspect, why), name="watchdog", daemon=True).start()


def _watch(is_suspect: Callable[[], bool], why: str) -> None:
    watch = Watch()
    while True:
        time.sleep(LOOK_EVERY)
        if watch.has_seen_enough(time.monotonic(), is_suspect=is_suspect()):
            logger.critical("%s", why)
            end()


def end_soon() -> None:
    """End this process after LAST_ROUND, if it has not ended by then. A lease runs out."""
    timer = threading.Timer(LAST_ROUND, end)
    timer.daemon = True
    timer.start()


def end() -> None:
    """At once: what hangs does not end when it is asked to, and no end can do harm here."""
    os.kill(os.getpid(), signal.SIGKILL)
