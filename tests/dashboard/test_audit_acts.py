"""Rows about what was done where no page of the site says so: commands, factors, polls."""

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands
from django.test import Client

from dashboard.audit import commands
from dashboard.audit.models import Act, AuditEntry
from runs.simulator.testing import SimulatorServer
from tests.conftest import signed_in
from tests.dashboard.logbook import added, log_closed
from tests.dashboard.test_mfa import confirm, log_in, set_up_app
from tests.factories import make_run

pytestmark = pytest.mark.django_db


# Commands on the server --------------------------------------------------------------------------

# A command closes its connections when it ends, and so cannot run within a test's transaction.
command = pytest.mark.django_db(transaction=True)


@command
def test_adding_a_run_by_command_is_a_row_for_each_run(simulator: SimulatorServer) -> None:
    first, second = (simulator.world.create("nda_review").id for _ in range(2))
    with added() as rows:
        commands.run(["manage.py", "add", first, f"{simulator.url}/agent/v1/run/{second}/details"])
    assert [(row.act, row.run, row.page) for row in rows] == [
        ("run-added", first, "manage.py"),
        ("run-added", second, "manage.py"),
    ]
    assert all(row.name.endswith(" (server)") and row.detail.startswith("add ") for row in rows)


@command
def test_a_command_that_shows_rows_is_recorded_without_what_could_be_a_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with added() as rows:
        commands.run(["manage.py", "dumpdata", "auth.group", "--output=/dev/null", "--verbosity=0"])
        commands.run(["manage.py", "clearsessions", "--help"][:2])
    assert [(row.act, row.detail) for row in rows] == [
        ("command", "dumpdata auth.group --output=… --verbosity=…"),
        ("command", "clearsessions"),
    ]


@command
def test_a_command_that_cannot_be_recorded_is_not_run(
    simulator: SimulatorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run()
    with log_closed(), pytest.raises(SystemExit, match="the audit log cannot be written"):
        commands.run(["manage.py", "dumpdata", "runs.run"])
    assert "run_" not in capsys.readouterr().out


def test_every_command_is_recorded_unless_it_is_named() -> None:
    """What a new command shows is recorded by itself; those that are not stand here."""
    silent = {name for name in get_commands() if name in commands.UNRECORDED}
    assert {"migrate", "prepare", "up", "simulate", "verify_audit"} <= silent
    telling = {"add", "dumpdata", "loaddata", "shell", "dbshell", "changepassword", "flush"}
    assert not telling & silent
    assert {"createsuperuser", "backup", "clearsessions"} <= set(get_commands()) - silent


# Polls -------------------------------------------------------------------------------------------


def test_asking_case_dev_now_is_a_row_for_each_run(admin: User, simulator: SimulatorServer) -> None:
    runs = [make_run("running", run_id=simulator.start("nda_review").id) for _ in range(2)]
    client = signed_in(admin)
    keys = [run.pk for run in runs]
    with added() as rows:
        client.post("/admin/runs/poll/", {"action": "poll_now", "_selected_action": keys})
    told = {(row.act, row.run, row.name, row.result) for row in rows}
    assert told == {(Act.POLLED, run.run_id, "ada", "ok") for run in runs}


# Second factors ----------------------------------------------------------------------------------


def factor_rows(rows: list[AuditEntry]) -> list[tuple[str, str, str]]:
    return [(row.name, row.page, row.detail) for row in rows if row.act == Act.SECOND_FACTOR]


def test_setting_a_factor_up_and_turning_it_off_are_rows(viewer: User) -> None:
    with added() as rows:
        client, secret, codes = set_up_app("violet")
        client.post("/accounts/2fa/totp/deactivate/")
    changes = factor_rows(rows)
    assert len(changes) >= 2
    assert {change[:2] for change in changes} == {("violet", f"account {viewer.pk}")}
    written = " ".join(str(vars(row)) for row in rows)
    assert secret not in written
    assert not any(code.replace(" ", "") in written for code in codes)


def test_an_admin_who_takes_a_factor_away_is_named(viewer: User, admin: User) -> None:
    set_up_app("violet")
    client = signed_in(admin)
    chosen = {"action": "take_factors_away", "_selected_action": [viewer.pk]}
    with added() as rows:
        client.post("/admin/auth/user/", chosen)
    told = [(row.act, row.name, row.detail) for row in rows]
    assert (Act.ADMIN_ACT, "ada", f"take_factors_away {viewer.pk}") in told
    assert factor_rows(rows) == [("ada", f"account {viewer.pk}", "violet: taken away")]


def test_a_wrong_code_is_a_failed_sign_in(viewer: User) -> None:
    set_up_app("violet")
    client, _ = log_in("violet", Client())
    with added() as rows:
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert [(row.act, row.name, row.result, row.detail) for row in rows] == [
        (Act.LOGIN_FAILED, "violet", "refused", "second factor: totp")
    ]


def test_a_failed_confirmation_is_a_row_too(viewer: User) -> None:
    client, _ = log_in("violet")
    with added() as rows:
        client.post("/accounts/reauthenticate/", {"password": "not of the tests"})
    assert (Act.LOGIN_FAILED, "violet", "refused") in [
        (row.act, row.name, row.result) for row in rows
    ]
    with added() as rows:
        confirm(client, "violet")
    assert Act.LOGIN_FAILED not in {row.act for row in rows}
