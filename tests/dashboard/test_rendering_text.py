"""Untrusted text: escaped, and nothing in it unseen."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rendering import text
from dashboard.rendering.text import MARKS_AT_MOST, visible, visible_plain


def test_markup_is_escaped():
    assert visible("<b title='x'>&") == "&lt;b title=&#x27;x&#x27;&gt;&amp;"


def test_whatever_is_to_be_marked_is_marked_wherever_it_stands():
    """The fast look at a text lets nothing pass that the pattern would stop."""
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        if text._SUSPECT.search(sign):
            assert not text._is_plain(f"plain {sign}\ntext"), hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a‹RLO›b"),
        ("\u200b\u200b\u200b", "‹ZWSP×3›"),
        ("\x1b[31mred\x1b[0m", "‹ESC›red‹ESC›"),
        ("\x1b[2Kx", "‹ESC [2K›x"),
        ("\x1b]8;;http://evil.example\x07link", "‹ESC ]8;;http://evil.exampleBEL›link"),
        ("50 %\r100 %", "50 %‹CR›100 %"),
        ("line\r\nline", "line\r\nline"),
        ("\x00\x07", "‹NUL›‹BEL›"),
        ("tab\tstays", "tab\tstays"),
        ("soft\xadhyphen", "soft‹SHY›hyphen"),
        ("\U000e0041tag", "‹U+E0041›tag"),
        ("half \ud83d", "half ‹U+D83D›"),
        ("\ufeffBOM", "‹BOM›BOM"),
        ("a\ufe0fb", "a‹U+FE0F›b"),
        ("x\u200dy", "x‹ZWJ›y"),
    ],
)
def test_what_cannot_be_seen_is_named(text, shown):
    assert visible_plain(text) == shown


@pytest.mark.parametrize(
    "text", ["👩‍👩‍👧", "❤️", "1️⃣", "می‌خواهم", "Zoë, naïve, 法律", "‘quoted’ § 12 ¶"]
)
def test_ordinary_writing_of_any_script_stays_as_it_is(text):
    assert visible_plain(text) == text
    assert "<i" not in visible(text)


def test_a_mark_says_in_its_title_what_it_stands_for():
    assert 'title="U+202E right-to-left override"' in visible("\u202e")


def test_endless_marks_do_not_become_endless_elements():
    html = visible("a\u202e" * 10_000)
    assert html.count("<i ") == MARKS_AT_MOST
    assert html.count("‹RLO›") == 10_000


# Format characters that are drawn: signs around numbers and abbreviations.
DRAWN = set(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)


def test_no_control_or_format_character_of_unicode_passes_unmarked():
    unseen = [
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) in ("Cc", "Cf", "Cs")
        and character not in DRAWN
        and character not in "\n\t"
    ]
    assert len(unseen) > 2_000
    passed = [f"U+{ord(c):04X}" for c in unseen if c in visible_plain(f"a{c}b")]
    assert passed == []


@given(st.text(alphabet=st.characters(codec=None)))
def test_whatever_the_text_the_page_can_carry_it_and_no_tag_comes_of_it(text):
    html = visible(text)
    html.encode()
    bare = re.sub(r'<i class="mk" title="[^"<>]*">|</i>', "", html)
    assert "<" not in bare
    assert ">" not in bare
