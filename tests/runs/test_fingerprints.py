"""What tells one answer, and one list, from another."""

import threading
import tracemalloc
import zlib
from collections import Counter
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from msgspec import Raw

from runs import bulk, fingerprints, poller
from runs.claims import claim
from runs.models import Fingerprint, Payload, Poll, Run, Step
from tests.runs.answers import step
from tests.runs.polling import Api, RecordedStatements, due_run, make_due, now_details, poll_of


def raws(*items: Any) -> list[Raw]:
    return [Raw(msgspec.json.encode(item)) for item in items]


def changed(old: list[Raw], new: list[Raw]) -> list[int]:
    return fingerprints.differing(fingerprints.of_items(old), fingerprints.of_items(new), new)


def test_a_block_that_differs_is_found_and_no_other() -> None:
    old = raws(*range(100))
    for place in (1, 16, 17, 96, 97, 100):
        new = [*old]
        new[place - 1] = Raw(b'"else"')
        found = changed(old, new)
        assert place in found
        assert len(found) <= fingerprints.BLOCK
        assert {(one - 1) // fingerprints.BLOCK for one in found} == {
            (place - 1) // fingerprints.BLOCK
        }


def test_what_is_appended_makes_nothing_before_it_differ() -> None:
    for known in (0, 1, 15, 16, 17, 64, 100):
        old = raws(*range(known))
        assert changed(old, old) == []
        assert changed(old, [*old, *raws("more", "and more")]) == []
        assert fingerprints.count(fingerprints.of_items(old)) == known


def test_items_cannot_be_cut_otherwise_to_look_the_same() -> None:
    assert fingerprints.of_items(raws(1, 23)) != fingerprints.of_items(raws(12, 3))
    assert fingerprints.of_items(raws()) != b""


