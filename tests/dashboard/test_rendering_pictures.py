"""The run in time, and the running total of its cost, as numbers for SVG."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rendering import chart, strip
from dashboard.rendering.strip import BARS_AT_MOST, COLUMNS, WIDTH
from runs.tally import Fact, Tally

START = dt.datetime(2026, 11, 24, 10, 38, 26, tzinfo=dt.UTC)


@dataclass
class Step:
    position: int
    type: str = "tool_call"
    timestamp: dt.datetime | None = START
    duration_ms: int | None = None


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def tally(steps: list[Step], failed: Collection[int] = ()) -> Tally:
    made = Tally()
    made.add(
        Fact(
            *(step.position, step.position, step.type, "bash", step.timestamp, step.duration_ms),
            *(False, step.position in failed, None),
        )
        for step in steps
    )
    return made


def test_a_bar_stands_where_its_step_began_and_is_as_long_as_it_took():
    steps = [Step(1, "thinking", after(0)), Step(2, timestamp=after(50), duration_ms=25_000)]
    drawn = strip.draw(steps, (START, after(100)))
    first, second = drawn.bars
    assert (first.lane, float(first.x)) == ("think", 0)
    assert (second.lane, float(second.x)) == ("tool", 500)
    assert 248 < float(second.width) < 250


def test_failures_have_a_lane_colour_of_their_own():
    drawn = strip.draw([Step(1), Step(2, timestamp=after(5))], (START, after(10)), failed={2})
    assert [bar.lane for bar in drawn.bars] == ["tool", "fail"]


def test_a_call_at_work_reaches_to_now():
    drawn = strip.draw([Step(1, timestamp=after(10))], (START, None), after(20), unended={1})
    assert float(drawn.now_x) == WIDTH
    assert float(drawn.bars[0].x) + float(drawn.bars[0].width) > WIDTH - 2


def test_a_call_whose_outcome_was_never_told_reaches_to_the_end_in_another_colour():
    drawn = strip.draw([Step(1, timestamp=after(10))], (START, after(100)), unended={1})
    assert drawn.bars[0].lane == "open"
    assert float(drawn.bars[0].width) > 890
    assert drawn.now_x == ""


def test_calls_side_by_side_share_their_lane():
    steps = [Step(n, timestamp=after(10 + n), duration_ms=20_000) for n in (1, 2)]
    drawn = strip.draw(steps, (START, after(60)))
    assert len({bar.y for bar in drawn.bars}) == 2
    assert all(float(bar.height) < 6 for bar in drawn.bars)


def test_a_run_without_times_is_drawn_in_order_and_says_so():
    drawn = strip.draw([Step(n, timestamp=None) for n in range(1, 5)], (START, after(10)))
    assert not drawn.is_to_scale
    assert [bar.first for bar in drawn.bars] == [1, 2, 3, 4]


def test_steps_without_a_time_among_others_are_counted():
    drawn = strip.draw([Step(1), Step(2, timestamp=None)], (START, after(10)))
    assert (len(drawn.bars), drawn.untimed) == (1, 1)


def test_a_step_far_outside_the_run_does_not_squeeze_the_others():
    century = START.replace(year=2126)
    drawn = strip.draw(
        [Step(1, timestamp=after(5)), Step(2, timestamp=century)], (START, after(10))
    )
    assert float(drawn.bars[0].x) == 500
    assert drawn.outside == 1


def test_a_long_run_is_drawn_in_columns_that_name_every_step():
    steps = [Step(n, timestamp=after(n)) for n in range(1, 3_001)]
    drawn = strip.sketch(tally(steps, failed={1_500}), (START, after(3_000)))
    assert drawn.is_bucketed
    assert len(drawn.bars) <= COLUMNS
    assert drawn.bars[0].first == 1
    assert drawn.bars[-1].last == 3_000
    assert sum(bar.tools for bar in drawn.bars) == 3_000
    assert sum(bar.failed for bar in drawn.bars) == 1
    assert set(drawn.paths) == {"tool", "fail"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["thinking", "tool_call", "output", "tool_result", "else"]),
            st.one_of(st.none(), st.datetimes(timezones=st.just(dt.UTC))),
            st.one_of(st.none(), st.integers(-(10**6), 10**15)),
        ),
        max_size=20,
    ),
    st.one_of(st.none(), st.datetimes(timezones=st.just(dt.UTC))),
    st.one_of(st.none(), st.datetimes(timezones=st.just(dt.UTC))),
    st.sampled_from([0, BARS_AT_MOST]),
)
def test_whatever_the_times_every_bar_is_within_the_picture(rows, started, ended, more):
    steps = [Step(n, *row) for n, row in enumerate(rows, 1)]
    steps += [Step(len(rows) + n) for n in range(1, more + 1)]
    if more:
        drawn = strip.sketch(tally(steps), (started, ended))
    else:
        drawn = strip.draw(steps, (started, ended), unended={1})
    for bar in drawn.bars:
        assert 0 <= float(bar.x) <= WIDTH
        assert 0 < float(bar.width) <= WIDTH + 1
        assert float(bar.x) + float(bar.width) <= WIDTH + 1


# Costs ---------------------------------------------------------------------------------------


def test_one_point_or_no_cost_makes_no_curve():
    assert chart.draw([]) is None
    assert chart.draw([(START, 100)]) is None
    assert chart.draw([(START, 0), (after(5), 0)]) is None


def test_the_curve_ends_at_the_total_and_the_axis_at_a_round_number():
    drawn = chart.draw([(after(n), n * 1_000) for n in range(1, 186)])
    assert drawn is not None
    assert drawn.ticks[0] == ("0", 200_000)
    assert drawn.ticks[-1] == ("160", 0)
    assert drawn.rows[-1] == (after(185), 185_000)


def test_a_long_curve_is_thinned_and_says_so():
    drawn = chart.draw([(after(n), n) for n in range(1, 20_001)])
    assert drawn is not None
    assert drawn.is_thinned
    assert len(drawn.rows) <= chart.ROWS_AT_MOST
    assert drawn.rows[-1][1] == 20_000
    assert drawn.line.count("V") <= chart.POINTS_AT_MOST


@pytest.mark.parametrize("total", [1, 9, 10, 11, 99, 185_100, 999_999, 10**15])
def test_the_highest_point_is_never_above_the_axis(total):
    drawn = chart.draw([(START, 0), (after(1), total)])
    assert drawn is not None
    assert drawn.ticks[0][1] >= total
