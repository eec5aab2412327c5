"""`manage.py up`: everything starts from nothing, and nothing is left of it."""

import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from runs.simulator.testing import SimulatorServer
from tests.product import PASSWORD, Product, free_port, is_alive, signed_in, until

PARTS = {"valkey", "simulator", "web", "worker", "beat"}
type Make = Callable[..., Product]

pytestmark = pytest.mark.timeout(240)


def started(product: Product) -> Product:
    product.start()
    until(lambda: set(product.parts()) == PARTS, 30, "all parts to run")
    return product


def is_ready(product: Product) -> bool:
    """Not while a process that is started again has yet to read what waits at its socket."""
    try:
        return product.get("/readyz").status_code == 200
    except httpx.ReadTimeout:
        return False


def statuses(data: Path) -> set[str]:
    with sqlite3.connect(data / "demo.sqlite3", timeout=20) as database:
        return {row[0] for row in database.execute("SELECT DISTINCT status FROM runs_run")}


def test_from_nothing_to_finished_runs_and_back_to_nothing(product: Make, tmp_path: Path) -> None:
    up = started(product())
    parts = up.parts()
    assert up.get("/healthz").text == "ok\n"
    assert up.get("/").headers["location"] == "/accounts/login/?next=/"
    assert "Sign in as ada with the password in DJANGO_SUPERUSER_PASSWORD" in up.output
    assert PASSWORD not in up.output

    # A real beat, a real worker and a real Valkey carry the simulator's runs into the database.
    until(lambda: "completed" in statuses(tmp_path / "var"), 90, "a completed run")
    until(lambda: is_ready(up), 60, "readiness")
    assert json.loads(up.get("/readyz").text)["worker"]["ok"] is True

    # A command typed beside it reaches the same database, Valkey and simulator.
    with sqlite3.connect(tmp_path / "var" / "demo.sqlite3", timeout=20) as database:
        run_id = database.execute("SELECT run_id FROM runs_run LIMIT 1").fetchone()[0]
    assert run_id in up.manage("add", run_id).stdout

    up.send(signal.SIGINT)
    asked_at = time.monotonic()
    assert up.wait() == 0
    assert time.monotonic() - asked_at < 10
    assert [pid for pid in parts.values() if is_alive(pid)] == []
    left = {path.name for path in (tmp_path / "var").iterdir()}
    assert left.isdisjoint({"valkey.sock", "valkey.url", "simulator.url"})


def test_a_password_is_made_once_and_shown_only_at_the_first_start(product: Make) -> None:
    nobody = {"DJANGO_SUPERUSER_USERNAME": "", "DJANGO_SUPERUSER_PASSWORD": ""}
    first = started(product(**nobody))
    shown = first.output.partition("Sign in as admin with the password ")[2].split()[0]
    assert "shown only this once" in first.output
    first.send(signal.SIGTERM)
    assert first.wait() == 0

    second = started(product(**nobody))
    assert shown not in second.output
    assert "changepassword admin" in second.output
    with signed_in(second, "admin", shown) as browser:
        assert browser.get("/").status_code == 200


def test_a_part_that_dies_is_started_again(product: Make) -> None:
    up = started(product())
    until(lambda: is_ready(up), 60, "readiness")
    before = up.parts()
    killed = {name: before[name] for name in ("valkey", "worker", "web")}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not killed.items() & up.parts().items(), 10, "the deaths to be seen")
    until(lambda: set(up.parts()) == PARTS, 30, "all parts to run again")
    for name in killed:
        assert f"{name} was ended by signal 9; it is started again" in up.output
    until(lambda: is_ready(up), 60, "readiness after the deaths")
    assert up.parts()["beat"] == before["beat"]


def test_not_even_kill_leaves_a_process_or_stops_the_next_start(product: Make) -> None:
    up = started(product())
    parts = up.parts()
    up.send(signal.SIGKILL)
    up.wait()
    until(lambda: not any(map(is_alive, parts.values())), 10, "the kernel to end the parts")
    again = started(product(PORT=str(up.port)))
    assert again.get("/healzth").status_code in (302, 404)


