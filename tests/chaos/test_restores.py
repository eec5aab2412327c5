"""Going back to an older database, over and over: nobody gets back in, no fence comes twice, and
the record catches up with Case.dev."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
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


@pytest.mark.row("restores")
def test_going_back_leaves_nobody_in_who_was_put_out_and_polls_until_all_is_there_again(
    cases: Cases, tmp_path: Path
) -> None:
    mira, owen = account("mira", "member"), account("owen", "member")
    run, revoked_run = make_run("running", run_id="run_a"), make_run("completed")
    stays = share(run, mira)
    api = Api()
    for turn, case in enumerate(cases):
        more = case.chance.randrange(3, 9)
        ended = share(revoked_run, mira)
        used = share(revoked_run, owen)
        few = ShareLink.objects.get(token_digest=sharing.digest(used))
        api.says["run_a"] = details(id="run_a", steps=[step(1), step(2)], status="running")
        polled(api)
        client = signed_in(mira)
        source = tmp_path / f"{turn}.backup"
        backup(source)
        fence = Poll.objects.get(run=run).fence

        sharing.revoke(ShareLink.objects.get(token_digest=sharing.digest(ended)), mira)
        ShareLink.objects.filter(pk=few.pk).update(openings=7, most_views=7)
        User.objects.filter(pk=owen.pk).update(password=f"changed {turn}", is_staff=False)
        new = f"run_new_{turn}"
        steps = [step(number) for number in range(1, more + 1)]
        api.says["run_a"] = details(id="run_a", steps=steps, status="running")
        api.says[new] = details(id=new, steps=[step(1)], status="running")
        polled(api)
        polled(api)
        last = Poll.objects.get(run=run).fence
        assert last > fence

        said = restore(source, replace=True)
        assert "what the replaced database no longer opened is closed" in said
        assert not opens(ended)
        assert opens(stays)
        again = ShareLink.objects.get(pk=few.pk)
        assert (again.openings, again.most_views) == (7, 7)
        assert User.objects.get(pk=owen.pk).password == f"changed {turn}"
        assert not Session.objects.exists()
        assert client.get("/").status_code == 302
        poll = Poll.objects.get(run=run)
        assert poll.fence > last
        assert poll.leased_until is None
        assert poll.due_at is not None
        assert poll.due_at <= timezone.now()
        assert chain.verify().number > 0
        told = AuditEntry.objects.filter(page="restore").order_by("number").last()
        assert told is not None
        assert "; 1 links and tokens closed (compared)" in told.detail

        assert Run.objects.get(pk=run.pk).step_count == 2
        assert not Run.objects.filter(run_id=new).exists()
        api.listed = {"runs": [{"id": new}, {"id": "run_a"}], "hasMore": False}
        discovery.discover_due(api.client)
        api.poll()
        assert Run.objects.get(pk=run.pk).step_count == more
        assert Run.objects.get(run_id=new).step_count == 1
        assert Poll.objects.get(run=run).fence > last
    assert [*tmp_path.glob("replaced-*.backup")]
