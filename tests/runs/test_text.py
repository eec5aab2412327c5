"""Untrusted text and JSON on their way into columns."""

import datetime as dt
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs import text

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_clean_text_is_the_same_text() -> None:
    for sound in ("", "plain", "é 漢字 \U0001f600", "tab\tand\nline", "\x01\x7f\u2028"):
        assert text.clean(sound) == sound


def test_what_no_database_takes_is_shown_as_what_it_was() -> None:
    assert text.clean("a\x00b") == "a␀b"
    assert text.clean("a\ud800b\udfff") == "a\ufffdb\ufffd"
    assert text.clean("\ud83d\ude00") == "\ufffd\ufffd"


@given(ANY_TEXT)
def test_clean_text_keeps_its_length_and_can_be_encoded(raw: str) -> None:
    clean = text.clean(raw)
    assert len(clean) == len(raw)
    assert "\x00" not in clean
    clean.encode("utf-8")
    assert text.clean(clean) == clean


def test_text_is_fitted_with_an_ellipsis() -> None:
    assert text.fit("12345", 5) == "12345"
    assert text.fit("123456", 5) == "1234…"


def test_numbers_are_kept_as_far_as_sums_of_them_fit_a_column() -> None:
    assert text.whole(0) == 0
    assert text.whole(10**15) == 10**15
    assert text.whole(-(10**15)) == -(10**15)
    assert text.whole(10**15 + 1) is None
    assert text.whole(-(10**400)) is None


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2025-01-15T10:30:00Z", "2025-01-15T10:30:00+00:00"),
        (" 2025-01-15T10:30:00.123Z ", "2025-01-15T10:30:00.123000+00:00"),
        ("2025-01-15T10:30:00.123456789Z", "2025-01-15T10:30:00.123456+00:00"),
        ("2025-01-15T10:30:00", "2025-01-15T10:30:00+00:00"),
        ("2025-01-15T10:30:00+02:00", "2025-01-15T08:30:00+00:00"),
        ("2025-01-15T00:30:00-23:59", "2025-01-16T00:29:00+00:00"),
        ("2025-01-15", "2025-01-15T00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_times_are_read_in_utc(written: str, moment: str) -> None:
    assert text.moment(written) == dt.datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "written",
    [
        *("", "now", "yesterday", "2025-13-01T00:00:00Z", "2025-01-15T25:00:00Z", "1736937000"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2025-01-15T10:30:60Z"),
        *("٢٠٢٥-01-15", "2025-01-15T10:30:00+99:00", "\x00"),
    ],
)
def test_what_is_no_time_is_none(written: str) -> None:
    assert text.moment(written) is None


@given(ANY_TEXT)
def test_no_text_is_too_odd_to_be_asked_for_a_time(written: str) -> None:
    moment = text.moment(written)
    assert moment is None or moment.tzinfo is dt.UTC


def test_bytes_become_utf8_without_a_mark() -> None:
    assert text.utf8(b"\xef\xbb\xbf{}") == b"{}"
    assert text.utf8("é".encode()) == "é".encode()
    assert text.utf8(b"a\xffb") == "a\ufffdb".encode()
    assert text.utf8(b"\xed\xa0\x80") == "\ufffd\ufffd\ufffd".encode()  # a surrogate, encoded


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        (b'{ "a":[NaN, -Infinity,Infinity ] }', b'{ "a":["NaN", "-Infinity","Infinity" ] }'),
        (b'{"b" : "NaN\\" NaN","c\\u00e9":1.10}', b'{"b" : "NaN\\" NaN","c\\u00e9":1.10}'),
        (b'{"a": 1}', b'{"a": 1}'),
        (b'"never closed NaN', b'"never closed NaN'),
        (b'"\\ud83d\\uDE00 \\ud83d \\uDe00"', b'"\\ud83d\\uDE00 \\ufffd \\ufffd"'),
        (b'"\\ud83d\\ud83d\\ude00"', b'"\\ufffd\\ud83d\\ude00"'),
        (b'"\\\\ud83d \\\\\\ud83d"', b'"\\\\ud83d \\\\\\ufffd"'),
        (b'"\\ud83"', b'"\\ud83"'),
    ],
)
def test_what_encoders_write_and_json_does_not_know_is_mended_in_its_place(
    raw: bytes, mended: bytes
) -> None:
    assert text.mended(raw) == mended


@given(st.recursive(ANY_TEXT | st.floats() | st.integers(), st.lists, max_leaves=10))
def test_what_the_encoder_of_python_writes_is_json_once_it_is_mended(value: Any) -> None:
    mended = text.mended(json.dumps(value).encode())
    msgspec.json.decode(mended)
    assert text.mended(mended) == mended


def test_mending_takes_time_in_proportion() -> None:
    for piece in (b'"', b"\\", b'"\\', b"\\ud8", b"-", b"NaN", b'\\"', b'"\\ud800'):
        began = time.monotonic()
        text.mended(piece * 200_000)
        assert time.monotonic() - began < 2
