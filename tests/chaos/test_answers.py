"""Answers that are late, repeated, mutilated or hostile: what the rows say after them."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from runs import poller, sync
from runs.casedev.client import Answer
from runs.casedev.errors import Unreadable
from runs.claims import LEASE, Claim, claim
from runs.models import Run, Step
from runs.poller import Outcome
from tests.chaos.mutants import Recorded, hostile, recorded
from tests.chaos.record import another_postgresql, dump, visible
from tests.chaos.rows import Cases
from tests.runs.answers import details, entry, step
from tests.runs.polling import due_run

NOW = dt.datetime(2026, 11, 2, 15, 0, tzinfo=dt.UTC)

# Late, repeated, out of order ---------------------------------------------------------------------

STAGES = [
    details([step(1)], [entry(1)]),
    details([step(1), step(2)], [entry(1)]),
    details([step(1), step(2), step(3)], [entry(1), entry(2)]),
    details(
        [step(1), step(2), step(3)],
        [entry(1), entry(2), entry(3)],
        status="completed",
        completedAt="2025-01-15T10:35:00Z",
    ),
]


@pytest.mark.row("order")
@pytest.mark.django_db
@pytest.mark.timeout(0)
def test_answers_in_any_order_end_in_the_last_state(cases: Cases) -> None:
    run = due_run("queued", run_id="run_1")
    with rolled_back():
        _deliver(run, len(STAGES) - 1, _claim(run, 0)[0])
        last = visible(run)
    for case in cases:
        with rolled_back():
            _interleave(run, case.chance, last)


def _interleave(run: Run, chance: Random, last: dict[str, Any]) -> None:
    """Three claims, each made when the lease before it has run out; what they were answered comes
    in any order, and some of it twice."""
    held = [claimed for number in range(3) for claimed in _claim(run, number)]
    deliveries = [(one, chance.randrange(len(STAGES))) for one in held]
    deliveries += chance.choices(deliveries, k=chance.randrange(3))
    chance.shuffle(deliveries)
    written: set[int] = set()
    ended = False
    for one, stage in deliveries:
        outcome = _deliver(run, stage, one)
        if one.fence != held[-1].fence or one.fence in written:
            assert outcome in (Outcome.OVERTAKEN, Outcome.UNCHANGED), "I4: an old claim wrote"
        written.add(one.fence)
        status = Run.objects.values_list("status", flat=True).get(pk=run.pk)
        assert not ended or status == "completed", "I3"
        ended = status == "completed"
    final = _claim(run, 3)[0]
    assert final.fence == held[-1].fence + 1
    _deliver(run, len(STAGES) - 1, final)
    assert visible(run) == last, "I1, I2"
    version = Run.objects.values_list("version", flat=True).get(pk=run.pk)
    assert _deliver(run, len(STAGES) - 1, _claim(run, 4)[0]) is Outcome.UNCHANGED, "I7"
    assert Run.objects.values_list("version", flat=True).get(pk=run.pk) == version, "I7"


def _claim(run: Run, leases: int) -> list[Claim]:
    return claim(timezone.now() + leases * (LEASE + dt.timedelta(seconds=1)), 1, only=run.pk)


def _deliver(run: Run, stage: int, held: Claim) -> Outcome:
    return poller.store(held, Answer(STAGES[stage], timezone.now()))


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# Drift --------------------------------------------------------------------------------------------


@pytest.mark.row("drift")
@pytest.mark.django_db
@pytest.mark.timeout(0)
def test_a_payload_that_drifts_anywhere_deletes_nothing_and_is_flagged(cases: Cases) -> None:
    bodies = recorded()
    stored = {body.name: _stored(body) for body in bodies}
    for case in cases:
        body = bodies[case.number % len(bodies)]
        words, mutant = body.mutant(case.number // len(bodies), case.chance)
        with rolled_back():
            _drift(stored[body.name], body, mutant, f"{body.name}: {words}")


def _stored(body: Recorded) -> tuple[Run, dict[str, Any]]:
    run = due_run(run_id=body.run_id)
    sync.apply(run, body.text, NOW)
    return run, visible(run)


def _drift(stored: tuple[Run, dict[str, Any]], body: Recorded, mutant: bytes, words: str) -> None:
    run, before = stored
    run = Run.objects.get(pk=run.pk)
    rows = dict(Step.objects.filter(run=run).values_list("pk", "step_id"))
    was_terminal = run.is_terminal
    try:
        with transaction.atomic():
            sync.apply(run, mutant, NOW + dt.timedelta(seconds=5))
    except Unreadable:
        assert visible(run) == before, words
        return
    run.refresh_from_db()
    assert run.status, words
    assert not was_terminal or run.status == before["status"], f"I3: {words}"
    assert rows.keys() <= set(Step.objects.filter(run=run).values_list("pk", flat=True)), words
    if Step.objects.filter(run=run).exclude(vanished_at=None).exists():
        assert run.contradictions, f"{words}: what vanished is not flagged"
    sync.apply(run, body.text, NOW + dt.timedelta(seconds=10))
    after = visible(run)
    assert after["steps"] == before["steps"], f"{words}: the true answer does not heal it"
    assert after["counts"] == before["counts"], words
    if not was_terminal:
        assert after == before, words


# Hostile JSON -------------------------------------------------------------------------------------


@pytest.mark.row("hostile")
@pytest.mark.django_db(transaction=True)
@pytest.mark.same_on_either
@pytest.mark.timeout(0)
def test_hostile_json_is_stored_or_refused_the_same_on_both_databases(cases: Cases) -> None:
    ours = connections["default"]
    theirs = another_postgresql()
    try:
        for case in cases:
            words, body = hostile(case.number, case.chance)
            told = []
            for wrapper in (ours, theirs):
                connections["default"] = wrapper
                told.append(_what_becomes_of(body))
            assert told[0] == told[1], f"I11: {words}"
    finally:
        connections["default"] = ours
        theirs.close()


def _what_becomes_of(body: bytes) -> str:
    """The rows, or why there are none; nothing stays."""
    with rolled_back():
        run = Run.objects.create(
            run_id="run_1", listed_at=NOW, first_seen_at=NOW, changed_at=NOW, created_at=NOW
        )
        try:
            with transaction.atomic():
                sync.apply(run, body, NOW)
        except Unreadable as error:
            sync.refuse(run, body, error.sentence, NOW)
        return dump(run)


def test_a_mutant_names_what_was_done_to_it() -> None:
    for body in recorded():
        whole = json.loads(body.text)
        words, mutant = body.mutant(0, Random(1))
        assert words
        assert json.loads(mutant) != whole
