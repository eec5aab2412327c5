"""Contract Reviewer looks for force majeure clauses across a vault of supply agreements."""

from runs.simulator.corpus.contracts import passages
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

FILES = [
    "Larkin_Steel_Supply_2023.pdf",
    "Pavlis_Resins_MSA.pdf",
    "Orbit_Freight_Services.pdf",
    "Greenlee_Packaging_2021.pdf",
    "Tamarack_Energy_PPA.pdf",
]


@script(
    title="Force majeure clauses in supply agreements",
    agent="Contract Reviewer",
    seconds=73,
    demo_weight=4,
)
def force_majeure_search(run: Recorder) -> None:
    run.cast("Larkin", "Dunbrook", "Caldera")
    run.cast("Pavlis", "Merrow", "Ostara")
    run.cast("Orbit", "Compass", "Beacon")
    run.ask(
        """
        Search vault {vault} for all references to force majeure clauses and compile a summary.
        For each agreement say which events are listed, what notice is due and within how many
        days, and whether a price increase or a labor shortage would count.
        """
    )
    run.think(
        "The vault has supply agreements only. One broad search first, then one for each "
        "question that the user asks, since notice periods often sit in another clause."
    )
    with run.together():
        run.vault_search("force majeure clauses", passages(run.rng, ["force majeure"], FILES, 10))
        run.vault_search(
            "notice of force majeure within days",
            passages(run.rng, ["force majeure", "term"], FILES, 6),
        )
        run.vault_search(
            "increase in cost, labor shortage, market conditions",
            passages(run.rng, ["force majeure"], FILES, 6),
        )
    run.say(
        "Five agreements have a clause. Two define events by a closed list, three add a "
        "catch-all. I will read the two that mention labor."
    )
    run.wrong_flag(
        'casedev vault search --id {vault} --query "labor shortage" --top 20',
        "--top",
        """
        Usage: casedev vault search --id <vault-id> --query <text> [--limit <n>] [--method <m>]
        """,
    )
    run.vault_search(
        "shortage of labor strike lockout",
        passages(run.rng, ["force majeure", "liability"], FILES, 5),
    )
    run.think(
        """
        Greenlee excludes labor shortage in terms but includes "strikes and other labor
        disturbances". A shortage is not a disturbance. I will say so and quote both phrases.
        """
    )
    run.done(
        SUMMARY,
        "Five of five agreements have a force majeure clause; none covers a price increase.",
        [],
        ["Tamarack_Energy_PPA.pdf has 12 pages without OCR text; its schedules were not searched."],
    )


SUMMARY = """
## Force majeure in the supply vault

| Agreement | Events | Notice | Price increase | Labor shortage |
|---|---|---|---|---|
| Larkin Steel | Closed list | 10 days, in writing | No, excluded by 14.3 | No |
| Pavlis Resins | List and catch-all | 15 days | No, "market conditions" | Unclear |
| Orbit Freight | List and catch-all | "promptly" | No | **Yes**, port closures only |
| Greenlee Packaging | Closed list | 10 days | No | No; *strikes* are covered |
| Tamarack Energy | List and catch-all | 30 days | No | No |

**Points to note**

- Payment is never excused. Four of the five say so; for Orbit it follows from 9.2.
- Under *Larkin* late notice forfeits the defense:

  > Failure to give notice within ten (10) days is a waiver of relief for the period before notice.

- *Pavlis* lets either party end the affected order after 90 days; the others need 120.
"""
