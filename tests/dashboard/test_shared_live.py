"""The streams of shared pages: the same redaction as the pages, and cut when the right ends."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from dashboard import sharing
from dashboard.disclosure.rules import EVERYTHING, Part, Rules
from runs.models import Run
from tests.conftest import account
from tests.dashboard.links import link_of, share
from tests.dashboard.streams import change
from tests.dashboard.test_share_attacks import SPELLINGS, of_words
from tests.eventstream import EventStream
from tests.factories import make_entries, make_run, make_steps

pytestmark = pytest.mark.django_db(transaction=True)

WORD = "Quöth Möngary"


@pytest.fixture
def member(transactional_db: None) -> User:
    return account("mira", "member")


@pytest.fixture
def run(member: User) -> Run:
    made = make_run("running")
    make_steps(made, 2)
    return made


def say(run: Run, steps: int, text: str) -> None:
    """A change that brings steps which say `text`."""
    run.version += 1
    make_steps(run, steps, type="output", content=text, tool_input=f'"{text}"')
    run.version -= 1
    change(run)


@pytest.mark.parametrize("tab", ["timeline", "cost", "result", "logs"])
def test_what_comes_down_a_stream_is_redacted_as_the_page_is(
    site: str, run: Run, member: User, tab: str
) -> None:
    token = share(run, member, rules=Rules(words=(WORD,), steps=((4, 4),)))
    with EventStream(f"{site}/s/{token}/live/?since=1&tab={tab}") as stream:
        stream.until(lambda it: "run-head" in it.html)
        for number, spelt in enumerate(SPELLINGS):
            text = f"AROUND-{number} {spelt(WORD)}"
            Run.objects.filter(pk=run.pk).update(
                summary=text, output=text, logs=[[text, text]], prompt=text, agent_id=text[:200]
            )
            say(run, 1, text)
        last = f"AROUND-{len(SPELLINGS) - 1}"
        seen = {"cost": "run-cost"}.get(tab, last)
        stream.until(lambda it: seen in it.html, 15)
        assert of_words(stream.html) == []
        if tab == "timeline":
            assert "[redacted]" in stream.html
            assert "AROUND-1 " not in stream.html.split('id="s4"')[-1].split("</li>")[0]


def test_a_stream_tells_no_more_than_the_chosen_parts(site: str, run: Run, member: User) -> None:
    token = share(run, member, shows=(Part.SUMMARY,))
    with EventStream(f"{site}/s/{token}/live/?since=1") as stream:
        stream.until(lambda it: "run-head" in it.html)
        Run.objects.filter(pk=run.pk).update(summary="SHOWN", prompt="CANARY", output="CANARY")
        say(run, 3, "CANARY")
        stream.until(lambda it: "SHOWN" in it.html, 10)
        assert "CANARY" not in stream.html
        assert "beforeend:#steps" not in stream.html
        assert "no-steps" not in stream.html


def test_that_there_are_no_steps_is_told_until_there_are(site: str, member: User) -> None:
    run = make_run("running", step_count=0)
    token = share(run, member, shows=(Part.TIMELINE,))
    none = '<div id="no-steps" hx-swap-oob="true">'
    with EventStream(f"{site}/s/{token}/live/?since=1") as stream:
        stream.until(lambda it: f'{none}<p class="empty"><b>No steps yet' in it.html)
        say(run, 1, "Begun.")
        stream.until(lambda it: f"{none}</div>" in it.html)


@pytest.mark.parametrize("ending", ["no right", "switch", "maximum"])
def test_an_open_stream_is_dark_within_five_seconds(
    site: str, run: Run, member: User, ending: str
) -> None:
    token = share(run, member, most_views=2)
    link = link_of(token)
    for _ in range(2):
        browser = Client(headers={"Accept": "text/html"})
        here = browser.get(f"/s/{token}/")["Location"]
        browser.post(here)
    name = f"share-{link.public_id}"
    cookie = f"{name}={browser.cookies[name].value}"
    with EventStream(f"{site}{here}live/?since=1", Cookie=cookie) as stream:
        assert stream.status == 200
        stream.until(lambda it: bool("run-head" in it.html or it.named("beat")))
        match ending:
            case "no right":
                member.groups.set([Group.objects.get(name="viewer")])
            case "switch":
                sharing.turn_switch(True, member)
            case "maximum":
                sharing.limit_views(link, 1)
        assert stream.until(lambda it: it.has_ended, 9) < 6  # 5 and the time of a busy machine
        assert stream.events[-1].name == "gone"


def test_there_is_no_stream_without_the_cookie_nor_of_a_copy(
    site: str, run: Run, member: User
) -> None:
    limited = share(run, member, most_views=1)
    frozen = share(run, member, is_frozen=True, shows=EVERYTHING)
    public = f"{site}/s/-/{link_of(limited).public_id}/live/"
    for address in (f"{site}/s/{limited}/live/", f"{site}/s/{frozen}/live/", public):
        with EventStream(address) as stream:
            assert stream.status == 404


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("cost/?after=250", "<td>251</td>"),
        ("cost/", "<td>1</td>"),
        ("result/?as=text", "**Memo**"),
        ("result/", "<strong>Memo</strong>"),
    ],
)
def test_a_page_stays_the_one_that_was_asked_for(
    site: str, run: Run, member: User, place: str, told: str
) -> None:
    make_entries(run, 260)
    Run.objects.filter(pk=run.pk).update(output="**Memo**")
    token = share(run, member)
    page = Client().get(f"/s/{token}/{place}").text
    found = re.search(r'sse-connect="([^"]+)"', page)
    assert found
    address = found[1].replace("&amp;", "&")

    def piece(html: str) -> str:
        html = html[html.index(f'<section id="run-{place.partition("/")[0]}"') :]
        return html[: html.index("</section>")].replace(' hx-swap-oob="true"', "")

    assert told in piece(page)
    assert piece(Client().get(address).text) == piece(page)
    with EventStream(f"{site}{address}") as stream:
        stream.until(lambda it: 'id="run-head"' in it.html)
        assert piece(stream.html) == piece(page)
