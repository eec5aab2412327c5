"""`make bench`: run sections, print the table, write the JSON."""

import datetime as dt
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Figure, Growth, Result
from benchmarks.machine import ROOT, machine
from benchmarks.sections import BOTH, SECTIONS
from benchmarks.table import table
from dashboard.processes import tie_to_parent


def main() -> int:
    """The exit code: 1 if a section could not be measured. A missed target is no failure."""
    given = _arguments()
    report: dict[str, Any] = {
        "began_at": dt.datetime.now(dt.UTC),
        "machine": machine(),
        "load_before": os.getloadavg(),
        "sections": [],
    }
    code = 0
    for name in given.only:
        for database in SECTIONS[name].databases:
            if database in given.databases:
                code |= _run(name, database, given, report)
    report["load_after"] = os.getloadavg()
    _print(report)
    into = (
        given.json or ROOT / "benchmarks" / "results" / f"{report['began_at']:%Y%m%d-%H%M%S}.json"
    )
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    print(f"\n{into}")
    return code


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="make bench", description=__doc__)
    names = ",".join(SECTIONS)
    parser.add_argument("--only", type=_some_of(SECTIONS), default=list(SECTIONS), help=names)
    parser.add_argument("--databases", type=_some_of(BOTH), default=list(BOTH))
    parser.add_argument("--full", action="store_true", help="also what takes many minutes")
    parser.add_argument("--quick", action="store_true", help="only whether it works")
    parser.add_argument("--seconds", type=float, help="how long what lasts shall last")
    parser.add_argument("--json", type=Path, help="where to write the results")
    return parser.parse_args()


def _some_of(known: Any) -> Any:
    def named(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise ValueError(unknown)
        return names

    return named


def _run(name: str, database: str, given: Namespace, report: dict[str, Any]) -> int:
    """Measure one section on one database; 0 if that went well."""
    sys.stderr.write(f"{name} on {database}: {SECTIONS[name].about}\n")
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as lines:
        words = [sys.executable, "-m", "benchmarks.section", name, database, lines.name]
        words += ["--full"] if given.full else []
        words += ["--quick"] if given.quick else []
        words += ["--seconds", str(given.seconds)] if given.seconds else []
        try:
            code = subprocess.run(
                words,
                cwd=ROOT,
                check=False,
                timeout=SECTIONS[name].limit,
                preexec_fn=tie_to_parent(os.getpid()),
            ).returncode
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{name} took more than {SECTIONS[name].limit:g} s\n")
            code = 1
        read = [msgspec.json.decode(line) for line in lines.read().splitlines()]
    ground: dict[str, str] = next((line for line in read if line["type"] == "ground"), {})
    results = [line for line in read if line is not ground]
    report["sections"].append(
        {"name": name, "database": database, "ground": ground, "results": results, "code": code}
    )
    return 1 if code else 0


def _print(report: dict[str, Any]) -> None:
    about = report["machine"]
    databases = {
        section["ground"].get("database", section["database"]) for section in report["sections"]
    }
    loads = " then ".join(f"{report[when][0]:.2f}" for when in ("load_before", "load_after"))
    print(
        f"\n{about['cores']} cores ({about['processor']}), load {loads}, "
        f"Python {about['python']}, {', '.join(sorted(databases))}, commit {about['commit']}\n"
    )
    kinds: Any = Figure | Growth
    pairs: list[tuple[str, Result]] = [
        (section["database"], msgspec.convert(line, kinds))
        for section in report["sections"]
        for line in section["results"]
    ]
    print(table(pairs))


if __name__ == "__main__":
    sys.exit(main())
