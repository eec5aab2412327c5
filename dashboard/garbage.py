"""When a process looks for garbage, and where it keeps what is none."""

import ctypes
import gc
import sys

M_ARENA_MAX = -8  # malloc.h
USUAL = gc.get_threshold()
OLD_LATER = (*USUAL[:2], 10 * USUAL[2])


def keep_in_one_heap() -> None:
    """Of a worker, before there are threads. glibc gives each thread a heap, and what one leaves
    free no other uses: 16 of them grew by 2 MB in 400,000 polls, a single one by nothing. Threads
    do not wait for each other there for long, since Python lets one of them work at a time."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_ARENA_MAX, 1)


def put_off() -> None:
    """While everything is imported: of that nothing is thrown away."""
    gc.disable()


def begin() -> None:
    """What there is by now stays, and is not looked through again: it is most of what there is, and
    stops a process that carries a thousand streams for 200 ms each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


def leave_old(*, to_us: bool) -> None:
    """Whether it is us who look through what is old, by `gc.collect`: of itself Python does so
    while objects are made, so in the middle of what there is most to do. It still does if we are
    very late."""
    gc.set_threshold(*(OLD_LATER if to_us else USUAL))
