"""The sections of `make bench`, in the order in which they run.

Each is a module of this package with one function, `measure(bench) -> Iterator[Result]`. It runs
in a process of its own once for each of its databases, with Django set up, an empty migrated
database and a Valkey server of its own.
"""

import msgspec

BOTH = ("sqlite", "postgresql")


class Section(msgspec.Struct, frozen=True):
    """`databases`: on which it is measured. `limit`: seconds after which it is ended."""

    about: str
    databases: tuple[str, ...] = ("sqlite",)
    limit: float = 900


SECTIONS = {
    "sync": Section("from the bytes of an answer to rows", BOTH),
    "poll": Section("small polls a second, one process on one core", BOTH),
    "pages": Section("the page of one run at any length", BOTH),
    "fleet": Section("thousands of active runs, worker and beat as in the product", BOTH, 1_800),
    "memory": Section("what a worker's process holds", limit=5_000),
    "footprint": Section("what all of make run holds and takes, and how soon it is there"),
    "lists": Section("the lists of very many runs", BOTH, limit=3_600),
    "exports": Section("files of a hundred thousand rows"),
    "callbacks": Section("from a callback to its answer", BOTH),
    "streams": Section("one change to a thousand open pages", BOTH),
    "visits": Section("the page of one run in a browser with nothing cached"),
    "screen": Section("from a step upstream to the same step on a screen"),
}
