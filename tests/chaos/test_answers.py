"""Answers that are late, repeated, mutilated or hostile: what the rows say after them."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test import Client

from dashboard.api import tokens
from runs import direct, poller, sync
from runs.casedev.client import Answer
from runs.casedev.errors import Unreadable
from runs.claims import Claim, claim
from runs.leases import LEASE
from runs.models import Poll, Run
from runs.poller import Outcome
from tests import markup
from tests.chaos.drift import Judge, Record, record_of, unknown_words
from tests.chaos.mutants import Recorded, hostile, recorded
from tests.chaos.record import another_postgresql, dump, let_last, rows, visible
from tests.chaos.rows import Cases
from tests.conftest import signed_in
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


CLAIMS = 3
TWICE = 2  # an answer comes at most so often


class Told(NamedTuple):
    """How far an interleaving has come: the claims made, what each was answered, and the fences of
    the answers that were delivered, one entry a time."""

    held: tuple[Claim, ...] = ()
    stages: tuple[int, ...] = ()
    delivered: tuple[int, ...] = ()


@pytest.mark.row("order")
@pytest.mark.django_db
@pytest.mark.timeout(0)
def test_answers_in_any_order_end_in_the_last_state(cases: Cases) -> None:
    run = due_run("queued", run_id="run_1")
    with rolled_back():
        _deliver(run, len(STAGES) - 1, _claim(run, 0))
        last = visible(run)
    tree = Interleavings(run, last)
    let_last()
    for case in cases:
        tree.grow(case.chance, cases.row.each)


class Interleavings:
    """Three claims, each made when the lease before it has run out or was given back; what they
    are answered comes at any time after, in any order, and some of it twice.

    They are walked as a tree: what two of them have in common happens once, and the database goes
    back to where they part. Different ways often end in the same rows; what comes after those is
    looked at once.
    """

    def __init__(self, run: Run, last: dict[str, Any]) -> None:
        self.run, self.last = run, last
        self.left = 0
        self.known: set[str] = set()

    def grow(self, chance: Random, count: int) -> None:
        self.left = count
        while self.left > 0:
            with rolled_back():
                self._go_on(Told(), chance)

    def _go_on(self, told: Told, chance: Random) -> None:
        ways: list[int | None] = [
            place for place, one in enumerate(told.held) if told.delivered.count(one.fence) < TWICE
        ]
        if len(told.held) < CLAIMS:
            ways.append(None)
        elif not ways or chance.random() < 0.2:
            self._end()
            return
        for way in chance.sample(ways, min(2, len(ways))):
            if self.left <= 0:
                return
            with rolled_back():
                if way is None:
                    claimed = _claim(self.run, len(told.held))
                    stages = (*told.stages, chance.randrange(len(STAGES)))
                    after = told._replace(held=(*told.held, claimed), stages=stages)
                else:
                    after = self._hear(told, way)
                self._go_on(after, chance)

    def _hear(self, told: Told, place: int) -> Told:
        """The answer to the claim at `place` comes."""
        one = told.held[place]
        before = self._state()
        outcome = _deliver(self.run, told.stages[place], one)
        after = self._state()
        if one.fence != told.held[-1].fence:
            assert outcome is Outcome.OVERTAKEN, "I4: an old claim wrote"
        elif one.fence in told.delivered:
            assert outcome is Outcome.UNCHANGED, "I7: the same answer again was news"
        if outcome is not Outcome.CHANGED:
            assert after == before, "I4, I7"
        assert before[0] != "completed" or after[0] == "completed", "I3"
        return told._replace(delivered=(*told.delivered, one.fence))

    def _end(self) -> None:
        """The last answer comes, and comes again."""
        self.left -= 1
        state = dump(self.run) + str(rows(Poll, "run_id", self.run))
        if state in self.known:
            return
        self.known.add(state)
        final = _claim(self.run, CLAIMS)
        _deliver(self.run, len(STAGES) - 1, final)
        assert visible(self.run) == self.last, "I1, I2"
        before = self._state()
        again = _claim(self.run, CLAIMS + 1)
        assert again.fence == final.fence + 1, "I4"
        assert _deliver(self.run, len(STAGES) - 1, again) is Outcome.UNCHANGED, "I7"
        assert self._state() == before, "I7"

    def _state(self) -> tuple[Any, ...]:
        state = direct.values(Run, ("status", "version", "contradictions"), id=self.run.pk)
        assert state
        return state


def _claim(run: Run, leases: int) -> Claim:
    """On a clock of the test, so that the same way leads to the same rows."""
    (claimed,) = claim(NOW + leases * (LEASE + dt.timedelta(seconds=1)), 1, only=run.pk)
    return claimed


def _deliver(run: Run, stage: int, held: Claim) -> Outcome:
    return poller.store(held, Answer(STAGES[stage], NOW))


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# Drift --------------------------------------------------------------------------------------------


@pytest.mark.row("drift")
@pytest.mark.django_db
@pytest.mark.timeout(0)
def test_a_payload_that_drifts_anywhere_deletes_nothing_and_is_flagged(
    cases: Cases, viewer: User
) -> None:
    bodies = recorded()
    stored = {body.name: _stored(body) for body in bodies}
    pages = Pages(viewer)
    let_last()
    for case in cases:
        body = bodies[case.number % len(bodies)]
        acts, mutant = body.mutant(case.number // len(bodies), case.chance)
        words = f"{body.name}: {acts}"
        with rolled_back():
            is_read = _drift(stored[body.name], mutant, words)
            if case.chance.random() < 1 / PAGE_EVERY or acts.startswith("unknown word"):
                pages.judge(stored[body.name], mutant if is_read else b"{}", words)
            if is_read:
                _heal(stored[body.name], body, words)


PAGE_EVERY = 25  # mutants between two whose pages are looked at, but for unknown words


class Known(NamedTuple):
    """A recorded answer as it is stored."""

    run: Run
    before: dict[str, Any]
    record: Record

    @property
    def was_terminal(self) -> bool:
        return self.run.is_terminal


def _stored(body: Recorded) -> Known:
    run = due_run(run_id=body.run_id)
    sync.apply(run, body.text, NOW)
    known = Known(run, visible(run), record_of(run))
    assert known.record.notes == [], "the true answer is flagged"
    return known


def _as_stored(run: Run) -> Run:
    """As the poller reads it."""
    stored = direct.held(run.pk, 0)
    assert stored
    return stored


def _drift(known: Known, mutant: bytes, words: str) -> bool:
    """The mutant comes; whether it could be read."""
    try:
        with transaction.atomic():
            sync.apply(_as_stored(known.run), mutant, NOW + dt.timedelta(seconds=5))
    except Unreadable:
        assert visible(known.run) == known.before, words
        return False
    Judge(known.run, known.record, record_of(known.run), mutant, words).judge()
    return True


def _heal(known: Known, body: Recorded, words: str) -> None:
    """The true answer comes."""
    sync.apply(_as_stored(known.run), body.text, NOW + dt.timedelta(seconds=10))
    before, after = dict(known.before), visible(known.run)
    lists = [_kept(before.pop(name), after.pop(name), words) for name in ("steps", "entries")]
    assert not any(lists) or _as_stored(known.run).contradictions, f"{words}: not flagged"
    assert after == before, f"{words}: the true answer does not heal it"


NOTHING = (None, "", "null")


def _kept(before: list[Any], after: list[Any], words: str) -> bool:
    """Whether anything that the mutant alone said was kept. It is where the true answer says
    nothing, as whatever is withdrawn; all else must be as it was."""
    assert len(after) == len(before), f"{words}: the true answer does not heal it"
    pairs = [
        (old, new)
        for was, now in zip(before, after, strict=True)
        for old, new in zip(was, now, strict=True)
        if old != new
    ]
    assert all(old in NOTHING for old, _ in pairs), f"{words}: the true answer does not heal it"
    return bool(pairs)


class Pages:
    """A run's pages and the API, as somebody signed in has them."""

    def __init__(self, viewer: User) -> None:
        self.viewer, self.client = viewer, signed_in(viewer)

    def judge(self, known: Known, mutant: bytes, words: str) -> None:
        """The run is still shown with its own words, and what is unknown is marked."""
        run = _as_stored(known.run)
        page = self._page(run, "", words)
        shown = markup.words(page)
        prompt = known.record.run["prompt"]
        if run.prompt == prompt:
            assert " ".join(prompt.split())[:60] in shown, f"{words}: the request is not shown"
        present = [row for row in record_of(run).steps.values() if not row["vanished_at"]]
        for row in present:
            assert f'<li id="s{row["position"]}"' in page, f"{words}: step {row} is not shown"
        for note in run.contradictions:
            assert " ".join(note["text"].split()) in shown, f"{words}: {note} is not shown"
        for tab, mark in unknown_words(mutant, known.was_terminal):
            assert mark in self._page(run, tab, words), f"{words}: no mark {mark}"
        self._judge_api(run, len(present), words)

    def _page(self, run: Run, tab: str, words: str) -> str:
        answer = self.client.get(f"/runs/{run.run_id}/{tab}")
        assert answer.status_code == 200, f"{words}: the page is a {answer.status_code}"
        return answer.content.decode()

    def _judge_api(self, run: Run, steps: int, words: str) -> None:
        token = tokens.create(self.viewer, "drift", 7)[1]  # a new one: they may come so often
        headers = {"Authorization": f"Bearer {token}"}
        answer = Client().get(f"/api/runs/{run.run_id}", headers=headers)
        assert answer.status_code == 200, f"{words}: the API answers {answer.status_code}"
        told = answer.json()
        assert (told["run_id"], told["prompt"]) == (run.run_id, run.prompt), words
        assert (told["status"], told["step_count"]) == (run.status, steps), words


# Hostile JSON -------------------------------------------------------------------------------------


MOMENTS = ("listed_at", "first_seen_at", "changed_at", "created_at")


@pytest.mark.row("hostile")
@pytest.mark.django_db(transaction=True)
@pytest.mark.same_on_either
@pytest.mark.timeout(0)
def test_hostile_json_is_stored_or_refused_the_same_on_both_databases(cases: Cases) -> None:
    ours = connections["default"]
    theirs = another_postgresql()
    try:
        runs = []
        for wrapper in (ours, theirs):
            connections["default"] = wrapper
            run = Run.objects.create(run_id="run_1", **dict.fromkeys(MOMENTS, NOW))
            poller.schedule_new([run], NOW)
            runs.append((wrapper, run))
        for case in cases:
            words, body = hostile(case.number, case.chance)
            told = []
            for wrapper, run in runs:
                connections["default"] = wrapper
                told.append(_what_becomes_of(run, body))
            assert told[0] == told[1], f"I11: {words}"
    finally:
        connections["default"] = ours
        theirs.close()


def _what_becomes_of(run: Run, body: bytes) -> str:
    """The rows of `run`, or why there are none; nothing stays."""
    with rolled_back():
        run = _as_stored(run)
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
