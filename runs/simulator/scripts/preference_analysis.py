"""Legal Researcher analyzes payments before a bankruptcy for preference exposure."""

from datetime import date
from typing import Any

from runs.simulator.corpus.records import payments
from runs.simulator.corpus.text import lines, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

PETITION = date(2026, 6, 12)
USUAL_DAYS = range(28, 56)


@script(title="Bankruptcy preference analysis", agent="Legal Researcher", seconds=243)
def preference_analysis(run: Recorder) -> None:
    run.cast("Dunmore", "Galloway", "Stanhope", "Wexcombe")
    run.cast("lumber", "packaging", "hardware", "flooring")
    run.ask(
        """
        The trustee of Dunmore Fixtures demands back every payment that our client, a lumber
        supplier, received in the 90 days before the petition of June 12, 2026. Analyze the ledger
        in vault {vault}: exposure, ordinary course and new value defenses, and a number at which
        settling makes sense. Upload the schedule.
        """,
        "Work transfer by transfer. Show the arithmetic so that I can check it.",
        scope=2,
    )
    rows = payments(run.rng, PETITION, 18)
    run.download(run.scope[0], "ledger.csv", 40_118)
    run.download(run.scope[1], "shipments.csv", 22_450)
    run.read("/workspace/ledger.csv", csv(rows))
    run.think(THOUGHTS[0])
    baseline(run)
    run.bash(
        "python3 preference.py --ledger ledger.csv --petition 2026-06-12 --range 28-55",
        {"transfers": [judged(row) for row in rows], "exposure": exposure(rows)},
        took=1.4,
    )
    run.think(THOUGHTS[1])
    run.write("/workspace/preference_schedule.md", schedule(rows))
    uploaded = run.upload("preference_schedule.md")
    run.done(
        report(rows),
        f"""Eighteen transfers, ${sum(row["amount"] for row in rows):,} gross; after the ordinary
        course defense ${exposure(rows):,} remain exposed.""",
        [uploaded],
        ["Shipments after June 1 have no signed delivery notes; new value is discounted."],
    )


def baseline(run: Recorder) -> None:
    run.wrong_flag(
        'casedev legal:v1 find --query "ordinary course baseline" --statute "11 USC 547"',
        "--statute",
        """
        Usage: casedev legal:v1 find --query <text> [--type <kind>] [--limit <n>]
        """,
    )
    run.legal(
        "find",
        "11 USC 547(c)(2) ordinary course of business baseline of dealings",
        STATUTE,
    )
    run.bash(
        "python3 baseline.py ledger_two_years.csv",
        {
            "invoices": 211,
            "averageDays": 41.3,
            "quartiles": [35, 41, 48],
            "range90": "28-55",
        },
        took=0.8,
    )
    run.say(
        "Two years before the preference period our client was paid after 28 to 55 days in "
        "nine cases of ten. That range is the baseline for ordinary course."
    )


def judged(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"ordinary": row["daysToPay"] in USUAL_DAYS}


def exposure(rows: list[dict[str, Any]]) -> int:
    return sum(row["amount"] for row in rows if not judged(row)["ordinary"])


def csv(rows: list[dict[str, Any]]) -> str:
    head = ",".join(rows[0])
    return "\n".join([head, *(",".join(str(value) for value in row.values()) for row in rows)])


def schedule(rows: list[dict[str, Any]]) -> str:
    head = [
        "| # | Cleared | Method | Invoice | Days | Amount | Ordinary course |",
        "|---:|---|---|---|---:|---:|---|",
    ]
    return "\n".join(
        head
        + [
            f"| {row['transfer']} | {row['cleared']} | {row['method']} | {row['invoice']} "
            f"| {row['daysToPay']} | ${row['amount']:,} "
            f"| {'yes' if judged(row)['ordinary'] else '**no**'} |"
            for row in rows
        ]
    )


def report(rows: list[dict[str, Any]]) -> str:
    gross, exposed = sum(row["amount"] for row in rows), exposure(rows)
    new_value = exposed * 3 // 10
    return f"""
# Dunmore Fixtures: preference exposure

| | Amount |
|---|---:|
| Transfers in the 90 days | ${gross:,} |
| Less ordinary course, 28-55 days, 547(c)(2) | ${gross - exposed:,} |
| **Exposed before new value** | **${exposed:,}** |
| Less subsequent new value, 547(c)(4), discounted | ${new_value:,} |
| **Net exposure** | **${exposed - new_value:,}** |

## Schedule

{schedule(rows)}

## Reasoning

1. **Baseline.** 211 invoices over two years; nine of ten were paid after 28 to 55 days.
2. **Outside the range** means earlier or later. Late payments are not ordinary just because the
   debtor was short of cash.
3. **New value** needs delivery after the transfer and no payment since.

> The trustee bears the burden on 547(b), our client on 547(c).

## Settlement

Offer **${(exposed - new_value) // 3:,}**; settle up to **${(exposed - new_value) * 3 // 5:,}**. A
trial on the baseline costs about $60,000 on our side.
"""


STATUTE = [
    {"title": f"11 U.S.C. 547({part}", "type": "statute", "text": text}
    for part, text in (
        line.split("| ")
        for line in lines(
            """
        b)| any transfer of an interest of the debtor in property, on or within 90 days before ...
        c)(2)| made in the ordinary course of business or financial affairs of the parties ...
        c)(4)| after such transfer, such creditor gave new value to or for the debtor ...
        """
        )
    )
]
THOUGHTS = paragraphs(
    """
    All transfers clear within the 90 days, insolvency is presumed, and our client was unsecured.
    So 547(b) is met and the work is in the defenses. Ordinary course first, since it usually
    removes most, then new value on what remains.

    The range method gives a clear answer for most rows. Those a day or two outside the range could
    go either way before a judge; the schedule counts them as exposed, to be careful.
    """
)
