"""What a section of the benchmarks yields, and how two things are timed fairly."""

import math
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec

# A line fitted to noisy points never has a slope of exactly one.
LINEAR = 1.15


class Target(msgspec.Struct, frozen=True):
    """A promise about `ours` or about its `ratio` to the floor. Limits are inclusive."""

    of: str
    at_most: float | None = None
    at_least: float | None = None

    def is_met(self, value: float | None) -> bool | None:
        """None if there is nothing to judge by."""
        if value is None:
            return None
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        sign, limit = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {limit:g}{' x' if self.of == 'ratio' else ''}"


def ratio(at_most: float | None = None, *, at_least: float | None = None) -> Target:
    """A promise about ours divided by the floor."""
    return Target("ratio", at_most, at_least)


def value(at_most: float | None = None, *, at_least: float | None = None) -> Target:
    """A promise about our own figure, in its unit."""
    return Target("ours", at_most, at_least)


class Figure(msgspec.Struct, frozen=True, kw_only=True, tag="figure"):
    """One line of the table. `floor_is` names what the floor does; `note` is for the reader."""

    what: str
    ours: float | None
    unit: str = "ms"
    floor: float | None = None
    floor_is: str = ""
    targets: tuple[Target, ...] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.floor if self.ours is not None and self.floor else None

    @property
    def is_met(self) -> bool | None:
        """Whether all targets are met; None if there are none, or nothing to judge by."""
        verdicts = [
            target.is_met(self.ratio if target.of == "ratio" else self.ours)
            for target in self.targets
        ]
        return None if not verdicts or None in verdicts else all(verdicts)


class Growth(msgspec.Struct, frozen=True, kw_only=True, tag="growth"):
    """How a cost grows: `points` are (how many, cost), rising. Promised is at most `power` of
    the number: 1 is linear, 0 is a cost that does not depend on it. With `within`, promised is
    instead that from `beyond` on the largest cost is at most so many times the smallest."""

    what: str
    by: str
    unit: str
    points: tuple[tuple[int, float], ...]
    at_most: float = LINEAR
    within: float | None = None
    beyond: int = 0

    @property
    def power(self) -> float | None:
        """The slope of the upper half of the points on logarithmic scales."""
        upper = [point for point in self.points if point[1] > 0][len(self.points) // 2 - 1 :]
        if len(upper) < 2:
            return None
        xs, ys = ([math.log(point[axis]) for point in upper] for axis in (0, 1))
        return statistics.linear_regression(xs, ys).slope

    @property
    def spread(self) -> float | None:
        """The largest cost by the smallest, from `beyond` on."""
        costs = [cost for number, cost in self.points if number >= self.beyond and cost > 0]
        return max(costs) / min(costs) if len(costs) > 1 else None

    @property
    def is_met(self) -> bool | None:
        if self.within is not None:
            return None if self.spread is None else self.spread <= self.within
        return None if self.power is None else self.power <= self.at_most


type Result = Figure | Growth


class Bench(msgspec.Struct, frozen=True):
    """How a section shall measure. `seconds` is how long what lasts shall last, if it was said;
    `full` asks for the sizes that take minutes, `quick` for ones that tell nothing but whether it
    works at all."""

    database: str
    full: bool = False
    seconds: float | None = None
    quick: bool = False


def timed(act: Callable[[], object]) -> float:
    """Milliseconds that `act` takes."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Call each of `measures` once a round, so that all meet the same state of the machine.

    Each returns a figure; the first round warms up and is not counted.
    """
    taken: list[list[float]] = [[] for _ in measures]
    for number in range(rounds + 1):
        for measure, figures in zip(measures, taken, strict=True):
            figure = measure()
            if number:
                figures.append(figure)
    return taken


def bests(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """The least figures of `in_turns`: what else the machine does can only add to them."""
    return [min(figures) for figures in in_turns(rounds, *measures)]


def quantile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that at least `share` of all do not exceed."""
    ordered = sorted(figures)
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]
