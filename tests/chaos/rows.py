"""The rows: how many cases each runs, and where.

A pass is `test` (within `make test`), `short` (`make chaos-short`: rows whose short pass costs more
than a minute) or `long` (`make chaos`). Each case has a number and a generator of its own, so that
any one of them can be repeated alone.
"""

import os
import time
from collections.abc import Iterator
from random import Random
from typing import Literal, NamedTuple

from tests.environment import on_postgresql

SEED_OF_TESTS = 20261124
DATABASES = ("sqlite", "postgresql")
WAIVED_UP_TO = 3  # times a limit, on a starved machine

type Pass = Literal["test", "short", "long"]


class Row(NamedTuple):
    """`short` and `long` count the cases on both databases together, `shared` how many of a
    hundred are PostgreSQL's; `only` names the one database that a row is about. `each`: cases that
    share a number, and are repeated together."""

    name: str
    within: Pass
    short: int
    long: int
    only: str = ""
    each: int = 1
    shared: int = 50

    def databases(self) -> tuple[str, ...]:
        return (self.only,) if self.only else DATABASES

    def runs_in(self, which: Pass) -> bool:
        return which == "long" or which == self.within

    def numbers(self, which: Pass, database: str) -> range:
        """Of the cases on one database."""
        cases = -(-(self.long if which == "long" else self.short) // self.each)
        if self.only:
            return range(cases)
        first_of_postgresql = -(-cases * (100 - self.shared) // 100)
        whole = range(first_of_postgresql + -(-cases * self.shared // 100))
        return whole[:first_of_postgresql] if database == "sqlite" else whole[first_of_postgresql:]


ROWS = {
    row.name: row
    for row in (
        Row("kills", "short", 30, 5_000),
        Row("points", "short", 2, 40),  # each case goes through every point
        Row("stops", "short", 20, 1_000),
        Row("redis", "short", 10, 300),
        Row("wires", "short", 28, 1_400),
        Row("deaf", "short", 3, 50, only="sqlite"),
        Row("beats", "short", 2, 20),
        Row("ended", "test", 6, 200, only="postgresql"),
        Row("restarted", "short", 3, 50, only="postgresql"),
        Row("slow", "short", 4, 60, only="postgresql"),
        Row("locked", "short", 2, 40),
        Row("full", "test", 6, 200),
        Row("statuses", "test", 2_000, 50_000, only="sqlite"),
        Row("bodies", "test", 500, 50_000, only="sqlite"),
        Row("hostile", "short", 5_000, 1_000_000, only="sqlite"),  # goes to both itself
        # A case of these takes two to three times as long on PostgreSQL, for the same code.
        Row("drift", "short", 10_000, 300_000, shared=30),
        Row("order", "short", 10_000, 1_000_000, each=25, shared=20),
        Row("lists", "test", 60, 10_000),
        Row("poison", "short", 2, 40),
        Row("outage", "short", 2, 40),
        Row("clocks", "short", 200, 5_000, shared=20),
        Row("cuts", "short", 500, 5_000, only="sqlite"),
        Row("reconnects", "short", 1, 10, only="sqlite"),
        Row("restores", "test", 6, 40),
        Row("restarts", "short", 6, 100),
    )
}


class Case(NamedTuple):
    number: int
    chance: Random


class Cases:
    """The cases of one row in this pass, on this database."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.which = current_pass()
        self.seed = int(os.environ.get("RUNSHEET_CHAOS_SEED", SEED_OF_TESTS))
        minutes = float(os.environ.get("RUNSHEET_CHAOS_MINUTES", "0"))
        self.until = time.monotonic() + 60 * minutes if minutes else None
        self.database = "postgresql" if on_postgresql() else "sqlite"
        numbers = row.numbers(self.which, self.database)
        self.count = len(numbers)
        self.number = self.first = numbers.start
        if alone := os.environ.get("RUNSHEET_CHAOS_CASE"):
            self.number = self.first = int(alone)
            self.count = 1
        self.met = self.waived = 0
        self.slowest = 0.0

    def within(self, limit: float, took: float, words: str) -> None:
        """`took` seconds are below `limit`. On a starved machine WAIVED_UP_TO times as many will
        do, and are counted: a clock on the wall tells little about us then."""
        self.slowest = max(self.slowest, took)
        if took < limit:
            self.met += 1
            return
        told = f"{words} after {took:.1f} s, not {limit:g}"
        assert took < limit * WAIVED_UP_TO, f"{told}, which no load excuses"
        assert is_starved(), told
        self.waived += 1

    @property
    def ran(self) -> int:
        return self.number - self.first

    def __iter__(self) -> Iterator[Case]:
        while self.ran < self.count and not self._is_over():
            yield Case(self.number, Random(f"{self.seed}:{self.row.name}:{self.number}"))
            self.number += 1

    def _is_over(self) -> bool:
        """Whether the time is up; never before the first case."""
        return self.ran > 0 and self.until is not None and time.monotonic() > self.until

    @property
    def is_complete(self) -> bool:
        return self.ran >= self.count or (self.ran > 0 and self._is_over())

    @property
    def command(self) -> str:
        return (
            f'make chaos ARGS="--seed {self.seed} --rows {self.row.name} --case {self.number} '
            f'--database {self.database}"'
        )


def current_pass() -> Pass:
    match os.environ.get("RUNSHEET_CHAOS", "test"):
        case "test":
            return "test"
        case "short":
            return "short"
        case "long":
            return "long"
        case other:
            raise ValueError(f"RUNSHEET_CHAOS is {other!r}")


def is_starved() -> bool:
    """Whether others use up the machine: then a clock on the wall proves nothing about us."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
