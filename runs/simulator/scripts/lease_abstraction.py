"""Contract Reviewer abstracts a batch of retail leases, on a small model."""

from runs.simulator.corpus.contracts import agreement
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

LEASES = ["Unit_104_Birch_Plaza", "Unit_17_Cannery_Row", "Unit_3_Old_Mill", "Kiosk_9_Terminal_B"]


@script(
    title="Lease abstraction for a retail portfolio",
    agent="Contract Reviewer",
    seconds=97,
    model="anthropic/claude-haiku-3.5",
    demo_weight=3,
)
def lease_abstraction(run: Recorder) -> None:
    run.cast("Juniper", "Wildrye", "Marigold", "Cormorant")
    run.ask(
        """
        Abstract the four leases in scope from vault {vault}: premises, term, base rent and steps,
        options with their notice windows, assignment, and the next date on which we must act. One
        table, and a list of dates.
        """,
        scope=4,
    )
    run.think("Four leases, one table. I read each once and note the clause beside every value.")
    with run.together():
        for number, lease in enumerate(LEASES):
            run.download(run.scope[number], f"{lease}.txt", run.rng.randrange(60_000, 140_000))
    for lease in LEASES:
        run.read(f"/workspace/{lease}.txt", lease_text(run, lease))
    run.grep(
        "option to (renew|extend)|notice of exercise",
        [
            "Unit_104_Birch_Plaza.txt:88: two options to extend, 5 years each, notice 9-12 months",
            "Unit_17_Cannery_Row.txt:91: one option to renew, notice not later than 180 days",
            "Unit_3_Old_Mill.txt:104: option to renew void if Tenant was in default twice",
        ],
    )
    run.say("The kiosk at Terminal B is a license, not a lease: it can be revoked on 30 days.")
    run.done(
        TABLE,
        "Four documents abstracted; the next date to act on is 2027-01-31 (Birch Plaza option).",
        [],
        ["Unit_3_Old_Mill refers to a side letter of 2022 that is not in the vault."],
    )


def lease_text(run: Recorder, lease: str) -> str:
    rng = run.rng
    head = [
        f"PREMISES: {lease.replace('_', ' ')}, {rng.randrange(40, 480)} square meters",
        f"COMMENCEMENT: 20{rng.randrange(18, 25)}-0{rng.randrange(1, 10)}-01",
        f"BASE RENT: ${rng.randrange(24, 90)}.00 per square foot, steps of 3 % each year",
        f"PERCENTAGE RENT: {rng.randrange(4, 8)} % above the breakpoint, reported quarterly",
        f"SECURITY DEPOSIT: ${rng.randrange(8, 60)},000",
        "",
    ]
    body = agreement(
        rng,
        "Lease",
        "Birch & Cannery Holdings LP",
        "Juniper Outfitters, Inc.",
        ["term", "assignment", "indemnification", "force majeure"],
    )
    return "\n".join(head) + body


TABLE = """
## Lease abstract: Juniper Outfitters

| | Birch Plaza 104 | Cannery Row 17 | Old Mill 3 | Terminal B kiosk |
|---|---|---|---|---|
| Kind | Lease | Lease | Lease | **License** |
| Expires | 2027-10-31 | 2028-06-30 | 2026-12-31 | on 30 days' notice |
| Base rent, sq ft | $61.00 | $44.50 | $38.00 | flat $5,200 a month |
| Steps | 3 % yearly | 3 % yearly | CPI, capped at 4 % | none |
| Options | two of 5 years | one of 5 years | one of 3 years, conditional | none |
| Notice window | 9-12 months | not later than 180 days | 6-9 months | n/a |
| Assignment | consent, reasonable | consent; *affiliates free* | consent, sole discretion | no |

### Dates

1. **2027-01-31**: last day for the first Birch Plaza option (22.1).
2. **2026-12-31**: Old Mill expires. The option window closed on 2026-06-30; holdover is at 150 %.
3. **2028-01-02**: last day for Cannery Row (19.3).

> Tenant's option shall be void if Tenant has been in default beyond any cure period more than
> twice during the Term. (Old Mill, 24.2)
"""
