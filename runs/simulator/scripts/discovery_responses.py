"""Discovery Analyst drafts responses and objections to requests for production."""

from datetime import date

from runs.simulator.corpus.records import mail
from runs.simulator.corpus.text import markdown, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

REQUESTS = paragraphs(
    """
    All documents concerning the decision to discontinue the Model 6 pump.

    All communications with any distributor concerning warranty returns in 2024 and 2025.

    Documents sufficient to show the organizational structure of the quality department.

    All documents concerning any complaint about any product at any time.

    All communications between you and your counsel concerning the Model 6 pump.

    Your document retention policies in effect since January 1, 2020.
    """
)


@script(title="Responses to requests for production", agent="Discovery Analyst", seconds=288)
def discovery_responses(run: Recorder) -> None:
    run.cast("Model 6 pump", "Model 9 valve", "Model 4 compressor", "Model 12 burner")
    run.ask(
        """
        Draft responses and objections to plaintiff's second set of requests for production (6
        requests) in vault {vault}. For each request estimate how many documents respond, object
        only where there is a ground that we can state with specificity, and say what we will
        produce and by when. No boilerplate objections.
        """,
        "Responses are due in 9 days. The custodians are Brandvold, Nakamura and Talbot-Hsu.",
    )
    run.think(THOUGHTS[0])
    run.vault_search(
        "second set of requests for production",
        [
            {
                "filename": "Pl_RFP_Set_2.pdf",
                "page": page,
                "score": 0.97 - page * 0.01,
                "text": f"REQUEST NO. {page}: {text}",
            }
            for page, text in enumerate(REQUESTS, 1)
        ],
    )
    for number, text in enumerate(REQUESTS, 1):
        estimate(run, number, text)
    draft(run)
    responses = run.upload("RFP_set_2_responses.md")
    run.done(
        RESPONSES,
        """Six responses drafted; two specific objections (No. 4 scope, No. 5 privilege). Rolling
        production of about 4,100 documents proposed.""",
        [responses],
        [
            "Brandvold's phone was not collected; request 2 may need it.",
            "The hit count for request 4 is an estimate from a sample of 500.",
        ],
    )


def estimate(run: Recorder, number: int, text: str) -> None:
    words = " ".join(text.lower().strip(".").split()[1:9])
    rows = mail(run.rng, date(2024, 3, 1), 12)
    if number == 2:
        run.wrong_flag(
            'casedev vault search --id {vault} --query "warranty returns" --custodian brandvold',
            "--custodian",
            """
            Usage: casedev vault search --id <vault-id> --query <text> [--limit <n>]
                   [--filter key=value ...]
            """,
        )
    run.bash(
        f'casedev vault search --id {{vault}} --query "{words}" --filter custodian=all',
        {"estimatedTotal": run.rng.randrange(40, 2_400), "sample": rows},
    )
    run.api("vault", "/vault/{vault}/search")
    if number in (1, 4):
        run.think(THOUGHTS[1 if number == 1 else 2])
    if number == 5:
        run.tool("casedev_matter_read", {"path": "orders/2026-02-protective-order.md"}, ORDER)


def draft(run: Recorder) -> None:
    run.say(
        "Estimates are in for all six requests. Request 4 has no limit in time or product and "
        "request 5 asks for privileged communications in terms; the others can be answered."
    )
    run.write("/workspace/RFP_set_2_responses.md", RESPONSES)
    run.think(THOUGHTS[3])
    run.edit(
        "/workspace/RFP_set_2_responses.md",
        "Defendant objects to this request as overly broad and unduly burdensome.",
        "Defendant objects to Request 4 because it has no limit in time or product.",
    )


THOUGHTS = paragraphs(
    """
    The rule asks for objections with specificity and a statement whether anything is withheld. So
    I count first. An objection without a number behind it will not survive a motion to compel.

    Request 1 is proper. The decision was taken in one meeting and the deck exists. Produce.

    Request 4 covers every product since the company was founded. A sample says about 61,000
    documents, of which 3 per cent touch the Model 6. The objection is to scope, with an offer.

    One sentence of my draft was boilerplate. It has to go: the user asked for none and the local
    rules treat it as no objection at all.
    """
)
ORDER = """
## Protective order, paragraph 11

Privilege logs are due 30 days after each production. Communications with trial counsel after the
complaint need not be logged. Claw-back is available without a showing of care.
""".strip()
RESPONSES = markdown("production_responses")
