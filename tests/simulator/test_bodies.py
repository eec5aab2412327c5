"""Large answers are made once and kept, plain and gzipped, and stay exact while they grow."""

import gzip

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.simulator.body import BLOCK_BYTES, Block, Body, FragmentLog
from runs.simulator.clock import ManualClock
from runs.simulator.synthetic import synthetic
from runs.simulator.testing import SimulatorServer
from runs.simulator.world import World


def test_a_large_body_is_the_same_object_until_something_changes() -> None:
    world = World(clock=ManualClock())
    run = world.start("synthetic", steps=10_000, step_bytes=400, seconds=100)
    world.advance(60)
    body = run.body(world.now_ms())
    plain, gzipped = body.plain(), body.gzipped()
    world.advance(0.001)
    again = run.body(world.now_ms())
    assert again is body
    assert again.plain() is plain
    assert again.gzipped() is gzipped
    world.advance(1)
    assert run.body(world.now_ms()) is not body


def test_finished_blocks_are_neither_encoded_nor_deflated_again() -> None:
    world = World(clock=ManualClock())
    run = world.start("synthetic", steps=2_000, step_bytes=2_000, seconds=100)
    world.advance(50)
    first = run.body(world.now_ms())
    first.gzipped()
    world.advance(10)
    second = run.body(world.now_ms())
    second.gzipped()
    kept = {id(part) for part in first._parts} & {id(part) for part in second._parts}
    large = [part for part in first._parts if len(part.raw) >= BLOCK_BYTES]
    assert len(large) >= 5
    assert kept >= {id(part) for part in large}


def test_a_finished_body_holds_every_step() -> None:
    world = World(clock=ManualClock())
    run = world.start("synthetic", steps=10_000, step_bytes=100, seconds=10)
    world.advance(10)
    body = run.body(world.now_ms())
    details = msgspec.json.decode(body.plain())
    assert details["status"] == "completed"
    assert len({step["id"] for step in details["steps"]}) == 10_000
    assert details == run.details(world.now_ms())
    assert gzip.decompress(body.gzipped()) == body.plain()


def test_synthetic_steps_have_the_size_that_was_asked() -> None:
    played = synthetic(1, steps=50, step_bytes=4_000, seconds=30)
    sizes = [len(step.content or step.tool_output) for step in played.steps]
    assert len(played.steps) == 50
    assert set(sizes) == {4_000}
    assert played.length_ms == 30_000


def test_a_hundred_thousand_steps_share_their_texts() -> None:
    played = synthetic(1, steps=100_000, step_bytes=4_000)
    assert len(played.steps) == 100_000
    assert len({id(step.content or step.tool_output) for step in played.steps}) < 100


@given(
    texts=st.lists(st.text(max_size=300), max_size=30),
    unfinished=st.lists(st.text(max_size=30), max_size=3),
    sizes=st.integers(1, 400),
)
def test_fragments_make_one_list_and_one_gzip_stream(
    texts: list[str], unfinished: list[str], sizes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runs.simulator.body.BLOCK_BYTES", sizes)
        log = FragmentLog()
        for text in texts:
            log.append(msgspec.json.encode(text))
        parts = log.parts([msgspec.json.encode(text) for text in unfinished])
    body = Body([Block(b"["), *parts, Block(b"]")])
    assert msgspec.json.decode(body.plain()) == texts + unfinished
    assert gzip.decompress(body.gzipped()) == body.plain()
    assert len(body) == len(body.plain())


def test_a_growing_run_is_served_exactly_over_http(
    server: SimulatorServer, http: httpx.Client
) -> None:
    run = server.start("synthetic", steps=3_000, step_bytes=1_000, seconds=30)
    seen = 0
    for _ in range(8):
        server.advance(4)
        details = http.get(f"/agent/v1/run/{run.id}/details").json()
        assert details == run.details(server.world.now_ms())
        assert len(details["steps"]) > seen or details["status"] == "completed"
        seen = len(details["steps"])
    assert seen == 3_000
