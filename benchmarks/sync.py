"""From the bytes of one answer to rows, beside decoding them and inserting the same rows raw."""

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import msgspec
from django.db import connection, transaction
from django.utils import timezone
from msgspec import Struct

from benchmarks import bodies, writes
from benchmarks.figures import LINEAR, Bench, Figure, Growth, Result, bests, ratio, timed, value
from runs import fingerprints, poller
from runs.casedev.client import Answer
from runs.casedev.payloads import Details, EntryPayload, StepPayload, Usage
from runs.claims import claim
from runs.models import Poll, Run, Step

STEP_BYTES = 4_150  # so that 1,000 steps are 4 MB and 10,000 are 40 MB
ROUNDS = 9
LONG = 10_000  # steps of a run that is asked about again
LENGTHS = (10, 100, 1_000, 10_000, 100_000)
_number = count(1)


class WholeUsage(Usage, rename="camel"):
    entries: list[EntryPayload] = msgspec.field(default_factory=list)  # type: ignore[assignment]


class WholeDetails(Details, rename="camel"):
    """All of an answer decoded, as a program would that stored nothing."""

    steps: list[StepPayload] = msgspec.field(default_factory=list)  # type: ignore[assignment]
    usage: WholeUsage | None = None


class Sent(Struct):
    """A run of ours and the answer about it that comes next."""

    run: Run
    steps: list[str]
    status: str = "running"

    def answer(self) -> Answer:
        return Answer(bodies.details(self.run.run_id, self.steps, self.status), timezone.now())


def measure(bench: Bench) -> Iterator[Result]:
    yield from _first(bench)
    yield from _later(bench)
    yield from _growth(LENGTHS[:2] if bench.quick else LENGTHS)


def new_run() -> Run:
    now = timezone.now()
    run = Run.objects.create(
        run_id=f"run_bench_{next(_number)}", listed_at=now, first_seen_at=now, changed_at=now
    )
    poller.schedule_new([run], now)
    return run


def store(run: Run, answer: Answer) -> float:
    """Milliseconds from the last byte of `answer` to the notice after the commit."""
    held = claim(timezone.now(), 1, only=run.pk)[0]
    gc.collect()
    outcomes: list[poller.Outcome] = []
    taken = timed(lambda: outcomes.append(poller.store(held, answer)))
    if outcomes[0] not in (poller.Outcome.CHANGED, poller.Outcome.UNCHANGED):
        raise RuntimeError(f"the answer was not stored: {outcomes[0]}")
    return taken


def decode(body: bytes) -> WholeDetails:
    whole: WholeDetails = msgspec.json.decode(body, type=WholeDetails)
    return whole


def _first(bench: Bench) -> Iterator[Figure]:
    steps = bodies.json_steps(1_000, STEP_BYTES)

    def ours(status: str) -> Callable[[], float]:
        def once() -> float:
            sent = Sent(new_run(), steps, status)
            return store(sent.run, sent.answer())

        return once

    def floor() -> float:
        body = Sent(new_run(), steps).answer().body
        insert = raw_insert(new_run(), decode(body).steps)
        return timed(lambda: decode(body)) + timed(insert)

    rounds = 1 if bench.quick else ROUNDS
    running, ended, raw = bests(rounds, ours("running"), ours("completed"), floor)
    limit = 2.5 if connection.vendor == "sqlite" else 1.5
    how = "decode, insert raw" if connection.vendor == "sqlite" else "decode, COPY raw"
    for name, taken in (("running", running), ("ended, its bytes kept", ended)):
        yield Figure(
            what=f"first sync of 1,000 steps, 4 MB, {name}",
            ours=taken,
            floor=raw,
            floor_is=how,
            targets=(ratio(limit),),
        )


COLUMNS = (
    *("run_id", "position", "step_id", "type", "content", "tool_name", "tool_input"),
    *("tool_output", "duration_ms", "timestamp", "changed_version", "unanswered", "failed"),
)


