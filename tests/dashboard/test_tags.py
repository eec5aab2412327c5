"""How values become words: one table a filter."""

import datetime as dt
from types import SimpleNamespace

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from dashboard.templatetags import runsheet
from runs.models import Run

NOW = dt.datetime(2026, 11, 24, 10, 42, 7, tzinfo=dt.UTC)


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


@pytest.mark.parametrize(
    ("micros", "places", "words"),
    [
        (None, 4, "not reported"),
        (0, 4, "$0.00"),
        (185_100, 4, "$0.1851"),
        (185_150, 4, "$0.1852"),
        (185_149, 4, "$0.1851"),
        (3, 4, "$0.000003"),
        (49, 4, "$0.000049"),
        (50, 4, "$0.0001"),
        (999_999, 4, "$1.0000"),
        (1_000_000, 2, "$1.00"),
        (4_999, 2, "$0.004999"),
        (5_000, 2, "$0.01"),
        (-185_100, 4, "−$0.1851"),
        (-1, 4, "−$0.000001"),
        (1_234_567_891_234, 4, "$1,234,567.8912"),
        (2**63 - 1, 6, "$9,223,372,036,854.775807"),
    ],
)
def test_money_is_exact_and_never_rounded_away(micros, places, words):
    assert runsheet.money_text(micros, places) == words


@given(st.integers(-(2**63), 2**63 - 1))
def test_six_places_of_money_hold_every_micro_dollar(micros):
    words = runsheet.money_text(micros, 6)
    digits = words.replace("$", "").replace(",", "").replace("−", "-")
    whole, _, rest = digits.partition(".")
    assert int(whole + rest.ljust(6, "0")) == micros


def test_money_carries_its_exact_value_in_the_title():
    html = runsheet.money(185_149)
    assert 'value="185149"' in html
    assert 'title="$0.185149, 185,149 micro-dollars"' in html
    assert ">$0.1851<" in html


def test_money_that_was_not_reported_is_no_zero():
    assert runsheet.money(None) == '<span class="absent">not reported</span>'
    assert "$" not in runsheet.money(None)


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (None, "not reported"),
        (0, "0 s"),
        (12, "12 ms"),
        (99, "99 ms"),
        (100, "0.1 s"),
        (449, "0.4 s"),
        (450, "0.5 s"),
        (22_700, "22.7 s"),
        (59_949, "59.9 s"),
        (59_950, "1:00"),
        (221_000, "3:41"),
        (3_727_000, "1:02:07"),
        (86_399_499, "23:59:59"),
        (273_600_000, "3 d 4 h"),
        (-400, "−0.4 s"),
    ],
)
def test_durations_in_milliseconds(ms, words):
    assert runsheet.duration_ms(ms) == words


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (None, "not reported"),
        (seconds(0), "0 s"),
        (seconds(0.4), "0.4 s"),
        (seconds(9.94), "9.9 s"),
        (seconds(9.95), "10 s"),
        (seconds(47.4), "47 s"),
        (seconds(59.6), "1:00"),
        (seconds(221), "3:41"),
        (seconds(3727), "1:02:07"),
        (dt.timedelta(days=3, hours=4), "3 d 4 h"),
        (seconds(-47), "−47 s"),
    ],
)
def test_durations_as_spans(span, words):
    assert runsheet.duration(span) == words


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (None, "not reported"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (18_400, "18.4 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (4_000_000, "4.0 MB"),
        (40_123_456_789, "40.1 GB"),
    ],
)
def test_sizes(octets, words):
    assert runsheet.size(octets) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(None, "not reported"), (0, "0"), (48_238, "48,238"), (-1_500, "−1,500")],
)
def test_counts(number, words):
    assert runsheet.count(number) == words


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (0, "just now"),
        (4, "just now"),
        (5, "5 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (86_400, "1 day ago"),
        (200_000, "2 days ago"),
        (-12, "in 12 s"),
        (-100_000, "in 1 day"),
    ],
)
def test_distances_in_time(past, words):
    assert runsheet.ago_text(NOW - seconds(past), NOW) == words


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (NOW, "10:42:07"),
        (NOW - dt.timedelta(days=1), "23 Nov 10:42"),
        (NOW - dt.timedelta(days=365), "24 Nov 2025"),
    ],
)
def test_moments_are_told_as_short_as_now_allows(moment, words):
    assert runsheet.when_text(moment, NOW) == words


