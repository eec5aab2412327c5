"""How far a file that is being made is: told by whoever makes it, asked for by the page from which
it was ordered. Over Redis, since the two may be different processes; without Redis the file comes
all the same, and the browser alone tells how far it is."""

import logging
import re
import secrets
import time
from typing import NamedTuple

import msgspec
import redis

from runs import notices

logger = logging.getLogger(__name__)

TELL_EVERY = 0.3  # seconds
KEPT = 3_600  # seconds
SILENT_AFTER = 20  # seconds without a word: the browser takes nothing, or its process is gone
TOKEN = re.compile(r"[a-z0-9]{16}")


class Told(msgspec.Struct, frozen=True):
    """`state`: "making", "done" or "failed"; `total` None where it is not known."""

    state: str
    rows: int
    total: int | None
    octets: int
    at: float

    @property
    def is_over(self) -> bool:
        return self.state != "making"

    @property
    def is_silent(self) -> bool:
        return not self.is_over and time.time() - self.at > SILENT_AFTER


class Order(NamedTuple):
    """A file that somebody ordered from an open page."""

    file: str
    told: Told


def new_token() -> str:
    return secrets.token_hex(8)


def is_token(text: str) -> bool:
    return TOKEN.fullmatch(text) is not None


class Progress:
    """Tells of one file. `token` "" (or whatever is none) tells nobody."""

    def __init__(self, person: int, token: str, file: str, total: int | None) -> None:
        self.key = _key(person, token) if is_token(token) else ""
        self.file, self.total = file, total
        self.rows = self.octets = 0
        self.told_at = 0.0

    def add(self, rows: int, octets: int) -> None:
        self.rows += rows
        self.octets += octets
        if time.monotonic() - self.told_at >= TELL_EVERY:
            self.tell("making")

    def tell(self, state: str) -> None:
        if not self.key:
            return
        told = Told(state, self.rows, self.total, self.octets, time.time())
        self.told_at = time.monotonic()
        try:
            with notices.connection().pipeline(transaction=False) as pipe:
                pipe.hset(self.key, self.file, msgspec.json.encode(told))
                pipe.expire(self.key, KEPT)
                pipe.execute()
        except redis.RedisError as error:
            self.key = ""
            logger.warning("progress of a file not told: %s", type(error).__name__)


def orders(person: int, token: str) -> list[Order]:
    """What was ordered from the page with this token; none while Redis is away."""
    if not is_token(token):
        return []
    try:
        found = notices.connection().hgetall(_key(person, token))
    except redis.RedisError:
        return []
    told: dict[bytes, bytes] = found  # type: ignore[assignment]
    return [
        Order(file.decode(), msgspec.json.decode(body, type=Told))
        for file, body in sorted(told.items())
    ]


def _key(person: int, token: str) -> str:
    return f"runsheet:export:{person}:{token}"
