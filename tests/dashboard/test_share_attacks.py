"""Attacks on share links: redacted words in any answer, ways from one run to another, guesses."""

import json
import secrets
import statistics
import time
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dashboard import guesses, sharing
from dashboard.disclosure import folding
from dashboard.disclosure.redaction import MARK
from dashboard.disclosure.rules import EVERYTHING, Rules
from dashboard.models import ShareLink
from runs.models import Run
from tests.attacks.extent import extent
from tests.dashboard.links import full_run, share
from tests.factories import make_entries, make_run, make_steps

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_either]

RUNS = extent(60, 210)
CONFUSIONS = extent(2_500, 10_000)
GUESSES = 100_000

# Redacted words ----------------------------------------------------------------------------------

WORDS = ("Zylbercanary", "Quöth Möngary", "XK-4471-Qanary", "wörd_canary's")


def escaped(word: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if c != " " else c for c in word)


SPELLINGS = (
    lambda word: word,
    str.upper,
    str.swapcase,
    escaped,
    lambda word: escaped(word).replace("\\", "\\\\"),
    lambda word: "".join(f"&#{ord(c)};" for c in word),
    lambda word: "".join(f"&amp;#x{ord(c):x};" for c in word),
    lambda word: "".join(f"%{byte:02X}" for byte in word.encode()),
    lambda word: "\u200b".join(word),
    lambda word: f"**{word[:3]}**{word[3:]}",
    lambda word: f"`{word[:2]}`_{word[2:]}_",
    lambda word: word.replace(" ", "\n"),
    lambda word: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word),
    lambda word: "".join(c + "\u0301" for c in word),
    lambda word: json.dumps(json.dumps({"inner": json.dumps(word)})),
    lambda word: f"\x1b[1m{word[:4]}\x1b[0m{word[4:]}",
)
AROUND = (
    "{}",
    "a {} b",
    "x{}y",
    "| {} | 1 |",
    "[{}](https://h.example/{})",
    "# {}\n\n- {}",
    "({})",
)
HIDDEN = st.tuples(st.sampled_from(WORDS), st.sampled_from(SPELLINGS), st.sampled_from(AROUND)).map(
    lambda told: told[2].format(*[told[1](told[0])] * told[2].count("{}"))
)
TEXT = st.lists(
    HIDDEN | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
).map(" ".join)
VALUE = st.recursive(
    TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
JSON = st.tuples(VALUE, st.booleans()).map(lambda of: json.dumps(of[0], ensure_ascii=of[1]))
TOOLS = st.sampled_from(["bash", "read", "grep", "vault_search", "webfetch", "todowrite"])
STEP = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["output", "thinking", "tool_call", "tool_result", "odd"]),
        "content": TEXT,
        "tool_name": TOOLS | HIDDEN.map(lambda text: text[:200]),
        "tool_input": JSON | TEXT,
        "tool_output": JSON | TEXT,
    }
)

SAID = st.fixed_dictionaries(
    {
        "texts": st.lists(TEXT, min_size=8, max_size=8),
        "steps": st.lists(STEP, min_size=1, max_size=2),
        "logs": st.lists(st.tuples(TEXT, TEXT).map(list), min_size=1, max_size=2),
        "metadata": JSON,
    }
)
MANY = settings(
    max_examples=RUNS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)


def of_words(text: str) -> list[str]:
    """Which of WORDS a reader of `text` could make out, whatever spells them."""
    views = [text, folding.spelt_out(text), folding.spelt_out(folding.spelt_out(text))]
    folded = [folding.plain(view.replace(MARK, "\n")) for view in views]
    return [word for word in WORDS if any(folding.plain(word).strip() in view for view in folded)]


def every_answer(client: Client, token: str, steps: int, run_version: int) -> dict[str, str]:
    tails = ["", "cost/", "result/", "logs/", "logs/1/"]
    tails += [f"text/{name}/" for name in ("prompt", "guidance", "output", "summary")]
    tails += [f"live/?since=0&tab={tab}" for tab in ("timeline", "cost", "result", "logs")]
    tails += ["cost/1/metadata/", "result/?as=text"]
    for step in range(1, steps + 1):
        tails += [f"steps/{step}/"]
        tails += [f"steps/{step}/{part}/" for part in ("input", "output", "content")]
    told = {}
    for tail in tails:
        answer = client.get(f"/s/{token}/{tail}")
        told[tail] = answer.content.decode() + str(dict(answer.headers))
    htmx = {"HX-Request": "true"}
    for tail in ("?after=0", "steps/1/"):
        told[f"htmx {tail}"] = client.get(f"/s/{token}/{tail}", headers=htmx).content.decode()
    return told


