"""Deposition transcripts: questions and answers with page and line numbers."""

from random import Random

from runs.simulator.corpus.text import lines, verses

# A question, and the answers that fit it.
_EXCHANGES = verses(
    """
    Where were you when you learned of the {thing}?
    I was at the plant. I had just come on shift.
    At home. {other} called me.

    Did you speak with {other} about the {thing} before {date}?
    Not that I recall.
    Once, in the break room. It was short.

    Who else was in the room?
    I believe {other} was there, and somebody from maintenance.
    Nobody else.

    I hand you Exhibit {exhibit}. Do you recognize it?
    Yes. That is the maintenance log for that quarter.
    I have seen one like it. Not this page.

    Is that your signature on the second page?
    It looks like my signature, yes.
    Yes. I signed it at the end of the shift.

    How often was the {thing} inspected before {date}?
    Once a week. That is what the sheet says.
    It was supposed to be weekly. In February it was not.

    What did you do with the checklist after you signed it?
    I put it in the binder. I did not make a copy.
    I gave it to {other}.

    Did anyone tell you to skip the inspection?
    Nobody told me to skip it. We were short two people.
    Not in those words.

    Who decided that the line would keep running?
    That was {other}'s call, not mine.
    I did. I would do it differently today.

    Are you aware of any written policy on the {thing}?
    There is a binder in the control room. I have seen it.
    There is a poster by the door. That is all I know.

    When did you last look at that policy?
    I could not tell you the date.
    When I was hired, I suppose.

    You said it was "within tolerance". Within whose tolerance?
    Within the tolerance on the sheet. Two millimeters.
    The manufacturer's. It is on the plate.

    Did you keep notes of that call?
    No. I wish I had.
    I wrote the time on my hand. It is gone.

    What did {other} say in response?
    "Let's get through the weekend."
    That a bracket had been ordered.

    Did you receive training on the {thing}?
    There was a video. I signed something at the end.
    On the job. The man before me showed me.

    How long did the shutdown last?
    Maybe forty minutes. It could have been an hour.
    Until the foreman said to go on. I did not look at the clock.

    Would you agree that the guard was off when the shift began?
    I would not say off. It was loose.
    I did not look at it.

    Is there anything that would refresh your recollection?
    My calendar might.
    The work orders, if somebody kept them.

    Did you review documents to prepare for today?
    I looked at the log and two e-mails. Counsel gave them to me.
    Only my own statement.

    Before {date}, had there been any other complaint?
    One. In the spring. I do not know who handled it.
    Not to me.

    How long have you held that position?
    Nine years in June.
    Since the second line was built. Six years or so.

    To whom did you report?
    To {other}, on nights. On days it was somebody else.
    On paper to the plant manager.

    What happened next?
    I heard a noise, and then somebody shouted to stop.
    I went to the panel. It was already red.

    Who pressed the stop?
    I think it was the man at station three.
    I did. It took two tries.

    Was there a tag on the machine?
    There was no tag when I came on shift.
    I put the tag on. I did not take it off.

    Where is that tag now?
    I do not know. It should be in the box.
    The last I saw of it was on {date}.

    Did you report it in writing?
    No. I told {other}. That was how we did it.
    I sent a text. I do not have that phone any more.

    Do you still have that phone?
    I traded it in.
    It is in a drawer. I have not looked.

    Had you seen the machine run that way before?
    Not with the {thing} like that.
    Once or twice. It always came back.

    What would you have done if you had known?
    I would have locked it out.
    Called maintenance and waited.

    Are you taking any medication that would affect your testimony today?
    No.
    Something for my back. It does not affect my memory.

    Is that a yes?
    Yes. Sorry.
    It is a yes.
    """
)
_ASIDES = lines(
    """
    MS. ABERNATHY: Objection. Form.
    MR. OYELARAN: Objection. Foundation. You can answer.
    MS. ABERNATHY: Asked and answered.
    (Discussion off the record, {clock} to {clock}.)
    (Exhibit {exhibit} was marked for identification.)
    THE REPORTER: Could you repeat that, please?
    """
)
_DATES = ["March 3", "March 11", "April 2", "the 14th", "June 19", "the audit"]


def _filled(rng: Random, text: str, other: str, thing: str) -> str:
    return text.format(
        other=other,
        thing=thing,
        date=rng.choice(_DATES),
        exhibit=rng.randrange(3, 47),
        clock=f"{rng.randrange(9, 17)}:{rng.randrange(10, 60)}",
    )


def transcript(
    rng: Random, witness: str, other: str, thing: str, first_page: int, pages: int
) -> str:
    """`pages` pages of 25 lines each, as court reporters number them."""
    spoken: list[str] = []
    deck: list[list[str]] = []
    while len(spoken) < pages * 25:
        deck = deck or rng.sample(_EXCHANGES, len(_EXCHANGES))
        question, *answers = deck.pop()
        spoken.append("Q.  " + _filled(rng, question, other, thing))
        if rng.random() < 0.18:
            spoken.append("    " + _filled(rng, rng.choice(_ASIDES), other, thing))
        spoken.append("A.  " + _filled(rng, rng.choice(answers), other, thing))
    out = []
    for page in range(pages):
        out.append(f"{witness.upper()}{'':20}Page {first_page + page}")
        numbered = enumerate(spoken[page * 25 : page * 25 + 25], 1)
        out += [f"{number:>3}   {line}" for number, line in numbered]
        out.append("")
    return "\n".join(out)