def test_a_second_signal_ends_it_at_once(product: Make) -> None:
    up = started(product())
    parts = up.parts()
    os.kill(parts["worker"], signal.SIGSTOP)  # it cannot end by itself now
    up.send(signal.SIGINT)
    until(lambda: not is_alive(parts["web"]), 10, "the first part to end")
    asked_at = time.monotonic()
    up.send(signal.SIGINT)
    assert up.wait() == 0
    assert time.monotonic() - asked_at < 2
    assert [pid for pid in parts.values() if is_alive(pid)] == []


def test_an_open_stream_does_not_hold_the_end(product: Make) -> None:
    up = started(product())
    with signed_in(up, "ada", PASSWORD) as browser:
        wanted = {"Accept": "text/event-stream"}
        with browser.stream("GET", "/runs/live/", headers=wanted) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            asked_at = time.monotonic()
            up.send(signal.SIGHUP)
            assert up.wait() == 0
    assert time.monotonic() - asked_at < 25  # a stream that held it would go on for ever


def test_a_taken_port_is_said_in_one_sentence(product: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = product(PORT=str(taken.getsockname()[1]))
        up.launch()
        assert up.wait() == 2
    assert up.lines == [
        f"runsheet: PORT {up.port} is taken by another program; set another, such as PORT=8001."
    ]


def test_a_data_folder_has_one_user(product: Make) -> None:
    first = started(product())
    assert first.process is not None
    second = product(PORT=str(free_port()))
    second.launch()
    assert second.wait() == 2
    assert len(second.lines) == 1
    assert second.lines[0].startswith("runsheet: RUNSHEET_DATA_DIR ")
    assert str(first.process.pid) in second.lines[0]
    assert first.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("DATABASE_URL", "postgresql://runsheet:do_not_print@127.0.0.1:1/runsheet"),
        ("DJANGO_SUPERUSER_USERNAME", "with a blank"),
        ("DJANGO_SUPERUSER_EMAIL", "not an address"),
        ("DJANGO_SUPERUSER_PASSWORD_FILE", "/nowhere"),
        ("CASEDEV_BASE_URL", "http://api.case.dev"),
    ],
)
def test_what_cannot_work_ends_the_start_with_its_name(
    product: Make, name: str, value: str
) -> None:
    given = {name: value}
    if name.endswith("_FILE"):
        given[name.removesuffix("_FILE")] = ""
    up = product(**given)
    up.launch()
    assert up.wait(60) == 2
    assert len(up.lines) == 1
    assert up.lines[0].startswith(f"runsheet: {name}")
    assert "do_not_print" not in up.output


def test_a_deep_data_folder_with_a_blank_in_its_name(product: Make, tmp_path: Path) -> None:
    deep = tmp_path / "a folder" / ("d" * 100)
    up = started(product(deep))
    until(lambda: is_ready(up), 60, "readiness")
    place = (deep / "valkey.url").read_text()
    assert not place.startswith(f"unix://{tmp_path}")
    up.send(signal.SIGTERM)
    assert up.wait() == 0
    assert not Path(place.removeprefix("unix://")).parent.exists()


def test_an_own_redis_and_a_stand_in_for_the_api(
    product: Make, tmp_path: Path, simulator: SimulatorServer
) -> None:
    up = product(REDIS_URL=os.environ["REDIS_URL"], CASEDEV_BASE_URL=simulator.url)
    simulator.start("nda_review")
    up.start()
    until(lambda: set(up.parts()) == {"web", "worker", "beat"}, 30, "the parts")
    assert f"Runs     of {simulator.url}" in up.output
    assert (tmp_path / "var" / "runsheet.sqlite3").exists()
    assert not (tmp_path / "var" / "demo.sqlite3").exists()
