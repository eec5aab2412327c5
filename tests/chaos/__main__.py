"""`python -m tests.chaos`: the long pass; `--short`: the rows that `make test` leaves out."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.chaos.rows import DATABASES, ROWS, SEED_OF_TESTS, Row

FOLDER = Path(__file__).parent


def main() -> int:
    """0 if every pass went well, and every row ran a case on each of its databases and met a limit
    of time, if it has any."""
    asked = _arguments()
    rows = [ROWS[name] for name in asked.rows.split(",")] if asked.rows else [*ROWS.values()]
    if asked.short:
        rows = [row for row in rows if row.within == "short"]
    seed = asked.seed or (SEED_OF_TESTS if asked.short else SystemRandom().randrange(10**9))
    print(f"seed {seed}: {', '.join(row.name for row in rows)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="runsheet-chaos-") as tally:
        codes = [
            _run(asked, database, chosen, seed, tally)
            for database in asked.database.split(",")
            if (chosen := [row for row in rows if database in row.databases()])
        ]
        is_whole = _print_tally(Path(tally), rows, asked.database.split(","))
    print(f"seed {seed}")
    return next((code for code in codes if code), 0 if is_whole else 5)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--rows", default="", help="names, separated by commas; else all")
    parser.add_argument("--minutes", type=float, default=0, help="for all; else the long counts")
    parser.add_argument("--each", type=float, default=0, help="seconds a row at most, but one case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", default="", help="run this one alone")
    parser.add_argument("--database", default=",".join(DATABASES))
    parser.add_argument("--processes", default="", help="of pytest")
    asked = parser.parse_args()
    # The short rows mostly wait for processes to start and to end.
    asked.processes = asked.processes or ("4" if asked.short else "2")
    return asked


def _run(asked: argparse.Namespace, database: str, rows: list[Row], seed: int, tally: str) -> int:
    print(f"\nRows on {database}", flush=True)
    environment = os.environ | {
        "RUNSHEET_TEST_DATABASE": database,
        "RUNSHEET_CHAOS": "short" if asked.short else "long",
        "RUNSHEET_CHAOS_ROWS": ",".join(row.name for row in rows),
        "RUNSHEET_CHAOS_SEED": str(seed),
        "RUNSHEET_CHAOS_TALLY": tally,
        "RUNSHEET_CHAOS_CASE": asked.case,
    }
    passes = len(asked.database.split(","))
    if asked.minutes:
        shares = max(1, -(-len(rows) // int(asked.processes))) * passes
        environment["RUNSHEET_CHAOS_MINUTES"] = str(asked.minutes / shares)
    timeout = "600" if asked.short else "0"
    if asked.each:
        environment["RUNSHEET_CHAOS_MINUTES"] = str(asked.each / 60)
    # One at a time, the longest first, so that no long one is left to the last.
    command = [sys.executable, "-m", "pytest", "-n", asked.processes, "--maxschedchunk", "1"]
    command += ["-q", "--durations=12", "-o", f"timeout={timeout}", "-m", "row", str(FOLDER)]
    return subprocess.run(command, check=False, env=environment).returncode


def _print_tally(folder: Path, rows: list[Row], databases: list[str]) -> bool:
    """The table of what ran; whether no row was left out, and none proved nothing of its limits."""
    told = [json.loads(place.read_text(encoding="utf-8")) for place in folder.iterdir()]
    is_whole = True
    print("\nrow           database     cases  limits met  waived  slowest")
    for row in rows:
        for database in (name for name in row.databases() if name in databases):
            ours = [one for one in told if (one["row"], one["database"]) == (row.name, database)]
            ran, met, waived = (sum(one[what] for one in ours) for what in ("ran", "met", "waived"))
            slowest = max((one["slowest"] for one in ours), default=0.0)
            line = f"{row.name:<13} {database:<12} {ran:>5}"
            if met or waived:
                line += f"  {met:>10}  {waived:>6}  {slowest:>5.1f} s"
            fault = fault_of(ran, met, waived)
            print(line + (f"   <- {fault}" if fault else ""))
            is_whole = is_whole and not fault
    return is_whole


def fault_of(ran: int, met: int, waived: int) -> str:
    """Why a row that met no error has proved too little; "" if it has not."""
    if not ran:
        return "none"
    if waived and not met:
        return "every limit was waived, so nothing is known of them: run it on a calmer machine"
    return ""


if __name__ == "__main__":
    sys.exit(main())
