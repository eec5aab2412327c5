"""Deposition Summarizer compares three witnesses of an accident at a bottling plant."""

from runs.simulator.corpus.testimony import transcript
from runs.simulator.corpus.text import markdown, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

WITNESSES = [
    ("Raymond Selk", "Dana Whitcombe", "conveyor guard"),
    ("Dana Whitcombe", "Raymond Selk", "conveyor guard"),
    ("Luis Paredes-Roy", "Dana Whitcombe", "lockout tag"),
]


@script(
    title="Deposition summaries and contradictions",
    agent="Deposition Summarizer",
    seconds=384,
    demo_weight=4,
)
def deposition_contradictions(run: Recorder) -> None:
    run.cast("Northgate", "Brookhollow", "Silverlea", "Castlemere")
    run.cast("Whitcombe", "Ravensdale", "Ellingham", "Okafor-Pryce")
    run.ask(
        """
        Summarize these three depositions in Selk v. Northgate Bottling and identify
        contradictions between the witnesses on who knew that the conveyor guard was loose before
        the accident. Give page and line for everything. Upload the summary to vault {vault} and
        return the object id.
        """,
        "We represent the plaintiff. Treat anything said after an instruction not to answer as "
        "unreliable, and do not speculate about motive.",
        scope=3,
    )
    run.todo(
        "Download and read three transcripts",
        "Summarize each witness by topic",
        "Build a contradiction table",
        "Upload summary",
    )
    for number, (witness, other, thing) in enumerate(WITNESSES):
        read_witness(run, number, witness, other, thing)
    compare(run)
    summary = write_summary(run)
    run.done(
        SUMMARY + f"\nThe summary is in the vault as `{summary}`.\n",
        """Three depositions summarized; four contradictions found, the strongest being Whitcombe
        22:9 against Paredes-Roy 31:14 on the call of March 11.""",
        [summary],
        [
            "Exhibit 14 (maintenance log) is quoted by two witnesses but is not in scope.",
            "Paredes-Roy pages 44-46 are marked confidential and were summarized by topic only.",
        ],
    )


def read_witness(run: Recorder, number: int, witness: str, other: str, thing: str) -> None:
    slug = witness.split()[-1].lower().replace("-", "_")
    run.download(run.scope[number], f"{slug}.txt", run.rng.randrange(180_000, 420_000))
    for first_page in (8, 21, 34):
        text = transcript(run.rng, witness, other, thing, first_page, 3)
        run.read(f"/workspace/{slug}.txt", text, offset=first_page * 27)
    run.think(FINDINGS[number])
    run.say(f"**{witness}**: read through page {52 + 9 * number}. " + REMARKS[number])


def compare(run: Recorder) -> None:
    run.grep(
        "March 11|loose|within tolerance",
        [
            "selk.txt:612: A.  I told Dana it was loose. That was the week before.",
            "whitcombe.txt:601: A.  The first I heard of it was after the accident.",
            "whitcombe.txt:655: A.  I would not say off. It was loose.",
            "paredes_roy.txt:871: A.  Dana called me on March 11. She asked for a new bracket.",
            "paredes_roy.txt:902: A.  I put the tag on. I did not take it off.",
            "selk.txt:733: A.  There was no tag when I came on shift.",
        ],
    )
    run.think(
        """
        Whitcombe contradicts herself: at 22:9 she first heard of it after the accident, at 24:3
        she describes it as loose before the shift. Paredes-Roy places a call from her on March 11
        asking for a bracket. That is the strongest point because it does not depend on Selk.

        The tag is a true conflict between Selk and Paredes-Roy and cuts the other way; it has to
        be in the table even though it hurts.
        """
    )
    run.tool(
        "transcript_align",
        {
            "files": ["selk.txt", "whitcombe.txt", "paredes_roy.txt"],
            "anchor": "2025-03-11",
            "window": "10 lines",
        },
        {
            "aligned": [
                {"topic": "bracket call", "lines": ["W 22:9", "P 31:14"]},
                {"topic": "lockout tag", "lines": ["S 27:2", "P 32:20"]},
                {"topic": "guard condition", "lines": ["S 23:1", "W 24:3"]},
                {"topic": "inspection", "lines": ["W 35:11", "S 36:4"]},
            ],
            "confidence": "high",
        },
        took=6,
    )


def write_summary(run: Recorder) -> str:
    run.write("/workspace/selk_depositions.md", SUMMARY)
    run.wrong_flag(
        "casedev vault upload --vault-id {vault} --file selk_depositions.md",
        "--vault-id",
        """
        Usage: casedev vault upload --id <vault-id> --filename <name> --content-type <mime>

        Options:
          --id            Vault to upload to (required)
          --filename      File in the working directory (required)
          --content-type  MIME type (required)
          --path          Folder inside the vault
        """,
    )
    run.api("vault", "/vault/{vault}/upload", status=429, metadata={"retryAfter": 2})
    run.bash(
        "casedev vault upload --id {vault} --filename selk_depositions.md "
        "--content-type text/markdown",
        "Error: 429 too many requests (vault), retry after 2 s\n\n(exit status 1)",
    )
    run.wait(2)
    return run.upload("selk_depositions.md")


FINDINGS = paragraphs(
    """
    Selk is consistent on one thing: he reported the guard a week before, orally, to
    Whitcombe. He has no note. His account of the shift start (27:2) has no lockout tag on the
    machine.

    Whitcombe distances herself at first and then slips. 22:9 "first I heard of it was after
    the accident", but 24:3 "I would not say off. It was loose", speaking of the start of the
    shift. Counsel objected to form, not to substance.

    Paredes-Roy is the independent witness. He dates a call from Whitcombe to March 11 and
    ties it to a bracket order. If the order form exists, that is the document to ask for.
    """
)
REMARKS = [
    "Reports an oral warning a week before the accident; no document supports it yet.",
    "Two statements about first knowledge cannot both be right (22:9 and 24:3).",
    "Dates a call about a replacement bracket to March 11, three days before the accident.",
]
SUMMARY = markdown("deposition_summary")
