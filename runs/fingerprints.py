"""What tells one answer from another, and one list of items from another, without reading either.

A keyed fingerprint (GMAC): what agents write cannot be made to look like something else, and it
takes a quarter of the time of SHA-256. Its key holds DERIVED, so that after a change of what is
derived from the same bytes no stored fingerprint fits, and every answer is read once more.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from msgspec import Raw

DERIVED = 1  # raise it when `columns` or `sync` derive other rows from the same bytes

BLOCK = 16  # items with one fingerprint: a change costs reading so many
_SIZE = 8  # bytes a block
_COUNT = 4  # bytes of the number of items
_NONCE = bytes(12)  # one is enough: a tag is never shown to whoever writes what it is about


def of_body(body: bytes) -> bytes:
    """16 bytes that are the same for the same body only."""
    return _of(body)


def of_items(items: Sequence[Raw]) -> bytes:
    """The number of `items`, and a fingerprint of each BLOCK of them."""
    blocks = [
        _of(b",".join(items[start : start + BLOCK]))[:_SIZE]
        for start in range(0, len(items), BLOCK)
    ]
    return b"".join([len(items).to_bytes(_COUNT, "big"), *blocks])


def count(stored: bytes) -> int:
    """How many items a fingerprint is about; an empty one is about none."""
    return int.from_bytes(stored[:_COUNT], "big")


def differing(stored: bytes, fresh: bytes, items: Sequence[Raw]) -> list[int]:
    """Positions, from 1, of items of which `stored` tells and among which are all that differ in
    `items`, of which `fresh` tells. For lists that did not get shorter."""
    known = count(stored)
    old, new = stored[_COUNT:], fresh[_COUNT:]
    whole, rest = divmod(known, BLOCK)
    places: list[int] = []
    for block in range(whole):
        at = slice(block * _SIZE, (block + 1) * _SIZE)
        if old[at] != new[at]:
            places += range(block * BLOCK + 1, (block + 1) * BLOCK + 1)
    if rest:
        # The last block was not full, and may have been filled since.
        first = whole * BLOCK
        if old[whole * _SIZE :] != _of(b",".join(items[first:known]))[:_SIZE]:
            places += range(first + 1, known + 1)
    return places


def _of(some: bytes) -> bytes:
    return _mac().encrypt(_NONCE, b"", some)


@lru_cache(maxsize=1)
def _mac() -> AESGCM:
    key = f"runsheet fingerprint {DERIVED}:{settings.SECRET_KEY}"
    return AESGCM(hashlib.sha256(key.encode()).digest())