@pytest.fixture
def _another_rule(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """As after an upgrade that derives other rows from the same bytes."""
    monkeypatch.setattr(fingerprints, "DERIVED", fingerprints.DERIVED + 1)
    fingerprints._mac.cache_clear()


@pytest.fixture(autouse=True)
def _own_key() -> Any:
    yield
    fingerprints._mac.cache_clear()


@pytest.mark.django_db
def test_after_a_change_of_what_is_derived_every_answer_is_read_once_more(
    request: pytest.FixtureRequest,
) -> None:
    run = due_run()
    body = now_details(run.run_id, steps=[step(number) for number in range(40)])
    api = Api(body)
    assert api.poll() == 1
    # What an earlier version stored otherwise than this one would.
    sent = run.steps.get(position=3).content
    run.steps.filter(position=3).update(content="as it was derived before")
    make_due(run)
    with RecordedStatements() as statements:
        api.poll()
    assert not any("runs_step" in sql for sql in statements)  # the same bytes: nothing is read
    request.getfixturevalue("_another_rule")
    for is_read in (True, False):
        make_due(run)
        with RecordedStatements() as statements:
            api.poll()
        assert any("runs_step" in sql for sql in statements) is is_read
    assert run.steps.get(position=3).content == sent
    assert run.steps.count() == 40


@pytest.mark.django_db
def test_rows_without_a_fingerprint_are_found_again_and_not_stored_twice() -> None:
    """As after an upgrade from a version that kept none."""
    run = due_run()
    steps = [step(number) for number in range(20)]
    Api(now_details(run.run_id, steps=steps)).poll()
    before = list(run.steps.values_list("pk", flat=True))
    Fingerprint.objects.all().delete()
    make_due(run)
    Api(now_details(run.run_id, steps=[*steps, step(20)])).poll()
    assert poll_of(run).failures == 0
    assert list(run.steps.values_list("pk", flat=True))[:20] == before
    assert run.steps.count() == 21


@pytest.mark.django_db
def test_bodies_kept_by_zlib_are_read_as_ever() -> None:
    run = due_run()
    payload = Payload(run=run, kind=Payload.Kind.GOOD, size=2, observed_at=timezone.now())
    payload.body = zlib.compress(b"{}")
    assert payload.text == b"{}"


@pytest.mark.django_db
def test_answers_without_news_are_written_together_and_only_where_the_fence_holds() -> None:
    runs = [due_run() for _ in range(12)]
    api = Api(now_details("", guidance="same"))
    assert api.poll() == 12
    make_due(*runs)
    held = claim(timezone.now(), 12)
    overtaken = runs[5].pk
    Poll.objects.filter(pk=overtaken).update(fence=F("fence") + 1)
    before = Poll.objects.get(pk=overtaken).last_ok_at
    with RecordedStatements() as statements:
        reports = poller.gather(held, poller.Round(api.client))
    outcomes = Counter(report.outcome for report in reports)
    assert outcomes == {poller.Outcome.UNCHANGED: 11, poller.Outcome.OVERTAKEN: 1}
    assert len([sql for sql in statements if "runs_poll" in sql]) <= 2
    late = Poll.objects.filter(due_at__lt=timezone.now())
    assert [poll.pk for poll in late] == [overtaken]
    assert Poll.objects.get(pk=overtaken).last_ok_at == before
    assert Poll.objects.exclude(leased_until=None).count() == 1
    assert Run.objects.filter(version=1).count() == 12


@pytest.mark.django_db
def test_one_slow_answer_keeps_no_other_waiting() -> None:
    runs = [due_run() for _ in range(6)]
    body = now_details("")
    Api(body).poll()
    make_due(*runs)
    slow, others_are_written = runs[0], threading.Event()

    def answered(run_id: str) -> bytes:
        if run_id == slow.run_id:
            assert others_are_written.wait(60)
        return body

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        told = execute(sql, *rest)
        if sql.startswith('UPDATE "runs_poll" SET "lane"'):
            others_are_written.set()
        return told

    with connection.execute_wrapper(note):
        assert Api(answered).poll() == 6
    assert others_are_written.is_set()


@pytest.mark.django_db
def test_copied_rows_are_the_rows_that_are_inserted_one_by_one() -> None:
    """On PostgreSQL many rows go by COPY; whatever they hold, nothing changes on the way."""
    odd = ["", "\\N", "\\.", "tab\tand\nline\rend", "\\\\x41", '"quoted"', "é😀\u2028", None]
    run, other = due_run(), due_run()
    moment = timezone.now()

    def row(of: Run, place: int) -> dict[str, Any]:
        text = odd[place % len(odd)]
        values = dict.fromkeys((field.attname for field in Step._meta.concrete_fields), None)
        return values | {
            "run_id": of.pk,
            "position": place,
            "type": "output",
            "content": text,
            "tool_input": text,
            "tool_name": text,
            "duration_ms": (None, 0, -1, 2**60)[place % 4],
            "timestamp": (None, moment)[place % 2],
            "changed_version": 1,
            "unanswered": place % 2 == 0,
            "failed": False,
        }

    count = bulk.FEW * 3
    bulk.insert(Step, [row(run, place) for place in range(1, count + 1)])
    for place in range(1, count + 1):
        bulk.insert(Step, [row(other, place)])
    names = [
        field.attname
        for field in Step._meta.concrete_fields
        if field.attname not in ("id", "run_id")
    ]
    assert list(run.steps.values_list(*names)) == list(other.steps.values_list(*names))
    assert run.steps.count() == count
    assert run.steps.get(position=1).content == "\\N"


@pytest.mark.django_db
def test_rows_are_inserted_as_they_are_made_and_never_held_all_together() -> None:
    run, count, size = due_run(), 2_000, 20_000
    values = dict.fromkeys((field.attname for field in Step._meta.concrete_fields), None)
    values |= {"run_id": run.pk, "type": "output", "unanswered": False, "failed": False}
    values |= {"changed_version": 1, "tool_input": "null", "tool_output": "null"}
    places = range(1, count + 1)
    rows = (values | {"position": place, "content": "x" * (size + place)} for place in places)
    tracemalloc.start()
    try:
        assert bulk.insert(Step, rows) == count
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert run.steps.count() == count
    assert most < count * size / 2
