"""Links in an agent's text: what is taken for one, and the page that shows where it leads."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.disclosure.rules import Rules
from dashboard.rendering import addresses
from dashboard.rendering.markdown import link, render
from runs import outlines
from runs.models import Run, Step
from tests.dashboard.links import full_run, share

# As written -> the host that is shown, and the address that is followed.
READ = {
    "https://evil.example/login": ("evil.example", "https://evil.example/login"),
    "http://EVIL.example": ("evil.example", "http://evil.example/"),
    "https://evil.example:8443/a?b=c#d": ("evil.example:8443", "https://evil.example:8443/a?b=c#d"),
    "https://xn--pple-43d.com/": ("xn--pple-43d.com", "https://xn--pple-43d.com/"),
    "https://аpple.com/": ("xn--pple-43d.com", "https://xn--pple-43d.com/"),
    "https://evil。example/": ("evil.example", "https://evil.example/"),
    "http://127.0.0.1:8000/": ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
    "http://[::1]/": ("[::1]", "http://[::1]/"),
    'https://evil.example/"onclick=x': ("evil.example", "https://evil.example/%22onclick=x"),
    "mailto:a@evil.example?bcc=b@evil.example&body=x": ("a@evil.example", "mailto:a@evil.example"),
}
NO_ADDRESSES = (
    *("/runs/", "//evil.example/", "#here", "?a=b", "evil.example", "", "javascript:alert(1)"),
    *("data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:http://evil.example/", "tel:1"),
    *("https://apple.com@evil.example/", "https://apple.com:x@evil.example/", "https://"),
    *("https://evil.example\\@apple.com/", "https:\\\\evil.example", "https://evil.example:99999/"),
    *(
        "https://ev il.example/",
        "https://evil.example/\n",
        "\x01https://evil.example",
        "https://a\tb/",
    ),
    *("http://0x7f000001/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/"),
    *("https://evil%2eexample/", "https://[::1", "https://[::1%25eth0]/", "https://a..b/"),
    *("https://" + "a" * 64 + ".example/", "https://a/" + "x" * 2_000, "mailto:", "mailto:a b@c"),
    *("https://evil.example:x/", "https://xn--\ud800/", "http:evil.example", "https://<b>/"),
)


@pytest.mark.parametrize("written", READ)
def test_an_address_is_read_as_a_browser_would(written: str) -> None:
    found = addresses.read(written)
    assert found is not None
    assert (found.host, found.href) == READ[written]


@pytest.mark.parametrize("written", NO_ADDRESSES)
def test_what_could_mislead_is_no_address(written: str) -> None:
    assert addresses.read(written) is None


def test_letters_behind_punycode_are_told() -> None:
    found = addresses.read("https://xn--pple-43d.com/")
    assert found is not None
    assert found.spelt == "аpple.com"


def test_a_text_s_links_are_numbered_as_they_are_found_again() -> None:
    text = "[a](https://one.example) [b](/no) <https://two.example/x> ![c](https://no.example)"
    html = render(text, "/runs/r/result/links/")
    assert 'href="/runs/r/result/links/1/"' in html
    assert 'href="/runs/r/result/links/2/"' in html
    assert html.count("href=") == 2
    first, second = link(text, 1), link(text, 2)
    assert first
    assert first.href == "https://one.example/"
    assert second
    assert second.href == "https://two.example/x"
    assert (link(text, 0), link(text, 3)) == (None, None)


MEMO = "[our site](https://xn--pple-43d.com/a?b=1) and [mail](mailto:x@evil.example)"


@pytest.mark.django_db
def test_a_reader_is_shown_the_whole_host_before_a_link_is_followed(viewer_client: Client) -> None:
    run = full_run(output=MEMO)
    page = viewer_client.get(f"/runs/{run.run_id}/result/").text
    assert "https://" not in page.split('id="output-text"')[1].split("</article>")[0]
    way = f"/runs/{run.run_id}/result/links/1/"
    assert f'href="{way}"' in page
    answer = viewer_client.get(way)
    assert answer.status_code == 200
    assert "Refresh" not in answer.headers
    assert "http-equiv" not in answer.text
    assert "<code>xn--pple-43d.com</code>" in answer.text
    assert "аpple.com" in answer.text
    link_out = answer.text.split('href="https://xn--pple-43d.com/a?b=1"')[1].split(">")[0]
    assert 'rel="noreferrer noopener nofollow"' in link_out
    assert "mailto:x@evil.example" in viewer_client.get(way.replace("/1/", "/2/")).text
    assert viewer_client.get(way.replace("/1/", "/3/")).status_code == 404


@pytest.mark.django_db
def test_a_recipient_is_shown_it_too_and_nothing_that_was_redacted(
    client: Client, member: User
) -> None:
    run = full_run(output=f"{MEMO} [Hale](https://hale.example/)")
    token = share(run, member, rules=Rules(words=("hale",)))
    base = f"/s/{token}/result/"
    assert f'href="{base}links/1/"' in client.get(base).text
    first = client.get(f"{base}links/1/")
    assert "<code>xn--pple-43d.com</code>" in first.text
    assert 'rel="noreferrer noopener nofollow"' in first.text
    assert first.headers["Referrer-Policy"] == "no-referrer"
    assert "аpple" not in first.text  # letters that no rule was asked about
    every = [client.get(f"{base}links/{number}/").text for number in (1, 2, 3)]
    assert "hale" not in "".join(every).lower()


@pytest.mark.django_db
def test_a_host_that_was_redacted_in_letters_leads_nowhere(client: Client, member: User) -> None:
    token = share(full_run(output=MEMO), member, rules=Rules(words=("аpple",)))
    page = client.get(f"/s/{token}/result/").text
    assert "xn--" not in page
    assert "xn--" not in client.get(f"/s/{token}/result/links/1/").text


@pytest.mark.django_db
def test_a_link_that_shows_no_output_has_no_links_either(client: Client, member: User) -> None:
    token = share(full_run(output=MEMO), member, shows=[])
    assert client.get(f"/s/{token}/result/links/1/").status_code == 404
    assert client.get(f"/s/{token}/result/links/1/").content == client.get("/s/x/").content


# In what a step said -----------------------------------------------------------------------------


def said(text: str) -> tuple[Run, int]:
    """A run, and the position of a step that says `text`."""
    run = full_run()
    step = run.steps.get(type=Step.Type.OUTPUT)
    Step.objects.filter(pk=step.pk).update(content=text)
    outlines.rebuild(run)
    return run, step.position


def ways(page: str) -> list[str]:
    return re.findall(r'href="([^"]*/links/[0-9a-f]{16}/)"', page)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["", "read/"])
def test_a_link_of_a_step_leads_through_the_page_that_shows_where(
    viewer_client: Client, page: str
) -> None:
    run, position = said(MEMO)
    html = viewer_client.get(f"/runs/{run.run_id}/{page}").text
    assert "xn--pple-43d.com/a" not in html
    site, mail = ways(html)
    assert site.startswith(f"/runs/{run.run_id}/steps/{position}/links/")
    answer = viewer_client.get(site)
    assert "<code>xn--pple-43d.com</code>" in answer.text
    assert "аpple.com" in answer.text
    assert f"Back to step {position}" in answer.text
    assert 'href="https://xn--pple-43d.com/a?b=1" rel="noreferrer noopener nofollow"' in answer.text
    assert "mailto:x@evil.example" in viewer_client.get(mail).text


@pytest.mark.django_db
def test_a_link_far_into_a_text_is_found_in_whatever_part_it_is_shown(
    viewer_client: Client,
) -> None:
    filler = "word " * 150
    links = [f"[{n}](https://h{n}.example/) {filler}" for n in range(3)]
    run, _ = said("\n\n".join(links))
    for page in ("", "read/"):
        found = ways(viewer_client.get(f"/runs/{run.run_id}/{page}").text)
        assert len(found) == 3
        for number, way in enumerate(found):
            assert f"h{number}.example" in viewer_client.get(way).text


@pytest.mark.django_db
def test_nothing_else_of_a_step_is_a_link(viewer_client: Client) -> None:
    run, position = said(MEMO)
    base = f"/runs/{run.run_id}/steps"
    (way, _) = ways(viewer_client.get(f"/runs/{run.run_id}/").text)
    mark = way.split("/")[-2]
    for wrong in (f"{position}/links/{'0' * 16}/", f"1/links/{mark}/", f"999/links/{mark}/"):
        assert viewer_client.get(f"{base}/{wrong}").status_code == 404
    Step.objects.filter(run=run, position=position).update(content="[x](javascript:alert(1))")
    assert viewer_client.get(way).status_code == 404


@pytest.mark.django_db
def test_a_recipient_follows_what_the_document_shows_and_nothing_redacted(
    client: Client, member: User
) -> None:
    run, position = said(f"{MEMO} [Hale](https://hale.example/)")
    token = share(run, member, rules=Rules(words=("hale", "аpple")))
    page = client.get(f"/s/{token}/read/").text
    found = ways(page)
    assert found
    assert all(way.startswith(f"/s/{token}/steps/{position}/links/") for way in found)
    every = "".join(client.get(way).text for way in found)
    assert "mailto:x@evil.example" in every
    assert 'rel="noreferrer noopener nofollow"' in every
    assert "hale" not in every.lower()
    assert "xn--" not in every
    bare = share(run, member, shows=[])
    gone = client.get("/s/x/").content
    for way in found:
        assert client.get(way.replace(token, bare)).content == gone
