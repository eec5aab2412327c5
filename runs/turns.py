"""Turns of large answers: a process decodes and stores one of them at a time.

Two of 40 MB beside each other hold 30 MB more than one after the other, which is what a worker is
short of. They take no longer by it: what they do is nearly all Python's, or the one writer's.
"""

import threading
from contextlib import AbstractContextManager, nullcontext

LARGE = 4 * 2**20  # bytes of an answer that waits for its turn; no other ever does

_turn = threading.Lock()


def of(size: int) -> AbstractContextManager[object]:
    """For the length of the block it is the turn of an answer of `size` bytes. Not to be waited for
    in a transaction: whoever has the turn may wait for what that holds."""
    return _turn if size > LARGE else nullcontext()
