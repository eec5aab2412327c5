"""Holds off whoever tries tokens: past a number of wrong ones a minute nothing is looked up.

No guess of 256 bits hits; this keeps the database out of it. Held in Redis, which all web
processes share; without Redis nobody is held off, and no link is less safe for that.
"""

import logging

import redis

from dashboard.visitors import Visitor
from runs import notices

logger = logging.getLogger(__name__)

AT_MOST = 100  # wrong tokens an address
WITHIN = 60  # seconds
_PREFIX = "runsheet:guesses:"


def is_held_off(visitor: Visitor) -> bool:
    try:
        wrong = notices.connection().get(_PREFIX + visitor.source)
    except redis.RedisError as error:
        logger.warning("wrong tokens not counted: %s", type(error).__name__)
        return False
    return int(wrong or 0) >= AT_MOST


def note_wrong(visitor: Visitor) -> None:
    key = _PREFIX + visitor.source
    try:
        with notices.connection().pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, WITHIN, nx=True)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("wrong tokens not counted: %s", type(error).__name__)
