"""Deposition transcripts: questions and answers with page and line numbers."""

from random import Random

from runs.simulator.corpus.text import lines

_QUESTIONS = lines(
    """
    Where were you when you first learned of the {thing}?
    Did you speak with {other} about the {thing} before {date}?
    Who else was in the room?
    I hand you what has been marked Exhibit {exhibit}. Do you recognize it?
    Is that your signature on the second page?
    How often was the {thing} inspected before {date}?
    And what did you do with the checklist after you signed it?
    Did anyone tell you to skip the inspection that week?
    Who decided that the line would keep running?
    Are you aware of any written policy on the {thing}?
    When did you last look at that policy?
    You said a moment ago that it was "within tolerance". Within whose tolerance?
    Did you keep notes of that call?
    What did {other} say in response?
    Did you receive training on the {thing}?
    How long did the shutdown last?
    Would you agree that the guard was off when the shift began?
    Is there anything that would refresh your recollection?
    Did you review any documents to prepare for today?
    Before {date}, had there been any other complaint?
    """
)
_ANSWERS = lines(
    """
    I was at the plant. I had just come on shift.
    Not that I recall.
    I believe {other} was there, and somebody from maintenance.
    Yes. That is the maintenance log for that quarter.
    It looks like my signature, yes.
    Once a week. That is what the sheet says.
    I put it in the binder. I did not make a copy.
    Nobody told me to skip it. We were short two people.
    That was {other}'s call, not mine.
    There is a binder in the control room. I have seen it.
    I could not tell you the date.
    Within the tolerance on the sheet. Two millimeters.
    No. I wish I had.
    He said, "Let's get through the weekend."
    There was a video. I signed something at the end.
    Maybe forty minutes. It could have been an hour.
    I would not say off. It was loose.
    My calendar might.
    I looked at the log and two e-mails. Counsel gave them to me.
    One. In the spring. I do not know who handled it.
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
    while len(spoken) < pages * 25:
        spoken.append("Q.  " + _filled(rng, rng.choice(_QUESTIONS), other, thing))
        if rng.random() < 0.18:
            spoken.append("    " + _filled(rng, rng.choice(_ASIDES), other, thing))
        spoken.append("A.  " + _filled(rng, rng.choice(_ANSWERS), other, thing))
    out = []
    for page in range(pages):
        out.append(f"{witness.upper()}{'':20}Page {first_page + page}")
        numbered = enumerate(spoken[page * 25 : page * 25 + 25], 1)
        out += [f"{number:>3}   {line}" for number, line in numbered]
        out.append("")
    return "\n".join(out)
