"""Lists that loop, repeat themselves and skip: the walk ends, and every run is found."""

import datetime as dt
from random import Random

import httpx
import pytest
from django.utils import timezone

from runs import discovery
from runs.models import Discovery, Run
from tests.chaos.rows import Cases
from tests.runs.answers import client_of, reply

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(0)]
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
TURNS = 40


class LyingList:
    """The runs of an organisation, newest first, told by a list that errs for a while."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.count = chance.randrange(0, 60)
        self.page = chance.choice((1, 2, 5, 20))
        self.errs = chance.randrange(0, 12)  # answers that are still wrong
        self.asked = 0
        self.client = client_of(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if "/agents" in request.url.path:
            return reply({"agents": [], "hasMore": False})
        self.asked += 1
        cursor = request.url.params.get("cursor", "")
        before = int(cursor.removeprefix("run_")) if cursor.startswith("run_") else self.count
        numbers = list(range(before - 1, max(before - 1 - self.page, -1), -1))
        following: object = f"run_{numbers[-1]}" if numbers and numbers[-1] > 0 else None
        if self.asked <= self.errs:
            numbers, following = self._err(numbers, following)
        runs = [_listed(number) for number in numbers]
        return reply({"runs": runs, "hasMore": following is not None, "nextCursor": following})

    def _err(self, numbers: list[int], following: object) -> tuple[list[int], object]:
        everything = range(self.count)
        match self.chance.randrange(6):
            case 0:  # skips some
                return [one for one in numbers if self.chance.random() < 0.5], following
            case 1:  # repeats some
                return numbers + self.chance.choices(numbers or [0], k=3), following
            case 2 if self.count:  # leads back, or to itself
                return numbers, f"run_{self.chance.choice(everything)}"
            case 3:  # says that this is all
                return numbers, None
            case 4:  # says where to go on in a way that cannot be used
                return numbers, self.chance.choice(("", " ", "x" * 300, 7, ["run_1"]))
            case _:  # in another order
                return self.chance.sample(numbers, len(numbers)), following


def _listed(number: int) -> dict[str, object]:
    created = (START + dt.timedelta(minutes=number)).isoformat()
    return {"id": f"run_{number}", "status": "running", "createdAt": created}


@pytest.mark.row("lists")
def test_a_list_that_errs_ends_and_hides_no_run_for_ever(cases: Cases) -> None:
    for case in cases:
        Run.objects.all().delete()
        Discovery.objects.all().delete()
        org = LyingList(case.chance)
        _walk(org)
        org.errs = 0
        org.count += case.chance.randrange(3)
        _walk(org)
        # A day later the list is gone through as a whole.
        yesterday = timezone.now() - discovery.WHOLE_EVERY - dt.timedelta(seconds=1)
        Discovery.objects.exclude(walked_at=None).update(walked_at=yesterday)
        _walk(org)
        found = set(Run.objects.values_list("run_id", flat=True))
        wanted = {f"run_{number}" for number in range(org.count)}
        assert wanted <= found
        assert len(found - wanted) <= 1  # what an error invented


def _walk(org: LyingList) -> None:
    """Turns until the walk rests; a list without end would be an error."""
    for _ in range(TURNS):
        Discovery.objects.update(due_at=None, failures=0)
        if not discovery.discover_due(org.client):
            return
    raise AssertionError("the walk does not end")
