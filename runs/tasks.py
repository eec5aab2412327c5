"""Celery tasks: hints that it may be time to do something. Losing or repeating one is harmless."""

import datetime as dt
import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from runs import (
    breaker,
    callbacks,
    claims,
    discovery,
    gauges,
    hearing,
    notices,
    places,
    poller,
    spending,
    watchdog,
)

logger = logging.getLogger(__name__)


@shared_task(name="runs.poll_due")
def poll_due() -> None:
    """Poll what is due; while there may be more, go on and wake another worker too. Whoever goes on
    does not wait for a tick, and so asks before its time about nothing.

    To leave the rest to a message would leave it to chance: it may come to a worker whose hands
    are full, and this one would wait for the next tick.
    """
    callbacks.remind()
    claimed = poller.poll_due()
    while claimed >= poller.BATCH and not poller.winds_down():
        poll_due.apply_async(expires=5)
        claimed = poller.poll_due(early=dt.timedelta())


@shared_task(name="runs.discover")
def discover() -> None:
    """Look for new runs if it is time to; go on at once while a walk is unfinished."""
    claims.mend(dt.datetime.now(dt.UTC))
    spending.fold()
    if discovery.discover_due():
        discover.apply_async(expires=5)


@shared_task(name="runs.register_callbacks")
def register_callbacks() -> None:
    callbacks.register_due()


@shared_task(name="runs.hear")
def hear() -> None:
    """What a worker says to itself, to know whether it hears."""
    notices.hear()
    gauges.round_ended(())


@worker_init.connect
def listen_for_itself(sender: Any, **_: object) -> None:
    hearing.listen(sender.app)


@worker_ready.connect
def start_afresh(**_: object) -> None:
    """A restart may have brought another key, network or version: nothing waits for an old
    failure."""
    breaker.try_again(dt.datetime.now(dt.UTC))
    discovery.wake()
    places.retry_quarantined()
    gauges.forget_the_gone()
    why = "messages wait and nothing is heard; this worker ends itself"
    watchdog.start(lambda: hearing.is_suspect(hear), why)


@worker_shutting_down.connect
def finish(**_: object) -> None:
    """Ask about nothing further, and be gone soon."""
    poller.wind_down()
    watchdog.end_soon()


@worker_shutdown.connect
def say_farewell(**_: object) -> None:
    gauges.forget_own()
