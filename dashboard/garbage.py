"""When a process looks for garbage."""

import gc


def put_off() -> None:
    """While everything is imported: of that nothing is thrown away."""
    gc.disable()


def begin() -> None:
    """What there is by now stays, and is not looked through again: it is most of what there is, and
    stops a process that carries a thousand streams for 200 ms each time."""
    gc.collect()
    gc.freeze()
    gc.enable()
