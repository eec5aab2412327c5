"""What a rule takes out of a text, however it is spelt there, and what it leaves alone."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.disclosure import folding, rules
from dashboard.disclosure.redaction import LONGEST, MARK, Redactor
from dashboard.disclosure.rules import Rules, Unfit


def cleared(text: str, *words: str, kinds: tuple[str, ...] = ()) -> str:
    return Redactor(Rules(words=words, kinds=kinds)).text(text)


@pytest.mark.parametrize(
    "spelt",
    [
        "Acme Corp",
        "ACME CORP",
        "acme\tcorp",
        "Acme  \n Corp",
        "Acme\xa0Corp",
        "A\u200bcme\xad Co\u2060rp",
        "\uff21\uff43\uff4d\uff45 \uff23\uff4f\uff52\uff50",  # full width
        "Acme\u0301 Corp",
        "\\u0041cme Corp",
        "\\\\u0041cme\\\\u0020Corp",
        "Acme\\nCorp",
        "&#65;cme&nbsp;Corp",
        "&amp;#x41;cme Corp",
        "Acme%20Corp",
        "%2541cme%2520Corp",
        "**Ac**me _Corp_",
        "`Acme` ~~Corp~~",
        "Ac\\me Corp",
        "\x1b[31mAc\x1b[0mme Corp",
        "Acme\u2028Corp",
    ],
)
def test_a_word_is_found_however_it_is_spelt(spelt: str) -> None:
    for around in ("{}", "of {} and", "x{}x", "({})"):
        shown = cleared(around.format(spelt), "acme corp")
        assert MARK in shown
        assert "cme" not in shown.lower()


@pytest.mark.parametrize(
    ("word", "spelt"),
    [
        ("Müller", "Mu\u0308ller"),
        ("Straße", "STRASSE"),
        ("office", "o\ufb03ce"),  # a ligature
        ("O'Brien", "O\u2019Brien"),
        ("e-discovery", "e\u2011discovery"),
        ("café", "xn--caf-dma"),
        ("snake_case", "snake_case"),
        ("C:\\name", "C:\\name"),
        ("İstanbul", "istanbul"),
        ("ﬁle", "FILE"),
    ],
)
def test_forms_of_one_word_are_one(word: str, spelt: str) -> None:
    assert cleared(f"see {spelt}.", word) == f"see {MARK}."


def test_a_mark_does_not_tell_how_long_or_how_often() -> None:
    assert cleared("by Al and by Bartholomew", "Al", "Bartholomew") == f"by {MARK} and by {MARK}"
    assert cleared("Hale Hale Hale, then", "Hale") == f"{MARK}, then"


def test_what_no_rule_names_stays_byte_for_byte() -> None:
    text = "A \\u00e9 &amp; %20 **b** \x1b[1m\u200b\n\t{}"
    assert cleared(text, "nowhere") == text
    assert Redactor(Rules()).json('{ "a" : 1.0e5 }') == '{ "a" : 1.0e5 }'


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "j.hale@firm.example"),
        ("email", "j.hale\uff20firm.example"),
        ("email", "hale&#64;firm.example"),
        ("phone", "(404) 555-0199"),
        ("phone", "+1 404.555.0199"),
        ("phone", "+44 20 7946 0018"),
        ("ssn", "123-45-6789"),
        ("ssn", "123\u201145\u20116789"),
        ("amount", "$1,250,000.00"),
        ("amount", "$ 3 million"),
        ("amount", "\uff04900"),
        ("amount", "2.5 million dollars"),
        ("amount", "EUR 40,000"),
        ("id", "vault_acme-2024"),
        ("id", "obj_MSA_2021"),
    ],
)
def test_kinds_of_things_are_found_by_their_form(kind: str, text: str) -> None:
    assert cleared(f"see {text}, then", kinds=(kind,)) == f"see {MARK}, then"


def test_json_keeps_its_shape() -> None:
    redactor = Redactor(Rules(words=("Hale",), fields=("command", "toolInput.a.b")))
    given = {
        "command": ["rm", "x"],
        "Hale": 1,
        "n": [1, None, True, "of HALE"],
        "a": {"b": {"c": 1}, "d": 2},
        "s": json.dumps({"command": "x", "deep": json.dumps({"who": "hale"})}),
    }
    shown = json.loads(redactor.json(json.dumps(given), "toolInput") or "")
    assert shown == {
        "command": MARK,
        MARK: 1,
        "n": [1, None, True, f"of {MARK}"],
        "a": {"b": MARK, "d": 2},
        "s": json.dumps({"command": MARK, "deep": json.dumps({"who": MARK})}),
    }


def test_a_number_that_a_rule_names_is_taken_out() -> None:
    shown = Redactor(Rules(words=("5551234",))).json('{"n": 5551234, "m": 555}')
    assert json.loads(shown or "") == {"n": MARK, "m": 555}


def test_json_that_spells_a_word_over_two_values_is_withheld_whole() -> None:
    assert Redactor(Rules(words=('a", "b',))).json('["a", "b"]') == json.dumps(MARK)


def test_json_that_cannot_be_read_is_searched_as_text_and_withheld_from_field_rules() -> None:
    broken = '{"command": "of Hale'
    assert "Hale" not in (Redactor(Rules(words=("Hale",))).json(broken) or "")
    assert Redactor(Rules(fields=("command",))).json(broken) == json.dumps(MARK)
    deep = "[" * 5_000 + '"Hale"' + "]" * 5_000
    assert "Hale" not in (Redactor(Rules(words=("Hale",))).json(deep) or "")


def test_what_is_too_long_to_look_through_is_withheld() -> None:
    long = "x" * (LONGEST + 1)
    assert cleared(long, "Hale") == MARK
    assert Redactor(Rules()).text(long) == long


@pytest.mark.parametrize("field", ["prompt", "Prompt", "result.output", "finalResponse.summary"])
def test_a_field_is_named_by_the_end_of_its_path(field: str) -> None:
    redactor = Redactor(Rules(fields=(field,)))
    paths = {
        "prompt": ("prompt",),
        "Prompt": ("prompt",),
        "result.output": ("result", "output"),
        "finalResponse.summary": ("result", "finalResponse", "summary"),
    }
    assert redactor.text("x", *paths[field]) == MARK
    assert redactor.text("x", "guidance") == "x"


def test_steps_are_named_by_numbers_and_ranges() -> None:
    redactor = Redactor(Rules(steps=rules.steps("3, 5-7, 20-")))
    hidden = [number for number in range(1, 25) if redactor.hides_step(number)]
    assert hidden == [3, 5, 6, 7, 20, 21, 22, 23, 24]


@pytest.mark.parametrize("text", ["x", "0", "7-3", "1-2-3", "-4", "1.5", "9999999999"])
def test_what_names_no_steps_is_refused(text: str) -> None:
    with pytest.raises(Unfit, match="names no steps"):
        rules.steps(text)


@pytest.mark.parametrize("text", ["a", "*", "**", "\u200b\u200b", "x" * 201])
def test_a_word_that_cannot_be_found_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        rules.words(text)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=200) | st.text(
    st.sampled_from("aAbB \\u0041&#;%*_`\n\u200b\u0301\uff21ßﬁ\x1b[m{}\"'"), max_size=200
)
WORDS = st.text(st.sampled_from("aAbBéßﬁ -_.'0"), min_size=2, max_size=6).filter(
    lambda word: len(folding.plain(word).strip()) >= 2
)


@given(TEXTS, st.lists(WORDS, min_size=1, max_size=4))
@settings(max_examples=500)
def test_nothing_that_is_named_can_be_found_afterwards(text: str, words: list[str]) -> None:
    redactor = Redactor(Rules(words=tuple(words)))
    shown = redactor.text(text)
    for view in (shown, folding.spelt_out(shown)):
        left = folding.plain(view.replace(MARK, "\n"))
        assert not any(folding.plain(word).strip() in left for word in words)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.lists(WORDS, min_size=1, max_size=3), st.booleans())
@settings(max_examples=300)
def test_no_json_keeps_what_is_named_and_all_stays_json(
    value: object, words: list[str], is_ascii: bool
) -> None:
    redactor = Redactor(Rules(words=tuple(words)))
    shown = redactor.json(json.dumps(value, ensure_ascii=is_ascii)) or ""
    json.loads(shown)
    assert not redactor.finds(shown)


@given(TEXTS)
@settings(max_examples=300)
def test_a_folded_text_is_the_same_with_and_without_the_way_back(text: str) -> None:
    for folds in (folding.LOOSE, folding.CLOSE):
        traced = folding.traced(text, folds)
        assert traced.text == folding.plain(text, folds)
        assert len(traced.starts) == len(traced.ends) == len(traced.text)


def test_a_long_text_that_was_cleared_before_is_cleared_by_the_rules_that_hold_now():
    text = "Smith met Jones in the harbour. " * 40
    for word, other in (("Smith", "Jones"), ("Jones", "Smith"), ("Smith", "Jones")):
        cleared = Redactor(Rules(words=(word,))).text(text)
        assert word not in cleared
        assert other in cleared
