"""Whatever answers may hold can be stored."""

import json
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runs import columns
from runs.casedev.payloads import Details, EntryPayload, StepPayload, read, read_part
from runs.models import Run, Step, UsageEntry
from tests.runs.answers import details, put, put_all, step
from tests.runs.syncing import dump, new_run, take
from tests.runs.test_payloads import ALL_PATHS, ANY_JSON, ODDITIES

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return new_run()


# Whatever may come --------------------------------------------------------------------------------


PATHS = [path for path in ALL_PATHS if path != ("id",)]
LEAVES = [path for path in PATHS if not any(path == other[: len(path)] != other for other in PATHS)]


@pytest.mark.parametrize("odd", ODDITIES)
def test_whatever_stands_in_the_fields_can_be_stored(run: Run, odd: str) -> None:
    take(run, put_all(details(), dict.fromkeys(LEAVES, odd)))
    for path in set(PATHS) - set(LEAVES):
        body = put(details(), path, odd)
        take(run, body)
        assert not take(run, body).is_new, path
    json.dumps(dump(), cls=_Bytes)


@pytest.mark.parametrize("odd", ODDITIES)
def test_every_database_gives_back_what_the_columns_were_given(run: Run, odd: str) -> None:
    body = put_all(details(), dict.fromkeys(LEAVES, odd))
    take(run, body)
    read_ = read(body, Details, [])
    told = columns.of_run(read_, [])
    for name in told.keys() - {"status"}:
        assert getattr(run, name) == told[name]
    assert isinstance(read_.steps, list)
    assert read_.usage
    assert isinstance(read_.usage.entries, list)
    told = columns.of_step(read_part(read_.steps[0], StepPayload, "s", []), "s", [])
    assert Step.objects.values(*told).get() == told
    told = columns.of_entry(read_part(read_.usage.entries[0], EntryPayload, "e", []), "e", [])
    assert UsageEntry.objects.values(*told).get() == told


class _Bytes(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        return o.hex() if isinstance(o, bytes) else super().default(o)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
)
@given(st.lists(st.dictionaries(st.sampled_from(PATHS), ANY_JSON, max_size=3), max_size=3))
def test_any_answers_one_after_the_other_can_be_stored(
    run: Run, answers: list[dict[tuple[Any, ...], Any]]
) -> None:
    with transaction.atomic():
        for values in answers:
            raw_at = {path: json.dumps(value) for path, value in values.items()}
            body = put_all(details(), raw_at)
            take(run, body)
            assert not take(run, body).is_new
        transaction.set_rollback(True)


LISTS = st.lists(st.tuples(st.sampled_from([None, "a", "b", "c", "d"]), st.integers(0, 3)))


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
)
@given(st.lists(LISTS, min_size=1, max_size=4))
def test_after_any_lists_the_present_rows_are_the_last_list(
    run: Run, lists: list[list[tuple[str | None, int]]]
) -> None:
    with transaction.atomic():
        for number, given_list in enumerate(lists):
            sent = [
                step(time, id=identifier, content=f"{identifier} {time} {number % 2}")
                for identifier, time in given_list
            ]
            take(run, details(sent))
            stored = [
                (one.position, one.step_id or None, one.content)
                for one in run.steps.filter(vanished_at=None).order_by("position")
            ]
            assert [content for _, _, content in stored] == [one["content"] for one in sent]
            assert [place for place, _, _ in stored] == [*range(1, len(sent) + 1)]
            assert run.step_count == len(sent)
            assert not take(run, details(sent)).is_new
        transaction.set_rollback(True)
