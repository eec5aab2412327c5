"""JSON as it was sent: read without loss, drawn within limits."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rendering import json_html, payload
from runs import json_tree
from runs.json_tree import DEEPEST, Node, parse


def value(node: Node) -> object:
    """A node as Python sees it; objects as lists of pairs."""
    match node.kind:
        case "object":
            return [(key, value(child)) for key, child in node.children]
        case "array":
            return [value(child) for _, child in node.children]
        case "string":
            return node.text
        case "number":
            return float(node.text)
        case _:
            return {"true": True, "false": False, "null": None}[node.text]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_what_json_reads_is_read_the_same(sent):
    text = json.dumps(sent)
    node = parse(text)
    assert node is not None
    assert value(node) == json.loads(text, object_pairs_hook=list, parse_int=float)


@given(JSON, st.integers(0, 400))
def test_any_beginning_of_json_is_read_as_far_as_it_goes(sent, length):
    text = json.dumps(sent)
    part = text[:length]
    node = parse(part, is_whole=False)
    assert (node is None) == (
        not part.strip()
        or part in ("-",)
        or (part[0] in "tfn" and part not in ("true", "false", "null"))
    )
    if node:
        json_html.tree(node)


@given(st.text(alphabet='[]{}:,"\\\\ 0123456789.eE+-truefalsn\\n', max_size=60))
def test_what_json_refuses_is_refused(text):
    try:
        json.loads(text, strict=False)
    except ValueError:
        # Numbers are kept as they were written, so their spelling is not judged.
        loose = parse(text)
        assert loose is None or re.search(r"[0-9]", text)
    else:
        assert parse(text) is not None


def test_numbers_and_repeated_keys_stay_as_they_were_sent():
    node = parse('{"a": 12345678901234567890.10, "a": 1e999, "b": -0}')
    assert node is not None
    assert [(key, child.text) for key, child in node.children] == [
        ("a", "12345678901234567890.10"),
        ("a", "1e999"),
        ("b", "-0"),
    ]
    html = json_html.tree(node)
    assert "12345678901234567890.10" in html
    assert html.count("same key again") == 1


@pytest.mark.parametrize(
    "text", ["", "  ", "{", "[1,]", '{"a"}', "[1 2]", "nope", '{"a":1}x', "'a'"]
)
def test_text_that_is_no_json_is_none(text):
    assert parse(text) is None


def test_a_cut_text_tells_where_it_was_cut():
    node = parse('{"rows": [1, 2, {"text": "a long stor', is_whole=False)
    assert node is not None
    html = json_html.tree(node)
    assert "array, at least 3 items" in html
    assert "a long stor" in html
    assert html.count("goes on after what is shown here") == 3


@pytest.mark.parametrize("cut", ['"abc\\', '"abc\\u00', '"abc\\ud83d', '"abc\\ud83d\\u'])
def test_a_text_cut_within_an_escape_loses_only_that(cut):
    node = parse(cut, is_whole=False)
    assert node is not None
    assert (node.text, node.is_cut) == ("abc", True)


def test_half_characters_are_shown_and_do_not_break_the_page():
    node = parse('["\\ud800 half"]')
    assert node is not None
    json_html.tree(node).encode()
    assert "‹U+D800›" in json_html.tree(node)


def test_a_string_that_holds_json_is_drawn_as_json_and_says_so():
    text = json.dumps({"body": json.dumps({"vaults": [{"id": "v1"}]})})
    node = parse(text)
    assert node is not None
    html = json_html.tree(node)
    assert "JSON in a string" in html
    assert "<b>vaults</b>" in html


def test_long_texts_keep_their_lines():
    node = parse(json.dumps({"text": "first line\nsecond line"}))
    assert node is not None
    assert "first line\nsecond line</pre>" in json_html.tree(node)
    assert "text, 2 lines" in json_html.tree(node)


def test_a_large_array_is_windowed_and_counted():
    node = parse(json.dumps(list(range(500))))
    assert node is not None
    html = json_html.tree(node, values=300)
    assert "488 more</summary>" in html
    assert "200 more values not drawn here" in html


def test_every_value_of_a_small_one_is_there():
    node = parse(json.dumps({f"key{i}": f"value {i}" for i in range(200)}))
    assert node is not None
    html = json_html.tree(node, values=300)
    assert all(f'"value {i}"' in html for i in range(200))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 50_000,
        json.dumps({f"key{i}": i for i in range(100_000)}),
        "[" + "[1]," * 60_000 + "1]",
        json.dumps("[" * 30_000),
        json.dumps(json.dumps(json.dumps(json.dumps(json.dumps([1]))))),
        '"' + "\\u202e" * 40_000 + '"',
    ],
    ids=["deep", "deep-closed", "deep-keys", "wide", "many", "deep-string", "nested", "bidi"],
)
def test_hostile_json_draws_a_bounded_page(text):
    shown = payload.of_json(text[: payload.WINDOW], len(text), len(text))
    assert shown.html.count("<") < 4_000
    assert len(shown.html) < 400_000


def test_what_is_nested_too_deep_stays_one_text_with_its_length():
    node = parse("[" * (DEEPEST + 5) + "1" + "]" * (DEEPEST + 5))
    assert node is not None
    html = json_html.tree(node)
    assert "nested deeper than is drawn, 11 characters" in html


def test_markup_in_keys_and_values_is_text():
    hostile = '<img src=x onerror=alert(1)>" hx-get="/x'
    node = parse(json.dumps({hostile: [hostile, {hostile: hostile + "\n" + hostile}]}))
    assert node is not None
    html = json_html.tree(node)
    assert "<img" not in html
    assert not re.search(r"<[^>]*hx-get", html)


# Payloads ------------------------------------------------------------------------------------


def test_absent_null_and_empty_are_three_things():
    assert payload.of_json(None).absence == "not reported"
    assert payload.of_json("null").absence == "none"
    assert payload.of_json('""').absence == "an empty text"
    assert payload.of_json("{}").absence == ""
    assert payload.of_text(None).absence == "not reported"
    assert payload.of_text("").absence == "empty"


def test_the_form_is_told():
    assert payload.of_json('{"a": 1}').form == "JSON object, 1 key"
    assert payload.of_json("[1, 2]").form == "JSON array, 2 items"
    assert payload.of_json("17").form == "JSON"
    assert payload.of_json('"two\\nlines"').form == "text, 2 lines"
    assert payload.of_json('"{\\"a\\": 1}"').form == "JSON in a string: object, 1 key"
    assert payload.of_json("{broken").form == "text, not JSON"


def test_a_first_part_knows_that_it_is_one():
    shown = payload.of_json('{"a": [1, 2', size=9_000, length=8_000)
    assert (shown.is_cut, shown.shown, shown.size) == (True, 11, 9_000)
    assert json_tree.parse('{"a": [1, 2', is_whole=False) is not None
