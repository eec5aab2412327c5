"""Contract Reviewer analyzes a master services agreement for a client in healthcare."""

from runs.simulator.corpus.contracts import agreement, passages
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

MSA = "Corvane_MSA_2026_execution.docx"
DPA = "Corvane_Data_Addendum.docx"
TOPICS = ["indemnification", "liability", "data", "term", "assignment", "governing law"]


@script(
    title="Master services agreement indemnification and HIPAA",
    agent="Contract Reviewer",
    seconds=206,
    demo_weight=3,
)
def msa_hipaa(run: Recorder) -> None:
    run.cast("Corvane", "Meridell", "Auralis", "Trevanion")
    run.cast("Saltmarsh", "Fernbank", "Highmoor", "Lakewell")
    run.ask(
        """
        Analyze the master services agreement with Corvane Analytics in vault {vault} and its data
        addendum. Tell us who carries which risk, where the two documents disagree, and which five
        changes matter most before signature on Friday.
        """,
        """Focus on indemnification and limitation of liability. The client is in healthcare, so
        flag any HIPAA-related concerns.""",
        scope=2,
    )
    read_both(run)
    hipaa(run)
    memo = write(run)
    run.done(
        MEMO,
        """Five changes proposed before signature. The missing business associate agreement and
        the super-cap that excludes regulatory fines are the two that should stop the deal.""",
        [memo],
        ["The order form that sets the fees (and so the cap) was not in scope."],
    )


def read_both(run: Recorder) -> None:
    run.think(THOUGHTS[0])
    run.vault_search(
        "indemnify defend hold harmless third-party claim",
        passages(run.rng, ["indemnification", "liability"], [MSA, DPA], 8),
    )
    with run.together():
        run.download(run.scope[0], "corvane_msa.txt", 88_412)
        run.download(run.scope[1], "corvane_addendum.txt", 19_007)
    run.read(
        "/workspace/corvane_msa.txt",
        agreement(
            run.rng,
            "Master Services Agreement",
            "Corvane Analytics LLC",
            "Saltmarsh Regional Health",
            TOPICS,
        ),
    )
    run.read(
        "/workspace/corvane_msa.txt",
        agreement(
            run.rng,
            "Schedule 2: Security and Subcontractors",
            "Corvane Analytics LLC",
            "Saltmarsh Regional Health",
            ["data", "assignment", "confidentiality"],
        ),
        offset=212,
    )
    run.think(THOUGHTS[1])
    run.say(
        "The liability cap is twelve months of fees, with a super-cap of three times that for "
        "data claims. The super-cap **excludes regulatory fines**, which is where a provider "
        "of health care would feel a breach first."
    )


def hipaa(run: Recorder) -> None:
    run.vault_search(
        "protected health information business associate",
        passages(run.rng, ["data"], [DPA, MSA], 6),
    )
    run.grep(
        "Business Associate|PHI|45 CFR",
        [
            "corvane_addendum.txt:41: ... may include Protected Health Information (PHI)",
            "corvane_addendum.txt:58: Supplier is not a Business Associate for the Services.",
            "corvane_msa.txt:233: Security Incident notice: seventy-two (72) hours",
        ],
    )
    run.think(THOUGHTS[2])
    run.tool(
        "casedev_vault_search",
        {"vaultId": run.vault, "query": "BAA template provider side"},
        {"chunks": passages(run.rng, ["data"], ["BAA_Template_Provider_v5.docx"], 3)},
    )
    run.api("vault", "/vault/{vault}/search")
    run.legal(
        "find",
        "breach notification sixty days business associate direct liability",
        [
            {
                "title": "Breach notification rule, 45 CFR 164.410",
                "type": "regulation",
                "text": "A business associate shall, following the discovery of a breach of "
                "unsecured protected health information, notify the covered entity ...",
            },
            {
                "title": "Definition of business associate, 45 CFR 160.103",
                "type": "regulation",
                "text": "... creates, receives, maintains, or transmits protected health "
                "information for a function or activity regulated by this subchapter ...",
            },
        ],
    )


def write(run: Recorder) -> str:
    run.todo(
        "Read MSA and addendum",
        "Map indemnities and caps",
        "HIPAA check",
        "Draft five changes",
        done=3,
    )
    run.write("/workspace/corvane_memo.md", MEMO)
    run.wrong_flag(
        "casedev vault upload --id {vault} corvane_memo.md",
        "corvane_memo.md (unexpected argument)",
        """
        Usage: casedev vault upload --id <vault-id> --filename <name> --content-type <mime>
        """,
    )
    return run.upload("corvane_memo.md")


THOUGHTS = paragraphs(
    """
    The guidance asks for two things: allocation of risk, and HIPAA. The addendum says that it
    prevails "as to personal data". I have to read both before I can say who carries what.

    Section 9.2 makes Corvane indemnify for its negligence only. A breach of the addendum without
    negligence, such as a subcontractor's failure, falls between the two. That is the gap to name.

    "Supplier is not a Business Associate" is a label. If Corvane maintains PHI for analytics on
    behalf of the hospital, it is one by definition, whatever the contract says. The 72 hours are
    within the rule for a business associate but not within the hospital's own incident plan.
    """
)
MEMO = """
# Corvane MSA and data addendum: risks for Saltmarsh Regional Health

**Do not sign on Friday without changes 1 and 2.** The rest can be traded.

## Who carries what

| Risk | MSA | Addendum | Carried by |
|---|---|---|---|
| Third-party IP claims | 9.1, uncapped | none | Corvane |
| Supplier negligence | 9.2, capped | none | Corvane, up to 12 months of fees |
| Data breach, cost of notice | 10.3, super-cap 3x | 6.1 | Corvane, up to the super-cap |
| Regulatory fines after a breach | excluded by 10.3(c) | silent | **Saltmarsh** |
| Failure of a subcontractor | silent | 4.2 "reasonable efforts" | **Saltmarsh** |
| Misuse by Saltmarsh users | 9.4, uncapped | none | Saltmarsh |

## HIPAA concerns

1. **No business associate agreement.** The addendum says at 2.4:

   > Supplier is not a Business Associate for the Services.

   Corvane stores claims data and runs models on it. That is maintaining PHI on the hospital's
   behalf. The statement does not change the role and leaves both sides without the agreement that
   45 CFR 164.504(e) requires.
2. **Notice after 72 hours.** Lawful, but the hospital's plan assumes 24.
3. **De-identified data** (5.3): Corvane may use it for any purpose, with no method named.
4. **Return at termination** (11.2) allows retention in backups without limit of time.

## Five changes, in order

1. Sign the provider-side BAA template (version 5) and delete 2.4.
2. Strike 10.3(c), so that fines caused by Corvane fall under the super-cap.
3. Make Corvane liable for subcontractors *as for its own acts* (addendum 4.2).
4. 24 hours for first notice, 72 for a report.
5. Name the de-identification method and forbid re-identification.

## Fallback for change 2

*"Regulatory fines and penalties to the extent resulting from Supplier's breach of the Addendum"*,
subject to a separate cap of USD 5 million.
"""
