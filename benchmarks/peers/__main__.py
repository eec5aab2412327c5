"""`make bench-peers`: Runsheet, Arize Phoenix and MLflow on this machine, side by side."""

import datetime as dt
import os
import signal
import sys
import tempfile
import threading
import traceback
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.machine import ROOT, machine
from benchmarks.peers import environments, servers
from benchmarks.peers.environments import Environment, NotInstalled
from benchmarks.peers.passes import OutOfTime, Pass, Plan, tell
from benchmarks.peers.products import MLflow, Phoenix, Product, Runsheet
from benchmarks.peers.report import Report, table
from benchmarks.peers.upstream import Upstream
from runs.simulator.testing import SimulatorServer
from tests.product import descendants

USUAL = Plan((100, 1_000, 10_000), rounds=3, small=200)
QUICK = Plan((100,), rounds=1, small=10)
LONGEST = 20_000
MINUTES = 90.0  # after which all is ended


def main() -> int:
    """The exit code: 1 if not all could be measured."""
    given = _arguments()
    report = Report()
    about: dict[str, Any] = {
        "began_at": dt.datetime.now(dt.UTC),
        "machine": machine(),
        "load_before": os.getloadavg(),
    }
    servers.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        products = _measure(given, report)
    finally:
        servers.end(descendants(os.getpid()))
    about["load_after"] = os.getloadavg()
    about["versions"] = {product.name: product.version for product in products}
    _write(given, about, report, products)
    wanted = len({"runsheet", *given.peers})
    is_whole = len(products) == wanted and not any(line.missing for line in report.in_order())
    return 0 if is_whole and "ended_early" not in report.notes else 1


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only whether it works")
    parser.add_argument("--full", action="store_true", help=f"also runs of {LONGEST:,} steps")
    parser.add_argument("--sizes", type=_numbers, help="numbers of steps: 100,1000")
    parser.add_argument("--rounds", type=int, help="of which the median is told: 3")
    parser.add_argument("--small", type=int, help="small runs that fill the lists: 200")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=["phoenix", "mlflow"])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after which all is ended")
    parser.add_argument("--json", type=Path, help="where to write the results")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def plan(given: Namespace) -> Plan:
    base = QUICK if given.quick else USUAL
    sizes = given.sizes or base.sizes
    sizes += (LONGEST,) if given.full else ()
    return Plan(sizes, given.rounds or base.rounds, given.small or base.small)


def _measure(given: Namespace, report: Report) -> list[Product]:
    made = _environments(given.peers)
    own, browsers = servers.cores()
    tell(f"servers on core {own}, Chromium and what sends on {browsers}")
    os.sched_setaffinity(0, browsers)
    late = threading.Event()

    def stop() -> None:
        late.set()
        servers.end(descendants(os.getpid()))

    watch = threading.Timer(given.minutes * 60, stop)
    watch.daemon = True
    watch.start()
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as room, SimulatorServer() as case_dev:
        folder = Path(room)
        kinds = {"phoenix": Phoenix, "mlflow": MLflow}
        products: list[Product] = [Runsheet(made["runsheet"], case_dev.url)]
        products += [kinds[name](made[name]) for name in given.peers if name in made]
        one = Pass(plan(given), products, report, late.is_set)
        try:
            one.run(Upstream(case_dev, folder), folder)
        except OutOfTime:
            report.notes["ended_early"] = f"after {given.minutes:g} minutes"
        except Exception as error:  # noqa: BLE001 - what took long to measure is told all the same
            if late.is_set():  # what was killed may fail in any way
                report.notes["ended_early"] = f"after {given.minutes:g} minutes"
            else:
                traceback.print_exc()
                report.notes["ended_early"] = f"by {type(error).__name__}: {error}"
    watch.cancel()
    return products


def _environments(peers: list[str]) -> dict[str, Environment]:
    """Those that could be made, by name. PEERS_PYTHON is the Python to make them with."""
    python = os.environ.get("PEERS_PYTHON", sys.executable)
    made: dict[str, Environment] = {}
    for one in (environments.of_ours(), *map(environments.of_peer, peers)):
        try:
            one.make(python)
        except NotInstalled as error:
            tell(f"{one.name}: {error}")
        else:
            made[one.name] = one
    return made


def _write(
    given: Namespace, about: dict[str, Any], report: Report, products: list[Product]
) -> None:
    lines = report.in_order()
    titles = {product.name: f"{product.title} {product.version}" for product in products}
    loads = " then ".join(f"{about[when][0]:.2f}" for when in ("load_before", "load_after"))
    of = about["machine"]
    print(f"\n{of['cores']} cores ({of['processor']}), load {loads}, Python {of['python']}\n")
    print(table(lines, titles))
    for note in report.notes.values():
        print(f"\nNot whole: ended {note}")
    into = given.json or (
        ROOT / "benchmarks" / "results" / f"{about['began_at']:%Y%m%d-%H%M%S}-peers.json"
    )
    into.parent.mkdir(parents=True, exist_ok=True)
    whole = about | {"notes": report.notes, "lines": [*map(_as_json, lines)]}
    into.write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
    print(f"\n{into}")


def _as_json(line: Any) -> dict[str, Any]:
    return msgspec.to_builtins(line) | {"ratio": line.ratio, "is_met": line.is_met}  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())