def run_saying(
    status: str,
    texts: list[str],
    steps: list[dict[str, Any]],
    logs: list[list[str]],
    metadata: str,
) -> Run:
    """A run with these texts in every field that a page could show."""
    run = make_run(
        status,
        prompt=texts[0],
        guidance=texts[1],
        output=texts[2],
        summary=texts[3],
        issues=[texts[4]],
        failure_cause=texts[5],
        created_object_ids=[texts[6]],
        usage_model=texts[7][:200],
        agent_id=texts[0][:200],
        logs=logs,
    )
    for step in steps:
        make_steps(run, 1, **step)
    make_entries(run, 1, metadata=metadata, endpoint=texts[1], service=texts[2][:200])
    return run


def has_a_word(said: dict[str, Any]) -> bool:
    of_steps = (str(value) for step in said["steps"] for value in step.values())
    return any(of_words(text) for text in (*said["texts"], said["metadata"], *of_steps))


@pytest.mark.timeout(1_500)
def test_no_answer_of_a_redacted_link_holds_a_redacted_word(
    member: User, record_property: Any
) -> None:
    """RUNS runs, each told through one live and one frozen link: every page, fragment, stream
    piece, step and download."""
    seen = {"runs": 0, "answers": 0, "with a word": 0}
    rules = Rules(words=WORDS)

    @MANY
    @given(said=SAID, is_frozen=st.booleans())
    def attack(said: dict[str, Any], is_frozen: bool) -> None:
        run = run_saying("running" if seen["runs"] % 2 else "failed", **said)
        token = share(run, member, shows=EVERYTHING, rules=rules, is_frozen=is_frozen)
        answers = every_answer(Client(), token, len(said["steps"]), run.version)
        seen["runs"] += 1
        seen["answers"] += len(answers)
        seen["with a word"] += has_a_word(said)
        leaks = {tail: found for tail, text in answers.items() if (found := of_words(text))}
        assert leaks == {}
        run.delete()

    attack()
    record_property("attack", seen)
    assert seen["runs"] >= RUNS - 10
    assert seen["with a word"] >= RUNS // 2


def test_cuts_at_any_place_leave_no_part_of_a_word_whole(member: User) -> None:
    """A word that lies across every limit of what pages show."""
    places = (4_000, 32 * 1024, 256 * 1024)
    for place in places:
        text = "x" * (place - 5) + " Zylbercanary " + "y" * 50
        run = full_run(prompt=text, output=text, summary=text, logs=[["a", text]])
        run.steps.all().delete()
        make_steps(run, 1, type="output", content=text)
        make_steps(run, 1, tool_input=json.dumps({"command": text}), type="tool_call")
        token = share(run, member, rules=Rules(words=("Zylbercanary",)))
        for tail, told in every_answer(Client(), token, 2, 1).items():
            assert "Zylb" not in told, (place, tail)


def test_a_field_that_is_taken_out_is_in_no_answer(member: User) -> None:
    run = full_run(prompt="CANARY-1", guidance="CANARY-2", summary="CANARY-3")
    run.steps.all().delete()
    make_steps(run, 1, type="tool_call", tool_input='{"command": "CANARY-4", "x": "stays"}')
    make_steps(run, 1, type="output", content="CANARY-5", tool_name="CANARY-6")
    fields = ("prompt", "guidance", "summary", "toolInput.command", "content", "toolName")
    token = share(run, member, rules=Rules(fields=fields))
    answers = every_answer(Client(), token, 2, 1)
    assert [tail for tail, told in answers.items() if "CANARY" in told] == []
    assert "stays" in answers["steps/1/"]


def test_a_step_that_is_taken_out_tells_nothing_but_its_number(member: User) -> None:
    run = full_run()
    run.steps.all().delete()
    make_steps(
        run, 3, type="tool_call", tool_name="CANARY", tool_input='"CANARY"', content="CANARY"
    )
    token = share(run, member, rules=Rules(steps=((1, 10),)))
    answers = every_answer(Client(), token, 3, 1)
    assert [tail for tail, told in answers.items() if "CANARY" in told] == []
    assert answers[""].count(f">{MARK}<") == 3
    assert {Client().get(f"/s/{token}/steps/{n}/").status_code for n in (1, 2, 3)} == {404}


# From run A towards run B -----------------------------------------------------------------------


def confusions(token: str, foreign: str, mine: Run, other: Run) -> list[str]:
    """Addresses behind a good token (or cookie) that name something of the other run."""
    link = ShareLink.objects.get(run=other)
    own = ShareLink.objects.get(run=mine)
    names = [
        *(other.run_id, foreign, link.public_id, "..", "%2e%2e"),
        *("..%2f" + foreign, f"{other.run_id}%00", f"{foreign}%2f", str(10**9 + other.pk)),
    ]
    # Keys of its rows, as far as they are no positions of our own.
    keys = [other.pk, link.pk, *other.steps.values_list("pk", flat=True)]
    names += [str(key) for key in keys if key > 3]
    tails = [
        *("{}/", "{}", "cost/{}/", "cost/{}/metadata/", "result/{}/", "logs/{}x/", "text/{}/"),
        *("steps/{}/raw/", "live/{}/", "runs/{}/", "raw/{}/", "share/{}/", "-/{}/", "s/{}/"),
        *("../{}/", "..%2f{}/", "%2e%2e/{}/", ".//{}/", "./../{}/cost/", "steps/../{}/"),
        *("runs/{}/raw/", "-/{}/cost/", "../-/{}/", "steps/{}%2finput/", "{}/steps/1/"),
        *("{}/cost/", "{}/result/", "{}/logs/", "{}/live/", "?run={}/"),
    ]
    ends = ("", "?run={}", "?token={}", "?run_id={}&at=1", "#{}", "?s={}&link={}", ";{}")
    starts = (f"/s/{token}/", f"/s/-/{own.public_id}/", f"/s/{token}/-/", f"/s/{token}//")
    made = [
        start + tail.format(name) + end.format(*[name] * 2)
        for start, tail, name, end in product(starts, tails, names, ends)
        if not tail.startswith("?")
    ]
    return made