def test_a_moment_says_its_zone_and_its_distance_in_the_title():
    html = runsheet.when(NOW - seconds(180), NOW)
    assert 'datetime="2026-11-24T10:39:07Z"' in html
    assert 'title="2026-11-24 10:39:07 UTC, 3 min ago"' in html
    assert runsheet.when(None, NOW) == '<span class="absent">not reported</span>'
    assert "never" in runsheet.ago(None, NOW)


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "not reported"), ("", "none"), ([], "none"), ({}, "none"), (0, "0"), ("x", "x")],
)
def test_absent_empty_and_zero_stay_three_things(value, words):
    html = Template("{% load runsheet %}{{ value|reported }}").render(Context({"value": value}))
    assert words in html
    assert (">none<" in html) == (words == "none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not reported"),
        ("short", "short"),
        ("two\n  lines\tof it", "two lines of it"),
        ("a" * 30, "a" * 20 + "…"),
        ("these are several words in a row", "these are several…"),
        ("spoken\u202eneddih", "spoken‹RLO›neddih"),
    ],
)
def test_openings_are_one_line(text, words):
    assert runsheet.opening(text, 20) == words


@given(st.text(max_size=300), st.integers(10, 60))
def test_an_opening_is_never_longer_than_asked(text, length):
    line = runsheet.opening(text, length)
    assert len(line) <= length + 1
    assert "\n" not in line


@pytest.mark.parametrize("status", [*Run.Status.values])
def test_each_status_has_an_icon_and_its_word(status):
    html = Template("{% load runsheet %}{% status_mark status %}").render(
        Context({"status": status})
    )
    assert f'class="status {status}"' in html
    assert f"<span>{status}</span>" in html
    assert "<path" in html


def test_an_unknown_status_is_shown_as_it_is_and_said_to_be_unknown():
    template = Template("{% load runsheet %}{% status_mark status %}")
    html = template.render(Context({"status": "<b>paused</b>"}))
    assert "&lt;b&gt;paused&lt;/b&gt;" in html
    assert "unknown status" in html
    assert "no status yet" in template.render(Context({"status": ""}))


def test_elapsed_time_counts_on_only_while_a_run_is_active():
    run = Run(status="running", started_at=NOW - seconds(221), listed_at=NOW)
    assert runsheet.elapsed(run, NOW) == (
        '<span class="num" data-since="2026-11-24T10:38:26Z">3:41</span>'
    )
    run.status, run.completed_at = "completed", NOW
    assert runsheet.elapsed(run, NOW) == '<span class="num">3:41</span>'
    run.completed_at = None
    assert "not reported" in runsheet.elapsed(run, NOW)


def test_a_run_that_nobody_started_shows_how_long_it_waits():
    run = Run(status="queued", listed_at=NOW - seconds(61))
    html = runsheet.elapsed(run, NOW)
    assert "Waiting to be started" in html
    assert ">1:01<" in html


def test_a_lookup_in_a_mapping_tolerates_absent_keys():
    names = {"a": "Alice"}
    assert [runsheet.at(names, key) for key in ("a", "b", None)] == ["Alice", None, None]


def test_a_page_of_a_run_is_where_the_audience_says():
    audience = SimpleNamespace(url=lambda page, run: f"/there/{page}/{run.run_id}/")
    context = Context({"run": Run(run_id="run_1"), "audience": audience})
    html = Template('{% load runsheet %}{% page_of run "cost" %}').render(context)
    assert html == "/there/cost/run_1/"


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("23 Nov 2025 10:42:07", "2025-11-23T10:42:07Z"),
        ("29 Feb 2024 10:42:07", "2024-02-29T10:42:07Z"),
        ("30 Feb 2024 10:42:07", ""),
    ],
)
def test_a_moment_of_another_year_is_told_with_it(told: str, moment: str) -> None:
    page = Template("{% load choices %}{{ sentence|timed:now }}")
    shown = f'<time datetime="{moment}">{told}</time>' if moment else told
    context = Context({"sentence": f"final, as of {told}", "now": NOW})
    assert page.render(context) == f"final, as of {shown}"


def test_a_sentence_about_freshness_tells_its_moments_as_times_and_escapes_the_rest() -> None:
    page = Template("{% load choices %}{{ sentence|timed:now }}")
    sentence = "as of 10:40:07; <b>API</b> is not answering since 23 Nov 10:39:00"
    assert page.render(Context({"sentence": sentence, "now": NOW})) == (
        'as of <time datetime="2026-11-24T10:40:07Z">10:40:07</time>; &lt;b&gt;API&lt;/b&gt; is '
        'not answering since <time datetime="2026-11-23T10:39:00Z">23 Nov 10:39:00</time>'
    )
