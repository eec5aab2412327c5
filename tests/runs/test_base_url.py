"""Where the key may be sent: as the setting is written, as its name resolves, and once pinned."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runs.casedev import pin, places
from runs.casedev.client import Client, client
from runs.casedev.errors import KeyRefused, Unreachable
from runs.models import KeyHost
from runs.secret import Secret
from runs.simulator.testing import SimulatorServer
from tests import environment
from tests.product import ROOT

REFUSED = [
    # Not https, or with what does not belong there.
    *("http://api.case.dev", "http://93.184.216.34", "https://user:pw@api.case.dev"),
    *("https://user@api.case.dev", "https://api.case.dev/?a=1", "https://api.case.dev/#x"),
    "https://api.case.dev\\@127.0.0.1",
    # This machine, in every form that a resolver takes.
    *("https://127.0.0.1", "https://127.0.0.1:8443", "https://127.1", "https://127.0.1"),
    *("https://2130706433", "https://0x7f000001", "https://0x7f.0.0.1", "https://0177.0.0.1"),
    *("https://017700000001", "https://127.255.255.254", "https://0", "https://0.0.0.0"),
    *("https://[::1]", "https://[::]", "https://[::ffff:127.0.0.1]", "https://[::ffff:7f00:1]"),
    *("https://[::127.0.0.1]", "https://[0:0:0:0:0:ffff:7f00:0001]", "https://[64:ff9b::7f00:1]"),
    *("https://[2002:7f00:1::]", "https://localhost", "https://localhost.", "https://LOCALHOST"),
    *("https://a.localhost", "https://127.0.0.1."),
    # Networks that are not the internet.
    *("https://10.0.0.1", "https://172.16.5.4", "https://192.168.1.1", "https://100.64.0.1"),
    *("https://0xa000001", "https://167772161", "https://012.0.0.1", "https://10.1"),
    *("https://[fc00::1]", "https://[fd12:3456::1]", "https://[::ffff:10.0.0.1]"),
    *("https://198.18.0.1", "https://192.0.2.1", "https://203.0.113.5", "https://240.0.0.1"),
    *("https://255.255.255.255", "https://224.0.0.1", "https://[ff02::1]", "https://[2001:db8::1]"),
    # Link-local, and where clouds keep their credentials.
    *("https://169.254.169.254", "https://2852039166", "https://0xa9fea9fe"),
    *("https://[fe80::1]", "https://[fe80::1%25eth0]", "https://[::ffff:169.254.169.254]"),
    *("https://[fd00:ec2::254]", "https://metadata.google.internal", "https://metadata"),
    *("https://casedev", "https://db.local", "https://api.corp", "https://router.lan"),
    # Letters that a resolver turns into others.
    *("https://１２７.0.0.1", "https://ⓛocalhost", "https://api。case。dev", "https://%6cocalhost"),
]
ACCEPTED = [
    *("https://api.case.dev", "https://api.case.dev/base", "https://api.case.dev:8443"),
    *("https://API.CASE.DEV", "https://casedev.example.org", "https://93.184.216.34"),
    *("https://[2606:4700::1111]", "https://internal.example.org", "https://local.example.org"),
]


@pytest.mark.parametrize("address", REFUSED)
def test_the_key_is_sent_nowhere_but_to_the_internet_by_https(address: str) -> None:
    assert places.refusal(address, may_be_this_machine=False)


@pytest.mark.parametrize("address", ACCEPTED)
@pytest.mark.parametrize("embedded", [True, False])
def test_a_public_address_is_taken(address: str, embedded: bool) -> None:
    assert places.refusal(address, may_be_this_machine=embedded) == ""


@pytest.mark.parametrize("address", [a for a in REFUSED if not places.is_this_machine(a)])
def test_under_make_run_only_this_machine_itself_is_added(address: str) -> None:
    assert places.refusal(address, may_be_this_machine=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_under_make_run_a_stand_in_on_this_machine_is_taken(host: str) -> None:
    assert places.refusal(f"http://{host}:9000", may_be_this_machine=True) == ""


def settings_of(folder: Path, **given: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "import dashboard.settings"],
        cwd=ROOT,
        env=environment.bare() | {"RUNSHEET_DATA_DIR": str(folder)} | given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "address", ["https://169.254.169.254", "https://0x7f.1", "https://[::ffff:127.0.0.1]"]
)
def test_a_refused_address_ends_the_start_with_one_sentence(tmp_path: Path, address: str) -> None:
    ended = settings_of(tmp_path, CASEDEV_API_KEY="sk_case_x", CASEDEV_BASE_URL=address)
    assert ended.returncode == 2
    assert ended.stderr == "runsheet: CASEDEV_BASE_URL must not be an address inside a network.\n"


# Names that lead somewhere else ------------------------------------------------------------------


def leads_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """The resolver gives these addresses, one list a question, the last one for ever."""
    left = list(answers)

    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        family = {
            address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in found
        }
        return [(family[a], socket.SOCK_STREAM, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


INNER = [
    *(["127.0.0.1"], ["10.0.0.8"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"]),
    *(["fe80::1%eth0"], ["fd00:ec2::254"], ["0.0.0.0"], ["93.184.216.34", "127.0.0.1"], ["x"]),
]


@pytest.mark.parametrize("found", INNER, ids=str)
def test_a_name_that_leads_into_a_network_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    connected: list[Any] = []
    leads_to(monkeypatch, found)
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: connected.append(a))
    with pytest.raises(Unreachable):
        Client("https://casedev.example.org", "sk_case_x").runs()
    assert connected == []


def test_a_name_that_changes_its_mind_is_asked_once_and_taken_at_that_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was looked at is what is connected to; there is no second look to be answered anew."""
    connected: list[str] = []

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    leads_to(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    monkeypatch.setattr(socket, "create_connection", connect)
    asked = Client("https://casedev.example.org", "sk_case_x")
    for _ in range(2):
        with pytest.raises(Unreachable):
            asked.runs()
    assert connected == ["93.184.216.34"]


def test_localhost_that_leads_away_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, ["93.184.216.34"])
    with pytest.raises(Unreachable):
        Client("http://localhost:9", "sk_case_x").runs()


