"""Which stored rows the items of a new list are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runs.alignment import Alignment, Item, Stored, align


def stored(*items: Any, vanished: tuple[int, ...] = ()) -> list[Stored]:
    """Rows with pks from 101 at positions from 1; an item is an id, or an id and a mark."""
    return [
        Stored(100 + place, place, identifier, mark, vanished=place in vanished)
        for place, (identifier, mark) in enumerate(map(_named, items), start=1)
    ]


def sent(*items: Any) -> list[Item]:
    return [Item(*_named(item)) for item in items]


def _named(item: Any) -> tuple[str | None, Any]:
    return item if isinstance(item, tuple) else (item, None)


def at(time: int) -> tuple[None, tuple[str, int]]:
    """An item without an id, known by its time."""
    return (None, ("output", time))


def outcome(matched: dict[int, int], new: list[int], vanished: list[int]) -> Alignment:
    return Alignment(matched, new, vanished)


def test_an_unchanged_list_keeps_its_rows() -> None:
    assert align(stored("a", "b"), sent("a", "b")) == outcome({1: 101, 2: 102}, [], [])


def test_what_is_appended_is_new() -> None:
    assert align(stored("a"), sent("a", "b", "c")) == outcome({1: 101}, [2, 3], [])


def test_an_empty_list_lets_all_vanish_and_a_full_one_brings_all_back() -> None:
    assert align(stored("a", "b"), []) == outcome({}, [], [101, 102])
    assert align(stored("a", "b", vanished=(1, 2)), sent("a", "b")) == outcome(
        {1: 101, 2: 102}, [], []
    )


def test_whatever_is_removed_the_others_stay_themselves() -> None:
    rows = stored("a", "b", "c")
    assert align(rows, sent("b", "c")) == outcome({1: 102, 2: 103}, [], [101])
    assert align(rows, sent("a", "c")) == outcome({1: 101, 2: 103}, [], [102])
    assert align(rows, sent("a", "b")) == outcome({1: 101, 2: 102}, [], [103])


def test_without_ids_the_others_are_known_by_their_marks() -> None:
    rows = stored(at(1), at(2), at(3))
    assert align(rows, sent(at(2), at(3))) == outcome({1: 102, 2: 103}, [], [101])
    assert align(rows, sent(at(1), at(3))) == outcome({1: 101, 2: 103}, [], [102])
    assert align(rows, sent(at(1), at(9), at(2), at(3))) == outcome(
        {1: 101, 3: 102, 4: 103}, [2], []
    )


def test_ids_that_are_made_anew_with_each_answer_are_no_hindrance() -> None:
    rows = stored(("x1", ("t", 1)), ("x2", ("t", 2)), ("x3", ("t", 3)))
    fresh = sent(("y1", ("t", 1)), ("y2", ("t", 2)), ("y3", ("t", 3)), ("y4", ("t", 4)))
    assert align(rows, fresh) == outcome({1: 101, 2: 102, 3: 103}, [4], [])
    assert align(rows, fresh[1:]) == outcome({1: 102, 2: 103}, [3], [101])


def test_where_ids_hold_another_id_is_another_item() -> None:
    rows = stored(("a", "m"), ("b", "n"))
    assert align(rows, sent(("a", "m"), ("c", "n"))) == outcome({1: 101}, [2], [102])


def test_items_that_change_places_keep_their_rows() -> None:
    assert align(stored("a", "b", "c"), sent("c", "a", "b")) == outcome(
        {1: 103, 2: 101, 3: 102}, [], []
    )


def test_ids_held_twice_are_worth_nothing_and_the_place_decides() -> None:
    assert align(stored("a", "a"), sent("a", "a", "a")) == outcome({1: 101, 2: 102}, [3], [])
    rows = stored(("a", "m"), ("b", "n"))
    assert align(rows, sent(("a", "m"), ("a", "o"))) == outcome({1: 101}, [2], [102])


def test_an_id_that_comes_or_goes_at_the_same_place_is_no_other_item() -> None:
    assert align(stored(None, "b"), sent("a", "b")) == outcome({1: 101, 2: 102}, [], [])
    assert align(stored("a", "b"), sent(None, "b")) == outcome({1: 101, 2: 102}, [], [])


def test_a_vanished_row_comes_back_by_its_id() -> None:
    rows = stored("a", "b", "c", vanished=(2,))
    assert align(rows, sent("a", "b", "c")) == outcome({1: 101, 2: 102, 3: 103}, [], [])


def test_a_vanished_row_is_not_taken_for_another_item_at_its_place() -> None:
    rows = stored(at(1), (None, ("thinking", 2)), vanished=(2,))
    assert align(rows, sent(at(1), at(3))) == outcome({1: 101}, [2], [])


def test_a_present_row_goes_before_a_vanished_one_of_the_same_id_or_place() -> None:
    rows = [
        Stored(1, 1, "a", None, vanished=True),
        Stored(2, 1, "a", None, vanished=False),
        Stored(3, 2, None, "t", vanished=True),
        Stored(4, 2, None, "t", vanished=False),
    ]
    assert align(rows, [Item("a", None), Item(None, "t")]) == outcome({1: 2, 2: 4}, [], [])


identifiers = st.none() | st.sampled_from(["a", "b", "c", "d"])
marks = st.tuples(st.sampled_from("xy"), st.none() | st.integers(1, 3))
items = st.lists(st.tuples(identifiers, marks), max_size=7)


@given(st.lists(st.tuples(identifiers, marks, st.booleans()), max_size=7), items)
def test_every_item_and_every_row_is_accounted_for_once(rows: Any, fresh: Any) -> None:
    place = 0
    before = []
    for number, (identifier, mark, vanished) in enumerate(rows):
        place += not vanished
        before.append(Stored(number, max(place, 1), identifier, mark, vanished))
    result = align(before, [Item(*item) for item in fresh])
    places = [*result.matched, *result.new]
    assert sorted(places) == list(range(1, len(fresh) + 1))
    taken = [*result.matched.values(), *result.vanished]
    assert len(set(taken)) == len(taken)
    present = {row.pk for row in before if not row.vanished}
    assert present <= set(taken) <= {row.pk for row in before}
    assert not {row.pk for row in before if row.vanished} & set(result.vanished)


@given(items)
def test_the_same_list_again_moves_nothing(fresh: Any) -> None:
    rows = stored(*fresh)
    again = align(rows, [Item(*item) for item in fresh])
    assert again == outcome({n: 100 + n for n in range(1, len(fresh) + 1)}, [], [])


@given(st.lists(st.integers(0, 50), unique=True), st.data())
def test_with_ids_what_is_kept_keeps_its_row_whatever_happens_around_it(
    numbers: list[int], data: Any
) -> None:
    rows = stored(*((f"id{number}", number) for number in numbers))
    after = data.draw(st.permutations([*numbers, 99, 98]))
    after = after[: data.draw(st.integers(0, len(after)))]
    result = align(rows, sent(*((f"id{number}", number) for number in after)))
    pk_of = {row.identifier: row.pk for row in rows}
    for place, number in enumerate(after, start=1):
        assert result.matched.get(place) == pk_of.get(f"id{number}")