def raw_insert(run: Run, steps: list[StepPayload]) -> Callable[[], None]:
    """Puts rows that are ready into the table of steps, by the driver alone."""
    adapt = connection.ops.adapt_datetimefield_value
    at = adapt(timezone.now())
    rows = [
        (
            *(run.pk, place, step.id, step.type, step.content or None, step.tool_name or None),
            *(bytes(step.tool_input).decode(), bytes(step.tool_output).decode()),
            *(step.duration_ms or None, at, 1, False, False),
        )
        for place, step in enumerate(steps, start=1)
    ]
    table, names = Step._meta.db_table, ", ".join(COLUMNS)

    def insert() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                marks = ", ".join("?" * len(COLUMNS))
                statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
                connection.connection.executemany(statement, rows)
                return
            with cursor.cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

    return insert


def _later(bench: Bench) -> Iterator[Figure]:
    """Polls of a run of 10,000 steps that bring nothing, and 10 steps."""
    rounds = 1 if bench.quick else ROUNDS
    sent = Sent(new_run(), bodies.json_steps(LONG, STEP_BYTES))
    store(sent.run, sent.answer())
    yield from _nothing_new(sent, rounds)
    yield from _ten_more(sent, rounds)


def _nothing_new(sent: Sent, rounds: int) -> Iterator[Figure]:
    same = sent.answer()

    def unchanged() -> float:
        return store(sent.run, same)

    hashing = lambda: timed(lambda: hashlib.sha256(same.body).digest())  # noqa: E731
    ours_alone = lambda: timed(lambda: fingerprints.of_body(same.body))  # noqa: E731
    ours, *bare = bests(rounds, unchanged, hashing, ours_alone)
    yield Figure(
        what="poll that brings nothing, 10,000 steps, 40 MB",
        ours=ours,
        floor=bare[0],
        floor_is="SHA-256 of the body",
        targets=(ratio(1.2),),
    )
    yield Figure(
        what="the same, beside the fingerprint that we take",
        ours=ours,
        floor=bare[1],
        floor_is="GMAC of the body",
        note="the rest is the row of the schedule",
    )
    yield Figure(
        what="rows written by a poll that brings nothing, but for its place in the schedule",
        ours=writes.rows(lambda: store(sent.run, same), but_of=Poll),
        unit="",
        targets=(value(0),),
    )


def _ten_more(sent: Sent, rounds: int) -> Iterator[Figure]:
    same, written = sent.answer(), list[float]()

    def ten_more() -> float:
        sent.steps = sent.steps + bodies.json_steps(10, STEP_BYTES, len(sent.steps) + 1)
        writes.empty_log()
        answer, before = sent.answer(), writes.logged()
        taken = store(sent.run, answer)
        written.append((writes.logged() - before) / 1000)
        return taken

    ours, floor = bests(rounds, ten_more, lambda: timed(lambda: decode(same.body)))
    yield Figure(
        what="poll that brings 10 steps more, 10,000 steps, 40 MB",
        ours=ours,
        floor=floor,
        floor_is="decode",
        targets=(ratio(1.5),),
    )
    yield Figure(
        what="written to the database's log for 10 steps more",
        ours=sorted(written)[len(written) // 2],
        unit="kB",
        floor=10 * STEP_BYTES / 1000,
        floor_is="the steps' own bytes",
        targets=(value(400),),
    )


def _growth(lengths: Sequence[int]) -> Iterator[Growth]:
    first: list[tuple[int, float]] = []
    later: list[tuple[int, float]] = []
    for length in lengths:
        steps = bodies.json_steps(length, 400)
        sent = Sent(new_run(), steps)

        def more(sent: Sent = sent) -> float:
            sent.steps = sent.steps + bodies.json_steps(1, 400, len(sent.steps) + 1)
            return store(sent.run, sent.answer())

        def anew(steps: list[str] = steps) -> float:
            fresh = Sent(new_run(), steps)
            return store(fresh.run, fresh.answer())

        taken = [store(sent.run, sent.answer()), more()]
        if length <= LONG:  # what is longer takes so long that once is enough
            taken = bests(5 if length <= 1_000 else 2, anew, more)
        first.append((length, taken[0]))
        later.append((length, taken[1]))
    points = (("first sync", first), ("poll that brings one step more", later))
    for what, costs in points:
        yield Growth(what=what, by="steps", unit="ms", points=tuple(costs), at_most=LINEAR)
