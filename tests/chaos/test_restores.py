"""Going back to an older database, over and over: nobody gets back in, no fence comes twice, and
the record catches up with Case.dev."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from dashboard import sharing
from dashboard.audit import chain
from dashboard.audit.models import AuditEntry
from dashboard.models import ShareLink
from runs import discovery, poller
from runs.models import Poll, Run
from tests.chaos.rows import Cases
from tests.conftest import account, signed_in
from tests.dashboard.links import share
from tests.factories import make_run
from tests.restoring import backup, opens, polled, restore
from tests.runs.answers import details, step
from tests.runs.polling import Api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Any) -> Iterator[None]:
    settings.DATA_DIR = tmp_path
    yield
    poller.rest()


class Before(NamedTuple):
    """What stood when the backup was made."""

    source: Path
    ended: str  # a link that is revoked later
    few: ShareLink  # one that is used up later
    client: Client
    fence: int


class Since(NamedTuple):
    """What came after it."""

    new: str
    steps: int  # of run_a
    fence: int


def fence_of_the_run() -> int:
    return Poll.objects.get(run__run_id="run_a").fence


def before_the_backup(api: Api, run: Run, people: tuple[User, User], source: Path) -> Before:
    mira, owen = people
    ended, used = share(run, mira), share(run, owen)
    few = ShareLink.objects.get(token_digest=sharing.digest(used))
    api.says["run_a"] = details(id="run_a", steps=[step(1), step(2)], status="running")
    polled(api)
    client = signed_in(mira)
    backup(source)
    return Before(source, ended, few, client, fence_of_the_run())


def after_the_backup(
    api: Api, before: Before, people: tuple[User, User], turn: int, more: int
) -> Since:
    mira, owen = people
    sharing.revoke(ShareLink.objects.get(token_digest=sharing.digest(before.ended)), mira)
    ShareLink.objects.filter(pk=before.few.pk).update(openings=7, most_views=7)
    User.objects.filter(pk=owen.pk).update(password=f"changed {turn}", is_staff=False)
    new = f"run_new_{turn}"
    steps = [step(number) for number in range(1, more + 1)]
    api.says["run_a"] = details(id="run_a", steps=steps, status="running")
    api.says[new] = details(id=new, steps=[step(1)], status="running")
    polled(api)
    polled(api)
    since = Since(new, more, fence_of_the_run())
    assert since.fence > before.fence
    return since


def assert_nobody_is_back(before: Before, stays: str, owen: User, password: str) -> None:
    assert not opens(before.ended)
    assert opens(stays)
    again = ShareLink.objects.get(pk=before.few.pk)
    assert (again.openings, again.most_views) == (7, 7)
    assert User.objects.get(pk=owen.pk).password == password
    assert not Session.objects.exists()
    assert before.client.get("/").status_code == 302


def assert_the_run_is_due_under_a_new_fence(since: Since) -> None:
    poll = Poll.objects.get(run__run_id="run_a")
    assert poll.fence > since.fence
    assert poll.leased_until is None
    assert poll.due_at is not None
    assert poll.due_at <= timezone.now()


def assert_the_log_tells_of_it() -> None:
    assert chain.verify().number > 0
    told = AuditEntry.objects.filter(page="restore").order_by("number").last()
    assert told is not None
    assert "; 1 links and tokens closed (compared)" in told.detail


def assert_all_is_there_after_polls(api: Api, since: Since) -> None:
    assert Run.objects.get(run_id="run_a").step_count == 2
    assert not Run.objects.filter(run_id=since.new).exists()
    api.listed = {"runs": [{"id": since.new}, {"id": "run_a"}], "hasMore": False}
    discovery.discover_due(api.client)
    api.poll()
    assert Run.objects.get(run_id="run_a").step_count == since.steps
    assert Run.objects.get(run_id=since.new).step_count == 1
    assert fence_of_the_run() > since.fence


@pytest.mark.row("restores")
def test_going_back_leaves_nobody_in_who_was_put_out_and_polls_until_all_is_there_again(
    cases: Cases, tmp_path: Path
) -> None:
    people = mira, owen = account("mira", "member"), account("owen", "member")
    run, revoked_run = make_run("running", run_id="run_a"), make_run("completed")
    stays = share(run, mira)
    api = Api()
    for turn, case in enumerate(cases):
        more = case.chance.randrange(3, 9)
        before = before_the_backup(api, revoked_run, people, tmp_path / f"{turn}.backup")
        since = after_the_backup(api, before, people, turn, more)
        said = restore(before.source, replace=True)
        assert "what the replaced database no longer opened is closed" in said
        assert_nobody_is_back(before, stays, owen, f"changed {turn}")
        assert_the_run_is_due_under_a_new_fence(since)
        assert_the_log_tells_of_it()
        assert_all_is_there_after_polls(api, since)
    assert [*tmp_path.glob("replaced-*.backup")]
