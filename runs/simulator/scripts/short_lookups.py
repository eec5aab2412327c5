"""Two short runs: a deadline and a clause. Most real questions are as small as these."""

from runs.simulator.corpus.contracts import passages
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(title="Answer deadline lookup", agent="Litigation Support", seconds=6, demo_weight=3)
def deadline_lookup(run: Recorder) -> None:
    run.ask(
        """
        Complaint was served on March 4, 2026, in person, federal court. When is the answer
        due, and when if we waive service instead?
        """
    )
    run.bash(
        'python3 -c "from datetime import date, timedelta as t; print(date(2026,3,4)+t(21))"',
        "2026-03-25",
        took=0.1,
    )
    run.done(
        """
        **Wednesday, March 25, 2026**: 21 days after service (Rule 12(a)(1)(A)(i)).

        With a waiver under Rule 4(d): 60 days after the request was sent. A waiver is no longer of
        use once service in person has been made.
        """,
        "Answer due March 25, 2026.",
    )


@script(
    title="Clause lookup: most favored customer",
    agent="Contract Reviewer",
    seconds=14,
    model="anthropic/claude-haiku-3.5",
    demo_weight=4,
)
def clause_lookup(run: Recorder) -> None:
    run.ask(
        "Does any customer agreement in vault {vault} contain a most favored customer clause? "
        "Quote it if so."
    )
    files = ["Aldine_Grocers_MSA.pdf", "Portside_Clinics_Order_Form.pdf", "Vantor_Reseller.pdf"]
    run.vault_search(
        "most favored customer price protection", passages(run.rng, ["term", "liability"], files, 6)
    )
    run.think("The second hit is a price guarantee, limited to one product line. That counts.")
    run.done(
        """
        Yes, one. **Aldine Grocers**, 4.6:

        > Supplier warrants that the prices charged to Customer for the Cold Chain modules are no
        > less favorable than those charged to any other customer of like volume.

        It is limited to one product line and has *no audit right*.
        """,
        "One most favored customer clause found (Aldine Grocers, 4.6).",
    )
