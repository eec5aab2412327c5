"""An agent's Markdown: formatted, harmless, bounded."""

import time
from html.parser import HTMLParser

import pytest

from dashboard.rendering.markdown import Unrendered, render


class Tags(HTMLParser):
    """What elements and attributes a browser would make of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name == "href"]


def test_a_memo_is_formatted():
    html = render(
        "# Memo\n\n**Do not sign.** See 9.2.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted"
    )
    for part in ("<h1>Memo</h1>", "<strong>Do not sign.</strong>", "<td>1</td>", "<blockquote>"):
        assert part in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        '[x](https://a.example "onmouseover=alert(1)")',
        "![x](https://evil.example/beacon.png)",
        "![x][r]\n\n[r]: https://evil.example/beacon.png",
        "<style>*{background:url(https://evil.example)}</style>",
        "<iframe src=https://evil.example></iframe>",
        '<form action="https://evil.example"><input name=x></form>',
        '<div hx-get="/runs/" hx-trigger="load">x</div>',
        "<svg/onload=alert(1)>",
        "<https://evil.example/x>",
    ],
)
def test_nothing_in_it_acts_or_loads(text):
    found = Tags()
    found.feed(render(text, "/links/"))
    assert found.names <= {"p", "a", "small", "em"}
    assert found.attributes <= {"href", "rel", "class"}
    assert all(address.startswith("/links/") for address in found.addresses)


def test_a_link_says_where_it_leads():
    html = render("[our own site](https://evil.example/login)", "/links/")
    assert 'href="/links/1/"' in html
    assert 'rel="noreferrer nofollow noopener"' in html
    assert '<small class="host">(evil.example)</small>' in html


def test_each_of_several_links_names_its_own_host():
    html = render("[a](https://one.example) and [*b*](https://two.example/x)")
    assert html.index("(one.example)") < html.index("<em>b</em>") < html.index("(two.example)")
    assert "(two.example)" in html


def test_an_image_is_named_and_not_loaded():
    assert "[image from evil.example not loaded: chart]" in render("![chart](//evil.example/c.png)")


def test_hidden_characters_are_named():
    assert "‹RLO›" in render("a \u202e b")


def test_too_long_a_text_is_not_rendered_and_says_why():
    with pytest.raises(Unrendered, match="longer than 64 kB"):
        render("word " * 14_000)


HOSTILE = {
    "quotes": ">" * 60_000,
    "emphasis": "*a **b " * 9_000,
    "links": "[a" * 30_000,
    "link definitions": "[a](" * 16_000,
    "backticks": "".join("`" * n + " " for n in range(1, 350)),
    "wide table": "|" * 3_000 + "\n" + "|-" * 3_000 + "|\n" + "|a\n" * 15_000,
    "filled table": "|a|b|c|d|e|f\n|-|-|-|-|-|-\n" + "|\n" * 30_000,
    "broken emphasis": "*a\n" * 20_000,
    "open brackets": "[a\n" * 20_000,
    "blocks": ("[a" * 1_400 + "\n\n") * 20,
    "nested lists": "".join(" " * (2 * n) + "- a\n" for n in range(250)),
    "headings": "# a\n" * 16_000,
    "entities": "&a" * 30_000,
    "references": "".join(f"[a{n}]: /u\n" for n in range(4_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markdown_costs_little_and_draws_little(name):
    before = time.process_time()
    try:
        elements = render(HOSTILE[name][:65_000]).count("<")
    except Unrendered:
        elements = 0
    assert time.process_time() - before < 2  # each took longer, up to 20 s, without the limits
    assert elements < 14_000
