"""How soon a callback is answered, by the clock of whoever calls, beside a bare ASGI answer."""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256

import httpx
from django.utils import timezone

from benchmarks.figures import Bench, Figure, quantile, value
from benchmarks.poll import make_runs
from benchmarks.streams import Server
from runs import callbacks
from runs.models import Callback, Run

CALLS, FEW_CALLS = 1_000, 50
RUNS = 200


def measure(bench: Bench) -> Iterator[Figure]:
    make_runs(RUNS, 1)
    runs = list(Run.objects.all())
    now = timezone.now()
    tokens = [callbacks.token(run.run_id) for run in runs]
    Callback.objects.bulk_create(
        Callback(run=run, token_digest=sha256(token.encode()).digest(), registered_at=now)
        for run, token in zip(runs, tokens, strict=True)
    )
    paths = [f"/callbacks/{token}/" for token in tokens]
    calls = FEW_CALLS if bench.quick else CALLS
    ours = _called("dashboard.asgi:application", paths, calls, 204)
    floor = _called("benchmarks.bare:application", ["/tick"], calls, 200)
    for share in (0.5, 0.99):
        yield Figure(
            what=f"a callback answered, p{share * 100:g} of {calls:,}",
            ours=quantile(ours, share),
            floor=quantile(floor, share),
            floor_is="bare ASGI",
            targets=(value(50.0),) if share > 0.5 else (),
        )


def _called(application: str, paths: list[str], calls: int, expected: int) -> list[float]:
    """Milliseconds of each call, one after the other, each to the next of `paths`."""
    server = Server(application, PUBLIC_URL="http://localhost")  # else none is expected
    try:
        server.wait()
        with closing(httpx.Client(base_url=f"http://127.0.0.1:{server.port}")) as client:
            taken = []
            for path in itertools.islice(itertools.cycle(paths), calls + 20):
                begun = time.perf_counter()
                answer = client.post(path, json={}, headers={"host": "localhost"})
                taken.append((time.perf_counter() - begun) * 1000)
                if answer.status_code != expected:
                    raise RuntimeError(f"{path} answered {answer.status_code}")
        return taken[20:]  # without those that wait for what is loaded at the first
    finally:
        server.end()
