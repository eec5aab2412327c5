"""Whether this worker hears what the broker says.

Each worker has, beside the queue that all share, one of its own. Where the others take all messages
of the first, as they may for long while there are few, it puts one into the second: a worker that
hears takes it within a second, by the same wait on the same connection.
"""

import logging

from celery import Celery, Task
from django.conf import settings
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from redis import RedisError

from runs import gauges, notices, watchdog

logger = logging.getLogger(__name__)

ASK_AFTER = 5.0  # seconds without a message; with the watchdog's patience below a minute
KEPT = 120  # seconds that what nobody takes any more stands in Redis


def own_queue() -> str:
    return f"{settings.CELERY_TASK_DEFAULT_QUEUE}:{gauges.own_name()}"


def listen(app: Celery) -> None:
    """Take what comes for this worker alone. Call before it begins to consume."""
    queue = Queue(own_queue(), auto_delete=True)  # type: ignore[no-untyped-call]
    app.amqp.queues.select_add(queue)
    # Nothing is routed to it: a binding of each worker that ever was would stay in Redis.
    queue.exchange = Exchange("")  # type: ignore[no-untyped-call]


def ask(hear: Task) -> None:
    """Send `hear` to this worker, by a connection that nothing has happened to."""
    queue = own_queue()
    try:
        with hear.app.connection_for_write() as way:
            hear.apply_async(queue=queue, connection=way, retry=False, expires=KEPT)
        notices.connection().expire(queue, KEPT)
    except (OperationalError, RedisError) as error:
        logger.warning("not asked whether this worker hears: %s", type(error).__name__)


def is_suspect(hear: Task) -> bool:
    """Whether messages wait, for all or for this worker alone, while it hears nothing."""
    silent, own = notices.own_silence(), notices.waiting(own_queue())
    if own == 0 and (silent is None or silent > ASK_AFTER):
        ask(hear)
    return any(watchdog.is_worker_suspect(silent, count) for count in (notices.waiting(), own))