def test_a_stand_in_on_this_machine_is_reached() -> None:
    with SimulatorServer() as server:
        assert Client(server.url, server.key).runs().body.startswith(b"{")


# A key belongs to a host -------------------------------------------------------------------------

KEY = Secret("sk_case_pinned")
HERE, THERE = "https://api.case.dev", "https://casedev.example.org"


@pytest.mark.django_db
def test_a_key_that_was_used_with_one_host_is_not_sent_to_another() -> None:
    assert pin.refusal(HERE, KEY, "") == ""
    assert pin.refusal(HERE, KEY, "") == ""
    why = pin.refusal(THERE, KEY, "")
    assert why.startswith("CASEDEV_BASE_URL now names casedev.example.org")
    assert "CASEDEV_CONFIRM_HOST=casedev.example.org" in why
    assert "sk_case" not in why
    assert pin.refusal(THERE, KEY, "another.example.org")
    assert pin.refusal(THERE, Secret("sk_case_of_its_own"), "") == ""
    assert pin.refusal(THERE, KEY, "CaseDev.example.org") == ""
    assert pin.refusal(THERE, KEY, "") == ""
    assert pin.refusal(HERE, KEY, "")


@pytest.mark.django_db
def test_another_port_is_another_host() -> None:
    assert pin.refusal(HERE, KEY, "") == ""
    assert pin.refusal(f"{HERE}:8443", KEY, "")
    assert pin.refusal(f"{HERE}/base", KEY, "") == ""


@pytest.mark.django_db
def test_a_stand_in_on_this_machine_is_neither_asked_about_nor_remembered() -> None:
    assert pin.refusal("http://127.0.0.1:9000", KEY, "") == ""
    assert not KeyHost.objects.exists()


@pytest.mark.django_db
def test_the_database_holds_no_key(settings: Any) -> None:
    pin.refusal(HERE, KEY, "")
    held = bytes(KeyHost.objects.get().fingerprint)
    assert KEY.reveal().encode() not in held
    settings.SECRET_KEY = "another"
    assert pin.fingerprint(KEY) != held


@pytest.mark.django_db
def test_a_client_asks_nothing_of_a_host_that_nobody_confirmed(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: connected.append(a))
    pin.refusal(HERE, KEY, "")
    settings.CASEDEV_BASE_URL, settings.CASEDEV_API_KEY = THERE, KEY
    client.cache_clear()
    with pytest.raises(KeyRefused, match="CASEDEV_CONFIRM_HOST"):
        client().runs()
    assert connected == []
    client.cache_clear()


def test_a_start_with_another_host_ends_with_one_sentence(tmp_path: Path) -> None:
    def prepare(base: str, **more: str) -> "subprocess.CompletedProcess[str]":
        given = {
            "RUNSHEET_DATA_DIR": str(tmp_path),
            "CASEDEV_API_KEY": "sk_case_CANARY",
            "CASEDEV_BASE_URL": base,
            "DEBUG": "on",
        }
        return subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env=environment.bare() | given | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert prepare(HERE).returncode == 0
    ended = prepare(THERE)
    assert ended.returncode == 2
    assert ended.stderr.startswith("runsheet: CASEDEV_BASE_URL now names casedev.example.org")
    assert ended.stderr.count("\n") == 1
    assert "CANARY" not in ended.stderr + ended.stdout
    assert prepare(THERE, CASEDEV_CONFIRM_HOST="casedev.example.org").returncode == 0
    assert prepare(THERE).returncode == 0