@pytest.mark.timeout(300)
def test_confused_paths_towards_another_run_all_end_in_the_same_404(
    member: User,
) -> None:
    mine, other = full_run(prompt="MINE"), full_run(prompt="CANARY", output="CANARY")
    make_steps(other, 3, content="CANARY")
    token, foreign = share(mine, member), share(other, member)
    client = Client()
    browser = Client(headers={"Accept": "text/html"})
    here = browser.get(f"/s/{token}/")["Location"]
    assert browser.get(here).status_code == 200
    paths = list(dict.fromkeys(confusions(token, foreign, mine, other)))
    assert len(paths) >= CONFUSIONS
    nothing = Client().get(f"/s/{'A' * 43}/").content
    opened, tried = [], 0
    for path in paths[:: max(len(paths) // CONFUSIONS, 1)]:
        asking = browser if path.startswith("/s/-/") else client
        tried += 1
        answer = asking.get(path)
        if answer.status_code != 404 or answer.content != nothing:
            opened.append((path, answer.status_code))
    assert tried >= CONFUSIONS
    assert opened == []


# Guesses -----------------------------------------------------------------------------------------


def test_a_hundred_thousand_guesses_hit_nothing(member: User) -> None:
    run = full_run()
    tokens = [share(run, member) for _ in range(20)]
    near = [
        *(token[:-1] + c for token in tokens for c in "AQgw"),
        *(token[1:] for token in tokens),
        *(token.lower() for token in tokens),
        *(token.upper() for token in tokens),
        *(token[::-1] for token in tokens),
        *(sharing.digest(token).hex() for token in tokens),
    ]
    near = [guess for guess in near if guess not in tokens]
    made = near + [secrets.token_urlsafe(32) for _ in range(GUESSES - len(near))]
    # The lookup is by digest; many at a time ask the same index for the same answer.
    hits = 0
    for start in range(0, len(made), 500):
        digests = [sharing.digest(guess) for guess in made[start : start + 500]]
        hits += ShareLink.objects.filter(token_digest__in=digests).count()
    hits += sum(sharing.opened_by(guess) is not None for guess in made[:2_000])
    assert hits == 0
    assert all(sharing.opened_by(token) for token in tokens)


def test_guesses_over_http_are_held_off_after_a_hundred(member: User) -> None:
    token = share(full_run(), member)
    # Once where it is opened, once for the log.
    client, asked = Client(), []
    for number in range(400):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/s/{secrets.token_urlsafe(32)}/")
        asked.append(sum("sharelink" in query["sql"] for query in queries))
        assert answer.status_code == 404, number
    assert asked == [2] * guesses.AT_MOST + [0] * (400 - guesses.AT_MOST)
    assert Client(REMOTE_ADDR="198.51.100.9").get(f"/s/{token}/").status_code == 200


def test_the_time_of_a_lookup_does_not_tell_how_near_a_guess_came(member: User) -> None:
    """By construction: what is compared is SHA-256 of the guess, so a guess with 42 of 43
    characters right has a digest as far off as any. Measured in turn, the medians of near and
    far guesses differ by less than their own spread."""
    token = share(full_run(), member)
    far = "A" * 43
    near = token[:-1] + ("A" if token[-1] != "A" else "B")

    def took(guess: str) -> int:
        start = time.perf_counter_ns()
        assert sharing.opened_by(guess) is None
        return time.perf_counter_ns() - start

    for guess in (far, near) * 20:
        took(guess)
    times: dict[str, list[int]] = {far: [], near: []}
    for turn in range(600):
        for guess in (far, near) if turn % 2 else (near, far):
            times[guess].append(took(guess))
    medians = {guess: statistics.median(of) for guess, of in times.items()}
    quartiles = statistics.quantiles([*times[far], *times[near]])
    spread = quartiles[2] - quartiles[0]
    difference = abs(medians[far] - medians[near])
    assert difference < max(spread, 50_000)
    a, b = sharing.digest(near), sharing.digest(token)
    assert a[:2] != b[:2] or a[2:] != b[2:]
