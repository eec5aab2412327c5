"""Answers of Case.dev as they are read: the documented ones, and everything else."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from runs import columns, text
from runs.casedev.errors import Unreadable
from runs.casedev.payloads import (
    AgentPage,
    AgentPayload,
    Details,
    EntryPayload,
    ListedRun,
    Notes,
    RunPage,
    StepPayload,
    read,
    read_part,
)
from tests.runs.answers import REFERENCE, Path, details, put, put_all


def raw_read(raw: bytes) -> tuple[Details, Notes]:
    notes: Notes = []
    return read(raw, Details, notes), notes


def test_the_reference_sample_is_read_to_the_last_field() -> None:
    read_, notes = raw_read(REFERENCE)
    assert notes == []
    run = columns.of_run(read_, notes)
    assert {name for name, value in run.items() if value is None} == {
        *("provider", "runtime_id", "runtime_state")  # newer than the page
    }
    assert columns.unreported(read_) == ["provider", "runtimeId", "runtimeState"]
    assert run["logs"] == [["opencode", "<string>"], ["runner", "<string>"]]
    assert run["issues"] == ["<string>"]
    assert run["summary_cost_micros"] == 123
    assert isinstance(read_.steps, list)
    step = columns.of_step(read_part(read_.steps[0], StepPayload, "s", notes), "s", notes)
    assert step == {
        "step_id": "<string>",
        "type": "output",
        "content": "<string>",
        "tool_name": "<string>",
        "tool_input": "null",
        "tool_output": "null",
        "duration_ms": 123,
        "timestamp": text.moment("2023-11-07T05:31:56Z"),
    }
    assert read_.usage
    assert isinstance(read_.usage.entries, list)
    sent = read_part(read_.usage.entries[0], EntryPayload, "e", notes)
    entry = columns.of_entry(sent, "e", notes)
    assert [name for name, value in entry.items() if value is None] == []
    assert entry["metadata"] == "null"
    assert entry["cost_micros"] == 123
    assert notes == []


def test_absent_null_zero_and_empty_are_four_things() -> None:
    absent, _ = raw_read(b"{}")
    null, _ = raw_read(b'{"usage": null, "steps": null, "prompt": null}')
    zero, _ = raw_read(b'{"usage": {"inputTokens": 0, "entries": []}, "steps": [], "prompt": ""}')
    assert (absent.usage, absent.steps, absent.prompt) == (UNSET, UNSET, UNSET)
    assert (null.usage, null.steps, null.prompt) == (None, None, None)
    assert zero.usage
    assert (zero.usage.input_tokens, zero.usage.entries, zero.steps) == (0, [], [])
    assert columns.of_run(zero, [])["prompt"] == ""
    assert "usage" in columns.unreported(absent)
    assert "usage" not in columns.unreported(null)
    assert "usage.summary" in columns.unreported(zero)
    assert "usage.inputTokens" not in columns.unreported(zero)


def test_inside_an_absent_object_only_the_object_is_unreported() -> None:
    read_, _ = raw_read(b'{"result": {"finalResponse": null}, "usage": {}}')
    told = columns.unreported(read_)
    assert [path for path in told if path.startswith("result")] == [
        *("result.logs", "result.output", "result.outputObjectIds")
    ]
    assert "usage.summary" in told
    assert "usage.summary.costMicros" not in told


# Every field as every type ------------------------------------------------------------------------

ODDITIES = [
    *("null", "true", "false", "0", "-0", "-1", "12", "1.5", "1.0", "-0.0", "1e3", "1e400"),
    *('""', '"text"', '"12"', '"--5"', '"1_000"', '"٣"', '"-"', '"NaN"', '"a\\u0000b"'),
    *('"\\ud800"', '"\\udfff\\ud800"', "[]", "{}", "[1, null]", '{"a": {"b": [1]}}', "NaN"),
    *("Infinity", "-Infinity", '[["a"]]', '{"\\ud800": "\\ud800"}', '[{"id": 1}]', "[NaN]"),
    "1" + "0" * 400,
    "9" * 5_000,
    "-" + "9" * 5_000,
    "1." + "0" * 5_000 + "1",
    "1e99999999999999999999",
    '"' + "x" * 5_000 + '"',
    "[" * 500 + "]" * 500,
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
]


def paths(kind: type[Struct], before: Path = ()) -> Iterator[Path]:
    """The wire path of every field of `kind`, in nested structs too."""
    for field in msgspec.structs.fields(kind):
        path = (*before, field.encode_name)
        yield path
        for inner in get_args(getattr(field.type, "__value__", field.type)):
            if isinstance(inner, type) and issubclass(inner, Struct):
                yield from paths(inner, path)


@pytest.mark.parametrize("path", [*paths(Details)], ids=str)
def test_a_field_of_a_run_may_be_anything(path: Path) -> None:
    for odd in ODDITIES:
        read_, notes = raw_read(put(details(), path, odd))
        columns.of_run(read_, notes)
        columns.unreported(read_)


@pytest.mark.parametrize("path", [*paths(StepPayload)], ids=str)
def test_a_field_of_a_step_may_be_anything(path: Path) -> None:
    for odd in ODDITIES:
        read_, notes = raw_read(put(details(), ("steps", 0, *path), odd))
        assert isinstance(read_.steps, list)
        for raw in read_.steps:
            columns.of_step(read_part(raw, StepPayload, "steps[1]", notes), "steps[1]", notes)


@pytest.mark.parametrize("path", [*paths(EntryPayload)], ids=str)
def test_a_field_of_an_entry_may_be_anything(path: Path) -> None:
    for odd in ODDITIES:
        read_, notes = raw_read(put(details(), ("usage", "entries", 0, *path), odd))
        assert read_.usage
        assert isinstance(read_.usage.entries, list)
        for raw in read_.usage.entries:
            columns.of_entry(read_part(raw, EntryPayload, "e", notes), "e", notes)


@pytest.mark.parametrize("odd", ODDITIES)
def test_steps_entries_runs_and_agents_may_be_anything_themselves(odd: str) -> None:
    notes: Notes = []
    places: list[tuple[str | int, ...]] = [("steps", 0), ("usage", "entries", 0)]
    for place in places:
        read_, _ = raw_read(put(details(), place, odd))
        assert read_.usage
        for raw in [*(read_.steps or []), *(read_.usage.entries or [])]:
            columns.of_step(read_part(raw, StepPayload, "s", notes), "s", notes)
            columns.of_entry(read_part(raw, EntryPayload, "e", notes), "e", notes)
    for name in ("runs", "hasMore", "nextCursor"):
        page = read(f'{{"{name}": {odd}}}'.encode(), RunPage, notes)
        for raw in page.runs or []:
            columns.of_listed_run(read_part(raw, ListedRun, "runs", notes), notes)
    for path in paths(ListedRun):
        listed = read(put(b"{}", path, odd), ListedRun, notes)
        columns.of_listed_run(listed, notes)
    agents = read(f'{{"agents": {odd}}}'.encode(), AgentPage, notes)
    for raw in agents.agents or []:
        columns.of_agent(read_part(raw, AgentPayload, "agents", notes))


@pytest.mark.parametrize(
    ("path", "odd", "value", "says"),
    [
        ("prompt", "42", "42", "prompt had an unexpected type (42)"),
        ("prompt", '{"text": "x"}', '{"text": "x"}', "it was taken as it makes sense"),
        ("status", "true", "true", "status had"),
        ("usage.inputTokens", '"45000"', 45000, "usage.inputTokens had"),
        ("usage.inputTokens", '"--5"', None, "it could not be used"),
        ("usage.inputTokens", "45000.0", 45000, None),
        ("usage.inputTokens", "1840.5", 1840, "usage.inputTokens had"),
        ("usage.inputTokens", "1e3", 1000, None),
        ("usage.inputTokens", "true", None, "it could not be used"),
        ("usage.inputTokens", "9" * 5000, None, "usage.inputTokens"),
        ("usage.inputTokens", "1" + "0" * 400, None, "usage.inputTokens"),
        ("usage.summary.costMicros", "9223372036854775807", None, "too large a number"),
        ("usage.summary.totalInputTokens", "1" + "0" * 16, None, "usage.summary.totalInputTokens"),
        ("result.finalResponse.issues", '"just one"', ["just one"], "issues had"),
        ("result.finalResponse.issues", '["a", 1, null, {"b": 2}]', ["a", "1", '{"b": 2}'], "had"),
        ("result.outputObjectIds", "7", None, "it could not be used"),
        ("result.logs", '"all in one"', [["logs", "all in one"]], "result.logs had"),
        ("result.logs", '{"a": 1, "b": null, "c": "\\ud800"}', None, "result.logs had"),
        ("result.finalResponse", '"done"', None, "result.finalResponse is not an object"),
        ("result", "[]", None, "result is not an object"),
        ("steps", '{"0": {}}', None, "steps had"),
        ("createdAt", "1736937000", None, "createdAt is not a time (1736937000)"),
        ("createdAt", '"soon"', None, "createdAt is not a time (soon)"),
        ("id", '"x\\u0000"', None, None),
        ("prompt", '"\\ud800 x"', "\ufffd x", "half characters"),
        ("result.finalResponse.issues", '["\\ud800"]', ["\ufffd"], "half"),
        ("result.logs", '{"\\ud800": "\\ud800"}', [["\ufffd", "\ufffd"]], "half"),
    ],
)
def test_a_wrong_type_is_taken_as_it_makes_sense_and_noted(
    path: str, odd: str, value: Any, says: str | None
) -> None:
    read_, notes = raw_read(put(details(), tuple(path.split(".")), odd))
    run = columns.of_run(read_, notes)
    assert says is None or says in " ".join(notes)
    if says is None:
        assert notes == []
    if value is not None:
        assert value in run.values()


def test_notes_are_no_longer_than_their_cap() -> None:
    notes: Notes = []
    for number in range(500):
        read_part(put(b"{}", ("content",), str(number)), StepPayload, "s", notes)
    assert len(notes) == 50


# What is no answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "it is not JSON"),
        (b"   ", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b'{"id": "a"', "it is not JSON"),
        (b'{"id": "a"} trailing', "it is not JSON"),
        (b'{"id": "a\nb"}', "it is not JSON"),
        (b'{"steps": [{"toolInput": "a\x00b"}]}', "it is not JSON"),
        (b'{"steps": [{"toolInput": "\\q"}]}', "it is not JSON"),
        (b'{"id": "a",}', "it is not JSON"),
        ('{"id": "a"}'.encode("utf-16"), "it is not JSON"),
        (b"null", "it is not a JSON object"),
        (b"[]", "it is not a JSON object"),
        (b'["a", NaN]', "it is not a JSON object"),
        (b'"text"', "it is not a JSON object"),
        (b"12", "it is not a JSON object"),
        (b"9" * 5000, "it is not a JSON object"),
        (b'{"steps": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}", "it is nested too deeply"),
        (b'{"new": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_not_one_json_object_is_unreadable_and_keeps_its_bytes(
    body: bytes, says: str
) -> None:
    with pytest.raises(Unreadable, match=says) as caught:
        raw_read(body)
    assert caught.value.body == body
    assert caught.value.sentence.startswith("The answer cannot be read: ")


def test_a_byte_order_mark_is_passed_over_in_silence() -> None:
    read_, notes = raw_read(b'\xef\xbb\xbf{"id": "a"}')
    assert (read_.id, notes) == ("a", [])


def test_bytes_that_are_not_utf8_are_shown_as_such_and_noted() -> None:
    read_, notes = raw_read(b'{"id": "a\xff", "steps": [{"toolInput": "\xfe"}]}')
    assert read_.id == "a\ufffd"
    assert notes == ["The answer held bytes that are not UTF-8; they show as \ufffd."]


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert raw_read(b'{"id": "a", "id": "b"}')[0].id == "b"
    assert raw_read(b'{"id": "a", "id": "b", "prompt": 7}')[0].id == "b"  # the lenient lane


def test_json_of_tools_stays_as_it_was_sent_to_the_byte() -> None:
    sent = '{ "b" : 1.10, "a": [ 12345678901234567890123456789, "\\u00e9 \\/ é" ] }'
    for other in ("", ', "content": 7', ', "content": "\\ud800"', ', "durationMs": "soon"'):
        body = f'{{"steps": [{{"toolInput": {sent}{other}}}]}}'.encode()
        read_, notes = raw_read(body)
        assert isinstance(read_.steps, list)
        step = read_part(read_.steps[0], StepPayload, "s", notes)
        assert columns.of_step(step, "s", notes)["tool_input"] == sent


def test_a_number_that_json_does_not_know_changes_nothing_but_itself() -> None:
    kept = '{ "b" : 1.10, "u": "\\u00e9 \\/" }'
    body = f'{{"steps": [{{"toolInput": {kept}}}, {{"toolOutput": [NaN, 1]}}]}}'.encode()
    read_, notes = raw_read(body)
    assert isinstance(read_.steps, list)
    first = columns.of_step(read_part(read_.steps[0], StepPayload, "s", []), "s", [])
    assert first["tool_input"] == kept
    second = columns.of_step(read_part(read_.steps[1], StepPayload, "s", []), "s", [])
    assert second["tool_output"] == '["NaN", 1]'
    assert notes == ["The answer held NaN, Infinity or half characters, which are no JSON."]


def test_unknown_words_are_kept_as_they_are() -> None:
    read_, notes = raw_read(put(details(), ("status",), '"paused"'))
    assert columns.of_run(read_, notes)["status"] == "paused"
    step = read_part(b'{"type": "reflection"}', StepPayload, "s", notes)
    assert columns.of_step(step, "s", notes)["type"] == "reflection"
    entry = read_part(b'{"kind": "storage", "statusCode": 99999999999}', EntryPayload, "e", notes)
    assert columns.of_entry(entry, "e", notes)["kind"] == "storage"
    assert notes == ["e.statusCode is 99999999999, which no status code is."]


def test_text_too_long_for_its_column_is_cut_and_noted() -> None:
    read_, notes = raw_read(put(details(), ("agentId",), json.dumps("a" * 5000)))
    assert columns.of_run(read_, notes)["agent_id"] == "a" * 199 + "…"
    assert notes == ["agentId has 5,000 characters and is shown cut."]


# Whatever may come --------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ALL_PATHS: list[Path] = [
    *paths(Details),
    *(("steps", 0, *path) for path in paths(StepPayload)),
    *(("usage", "entries", 0, *path) for path in paths(EntryPayload)),
]


@given(st.dictionaries(st.sampled_from(ALL_PATHS), ANY_JSON, max_size=4))
def test_any_json_under_any_key_is_read(values: dict[Path, Any]) -> None:
    raw_at = {path: json.dumps(value) for path, value in values.items()}
    body = put_all(details(), raw_at)
    read_, notes = raw_read(body)
    run = columns.of_run(read_, notes)
    json.dumps(run, default=str).encode("utf-8")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_words(body: bytes) -> None:
    with suppress(Unreadable):
        raw_read(body)
