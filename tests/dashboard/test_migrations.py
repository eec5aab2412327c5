"""An installation of the first days, with rows in it, is brought up to date and loses nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import environment
from tests.product import ROOT

pytestmark = [pytest.mark.same_on_either, pytest.mark.timeout(300)]

# In a process of its own, since a database goes forward only: the log's tables cannot be unmade.
SCRIPT = """
import datetime as dt, hashlib, json
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

def at(*places):
    for app, name in places:
        call_command("migrate", app, name, verbosity=0)
    return MigrationExecutor(connection).loader.project_state(list(places)).apps

call_command("migrate", "auth", verbosity=0)
old = at(("runs", "0001_record"), ("dashboard", "0002_roles"))
now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
far = dt.datetime(2096, 11, 1, tzinfo=dt.UTC)
User, Group = (old.get_model("auth", name) for name in ("User", "Group"))
mira = User.objects.create(username="mira", password="!", is_active=True)
mira.groups.add(Group.objects.get(name="member"))
Run = old.get_model("runs", "Run")
ShareLink, ShareView = (old.get_model("dashboard", name) for name in ("ShareLink", "ShareView"))
run = Run.objects.create(run_id="run_old", status="completed", prompt="Old words", listed_at=now,
    first_seen_at=now, changed_at=now, version=1)
for run_id, status in (("run_goes", "running"), ("run_cut", "failed")):
    Run.objects.create(run_id=run_id, status=status, started_at=now, listed_at=now,
        contradictions=[{"text": "It ended twice."}] if status == "failed" else [],
        first_seen_at=now, changed_at=now, version=1, cost_micros=70, usage_model="m")
for number, revoked in enumerate([None, now]):
    digest = hashlib.sha256(b"token%d" % number).digest()
    link = ShareLink.objects.create(run=run, token_digest=digest, purpose=f"Old {number}",
        created_at=now, expires_at=far, created_by=mira, revoked_at=revoked)
    for _ in range(3):
        ShareView.objects.create(link=link, at=now, page="timeline")

call_command("migrate", verbosity=0)
from django.contrib.auth.models import Permission
from dashboard import sharing
from dashboard.accounts.given import GivenPassword
from dashboard.audit import acts, chain
from dashboard.audit.models import Act
from dashboard.disclosure.rules import EVERYTHING
from dashboard.models import ShareLink, ShareView
from runs import spending
from runs.models import Run, SpentInAll
from tests import recounted

recounted.check()
opened = sharing.opened_by("token0")
reading = Permission.objects.filter(group__name="admin", codename="view_auditentry")
acts.record(Act.LOOK, run="run_old")
print(json.dumps({
    "opens": opened is not None and opened.run.run_id,
    "revoked opens": sharing.opened_by("token1") is not None,
    "shows all": sorted(opened.shows) == sorted(EVERYTHING),
    "names": len(set(ShareLink.objects.values_list("public_id", flat=True)) - {None, ""}),
    "openings": list(ShareLink.objects.order_by("pk").values_list("openings", flat=True)),
    "views": ShareView.objects.filter(is_robot=False).count(),
    "words": Run.objects.get(run_id="run_old").prompt,
    "spent": spending.total(),
    "days": [[str(day), agent, model, *sums] for (day, agent, model), sums
        in sorted(recounted.kept().items(), key=str)],
    "zone": SpentInAll.objects.get().zone,
    "going": list(Run.objects.filter(going_since=now).values_list("run_id", flat=True)),
    "odd": list(Run.objects.filter(odd_at=now).values_list("run_id", flat=True)),
    "given passwords": GivenPassword.objects.count(),
    "log": chain.verify().number,
    "may": sorted(Permission.objects.filter(group__name="member", codename="see_audience")
        .values_list("codename", flat=True)),
    "admins read": reading.count(),
    "pending": len(MigrationExecutor(connection).migration_plan(
        MigrationExecutor(connection).loader.graph.leaf_nodes())),
}))
"""


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("old")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment.bare()
        | {"DJANGO_SETTINGS_MODULE": "dashboard.settings", "RUNSHEET_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_old_links_go_on_showing_what_they_showed(after: Any) -> None:
    assert after["opens"] == "run_old"
    assert after["shows all"]
    assert not after["revoked opens"]


def test_old_links_get_a_name_and_keep_their_count_of_views(after: Any) -> None:
    assert after["names"] == 2
    assert after["openings"] == [3, 3]
    assert after["views"] == 6


def test_the_record_and_the_accounts_stay_as_they_were(after: Any) -> None:
    assert after["words"] == "Old words"
    assert after["spent"] == 140
    assert after["days"] == [
        *(["2026-11-01", None, "m", 140, 2, 0, 0, 0], ["2026-11-01", None, None, 0, 1, 1, 0, 0])
    ]
    assert after["zone"] == "UTC"
    assert after["going"] == ["run_goes"]
    assert after["odd"] == ["run_cut"]
    assert after["given passwords"] == 0
    assert after["pending"] == 0


def test_the_log_starts_whole_and_members_may_see_who_looked(after: Any) -> None:
    assert after["log"] >= 1
    assert after["may"] == ["see_audience"]
    assert after["admins read"] == 1
