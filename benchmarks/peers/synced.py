"""From the bytes of an answer to rows and the notice that they are there, as a poll of ours does.

`python -m benchmarks.peers.synced FILE CORES` prints steps a second on an empty SQLite database. No
request is in it, while the peers' figures hold the one in which they were sent what they store.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.peers.servers import cores, surroundings
from benchmarks.peers.upstream import Sent

ROUNDS = 5  # of which the first warms up and is not counted, as peers are warm by then


def rate(sent: Sent) -> float:
    """Steps a second, in a process of its own on the servers' cores."""
    numbers = ",".join(map(str, cores()[0]))
    words = [sys.executable, "-m", "benchmarks.peers.synced", str(sent.body), numbers]
    done = subprocess.run(
        words, cwd=ROOT, env=surroundings(), check=True, stdout=subprocess.PIPE, timeout=300
    )
    return float(done.stdout.splitlines()[-1])


def _measured(body: bytes) -> float:
    from django.utils import timezone

    from benchmarks import sync
    from runs import poller
    from runs.casedev.client import Answer
    from runs.models import Run

    told = sync.decode(body)
    known = str(told.id)
    taken = []
    for number in range(ROUNDS):
        now, run_id = timezone.now(), f"{known[:-1]}{number}"  # another run with the same steps
        run = Run.objects.create(run_id=run_id, listed_at=now, first_seen_at=now, changed_at=now)
        poller.schedule_new([run], now)
        answer = Answer(body.replace(known.encode(), run_id.encode()), now)
        taken.append(sync.store(run, answer))
    return len(told.steps) / statistics.median(taken[1:]) * 1000


def main() -> None:
    given, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(number) for number in core.split(",")})
    from benchmarks.section import prepare

    prepare("sqlite")
    body = Path(given).read_bytes()
    sys.stdout.write(f"{_measured(body)}\n")


if __name__ == "__main__":
    main()
