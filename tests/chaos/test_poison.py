"""What poison costs the runs that can be read, in time that passes: the real poller, its threads,
and answers that are dear to refuse."""

import datetime as dt
import gzip
import statistics
import time
from collections import Counter
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from runs import poller, schedule
from runs.casedev.client import BODY_CAP
from runs.models import Poll, Run, Upstream
from tests.chaos.rows import Cases
from tests.factories import make_runs
from tests.runs.answers import reply
from tests.runs.polling import Api, now_details

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]

GOOD = 40
# As much of the clock as passes in a moment here: all backoff, and no quarantine.
SOON = dt.timedelta(seconds=schedule.WAIT_LONGEST + 60)
ASK_WITHIN = 5 * schedule.POISONED_AFTER  # rounds
PAIRS, MOST_PAIRS = 12, 60  # of turns, with poison and without
ROUNDS = 2  # a turn

BOMB = gzip.compress(b'{"steps": [' + b" " * BODY_CAP, 1)
DEAR: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a bomb": (BOMB, {"content_encoding": "gzip"}),
    "a large page": (b"<html>" + b"<p>Not found</p>" * 200_000, {}),
    "a deep answer": (b'{"steps":' * 300_000, {}),
    "a broken end": (b'{"steps": [' + b'{"id": "x", "content": "' + b"y" * 3_000_000, {}),
}


class Mixed:
    """Case.dev, with runs that can be read and some that cannot."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.api = Api(self._says)
        runs = make_runs(GOOD + len(DEAR), status="running", now=timezone.now(), version=0)
        poller.schedule_new(runs, timezone.now())
        self.poison = dict(zip((run.run_id for run in runs), DEAR.values(), strict=False))
        self.keys = [run.pk for run in runs[: len(DEAR)]]

    def _says(self, run_id: str) -> Any:
        self.asked[run_id] += 1
        if run_id in self.poison:
            body, headers = self.poison[run_id]
            return reply(body, **headers)
        if run_id not in self.bodies:
            self.bodies[run_id] = now_details(run_id)
        return reply(self.bodies[run_id])

    def go_round(self) -> None:
        """What is due soon is due now."""
        now = timezone.now()
        Poll.objects.filter(due_at__lte=now + SOON).update(due_at=now, leased_until=None)
        self.api.poll()

    def good(self) -> int:
        return sum(count for run_id, count in self.asked.items() if run_id not in self.poison)

    def pace(self, *, is_poisoned: bool) -> float:
        """Good polls a second in one turn; without poison, what cannot be read is not due."""
        if not is_poisoned:
            away = dt.timedelta(days=1)
            Poll.objects.filter(pk__in=self.keys).update(due_at=F("due_at") + away)
        before, begun = self.good(), time.perf_counter()
        for _ in range(ROUNDS):
            self.go_round()
        pace = (self.good() - before) / (time.perf_counter() - begun)
        if not is_poisoned:
            Poll.objects.filter(pk__in=self.keys).update(due_at=F("due_at") - away)
        return pace


@pytest.mark.row("poison")
def test_poison_that_is_dear_to_refuse_slows_the_others_by_a_tenth_at_most(cases: Cases) -> None:
    for _ in cases:
        org = Mixed()
        for _ in range(ASK_WITHIN):
            org.go_round()
        asked = {run_id: org.asked[run_id] for run_id in org.poison}
        assert set(asked.values()) == {schedule.POISONED_AFTER}, asked
        assert Poll.objects.exclude(quarantined_at=None).count() == len(DEAR)
        _compare(org)
        assert {run_id: org.asked[run_id] for run_id in org.poison} == asked
        Run.objects.all().delete()
        Upstream.objects.all().delete()


def _compare(org: Mixed) -> None:
    """In turns, so that what else the machine does is in both. Where noise hides the answer there
    are more of them; what is not put aside slows the others many times over, and never passes."""
    shares: list[float] = []
    for number in range(MOST_PAIRS):
        paces = {kind: org.pace(is_poisoned=kind) for kind in (number % 2 == 0, number % 2 == 1)}
        shares.append(paces[True] / paces[False])
        if len(shares) >= PAIRS and statistics.median(shares) >= 0.9:
            return
    raise AssertionError(f"others have {statistics.median(shares):.0%} of their pace")
