"""Litigation Support puts a demand package together from records, bills and wage papers."""

from datetime import date

from runs.simulator.corpus.records import settlements, visits
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(title="Demand package for a collision claim", agent="Litigation Support", seconds=352)
def demand_package(run: Recorder) -> None:
    run.ask(
        """
        Assemble the demand package for our client's rear-end collision of January 17, 2024 from
        vault {vault}: facts, liability, treatment, specials, wage loss, and a demand with its
        reasoning. The carrier's policy limit is $500,000. Attach an exhibit list and upload both.
        """,
        "Every dollar needs a document. Leave out what has none and list it under open points.",
        scope=9,
    )
    gather(run)
    add_up(run)
    letter, exhibits = write(run)
    run.done(
        LETTER,
        """Demand letter and exhibit list uploaded. Documented specials are $143,912; the demand is
        at policy limits with a 30-day window.""",
        [letter, exhibits],
        [
            "Wage loss for March 2024 has no employer statement and was left out ($4,180).",
            "The police report supplement is cited in the main report but was not in the vault.",
        ],
    )


def gather(run: Recorder) -> None:
    run.think(THOUGHTS[0])
    names = [
        "police_report.pdf",
        "harborview_bill.pdf",
        "ortho_bill.pdf",
        "imaging_bill.pdf",
        "pt_ledger.pdf",
        "employer_statement.pdf",
        "photos.zip",
        "policy_dec_page.pdf",
        "surgery_bill.pdf",
    ]
    run.vault_objects(
        [
            {
                "id": identity,
                "filename": name,
                "sizeBytes": run.rng.randrange(90_000, 4_000_000),
                "ingestionStatus": "completed",
            }
            for identity, name in zip(run.scope, names, strict=True)
        ]
    )
    for number in (0, 1, 5):
        run.download(run.scope[number], names[number], run.rng.randrange(90_000, 900_000))
    run.read("/workspace/police_report.txt", POLICE)
    run.glob("*_bill*.txt", [f"/workspace/{name[:-4]}.txt" for name in names if "bill" in name])
    rows = visits(run.rng, date(2024, 1, 17), 26)
    run.bash(
        "cat *_bill.txt pt_ledger.txt | grep -E '^(DOS|CPT|TOTAL)'",
        "\n".join(
            f"DOS {row['dateOfService']}  CPT {run.rng.randrange(97_010, 99_499)}  "
            f"{row['specialty']:<22} ${row['billed']:>9,}.00  {row['bates']}"
            for row in rows
        ),
    )
    run.think(THOUGHTS[1])


def add_up(run: Recorder) -> None:
    run.bash(
        "python3 - <<'PY'\nimport csv\nrows = list(csv.DictReader(open('specials.csv')))\n"
        "print(sum(int(r['amount']) for r in rows))\nPY",
        'Traceback (most recent call last):\n  File "<stdin>", line 3, in <module>\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'specials.csv'",
        took=0.3,
    )
    run.write("/workspace/specials.csv", SPECIALS)
    run.bash("awk -F, 'NR>1 {s+=$3} END {print s}' specials.csv", "143912", took=0.1)
    run.tool(
        "casedev_vault_search",
        {"vaultId": run.vault, "query": "comparable settlements"},
        {"chunks": settlements(run.rng, 8)},
    )
    run.api("vault", "/vault/{vault}/search")
    run.say(
        "Documented specials: **$143,912**. Six comparables with surgery run from 2.3 to 3.9 "
        "times specials, so a demand at limits is within the range."
    )
    run.think(THOUGHTS[2])


def write(run: Recorder) -> tuple[str, str]:
    run.todo("Facts", "Liability", "Treatment", "Specials and wages", "Letter", "Exhibits", done=4)
    run.write("/workspace/demand_letter.md", LETTER)
    run.write("/workspace/exhibits.md", EXHIBITS)
    letter = run.upload("demand_letter.md")
    run.api("vault", "/vault/{vault}/upload", status=500)
    run.bash(
        "casedev vault upload --id {vault} --filename exhibits.md --content-type text/markdown",
        "Error: 500 upload failed, request id rq-51c0\n\n(exit status 1)",
        took=4,
    )
    run.wait(3)
    return letter, run.upload("exhibits.md")


THOUGHTS = paragraphs(
    """
    Nine objects are in scope. I start with the police report, because the liability section
    decides how firm the letter can be. Bills after that.

    The surgeon's bill and the facility's bill overlap on two codes. Counting both would be wrong
    and the adjuster will see it. I keep the facility line and note the other.

    March wages have no employer statement. The instruction is clear: leave them out and say so.
    A smaller number with paper behind it is worth more than a larger one without.
    """
)
POLICE = """
REPORT NO. 24-00417        DATE 01/17/2024        TIME 17:58
UNIT 1: northbound, stopped for signal.  UNIT 2: northbound, struck rear of unit 1.
DRIVER 2 STATEMENT: "I looked at my phone for the directions. He was stopped."
CONTRIBUTING: UNIT 2 inattention, following too closely.  UNIT 1: none.
CITATION ISSUED: UNIT 2.        WEATHER: clear, dry.
INJURY: UNIT 1 driver complains of neck and left shoulder pain. Transported.
See SUPPLEMENT 2 for measurements.
"""
SPECIALS = """
item,exhibit,amount
Emergency department,B,11840
Orthopedics,C,9215
Imaging,D,6470
Physical therapy (41 visits),E,18365
Surgery: facility and surgeon,F,71902
Medication,G,1180
Wage loss (documented),H,24940
"""
EXHIBITS = """
# Exhibits

| | Document | Pages |
|---|---|---:|
| A | Police report 24-00417 | 6 |
| B | Emergency department, records and bill | 44 |
| C | Orthopedics | 71 |
| D | Imaging | 18 |
| E | Physical therapy ledger | 33 |
| F | Surgery, operative report and bills | 29 |
| G | Pharmacy printout | 4 |
| H | Employer statement and pay stubs | 12 |
| I | Photographs | 16 |
| J | Declarations page of the policy | 2 |
"""
LETTER = """
# Demand for settlement within policy limits

**Claim of the driver of unit 1**, collision of January 17, 2024. Open for 30 days.

## Liability

Your insured struck a stopped car. Her statement to the officer:

> I looked at my phone for the directions. He was stopped.

She was cited; our client was not (Exhibit A).

## Treatment

- Transported to the emergency department; neck and left shoulder (B).
- Partial-thickness tear of the supraspinatus on MRI (D), 41 visits of therapy (E).
- Arthroscopic repair in the eleventh month (F). No lifting above ten pounds since.

## Specials

| Item | Exhibit | Amount |
|---|---|---:|
| Emergency department | B | $11,840 |
| Orthopedics | C | $9,215 |
| Imaging | D | $6,470 |
| Physical therapy | E | $18,365 |
| Surgery | F | $71,902 |
| Medication | G | $1,180 |
| Wage loss | H | $24,940 |
| **Total** | | **$143,912** |

## Demand

**$500,000, the policy limit.** Reported settlements with a surgical repair in this venue run from
2.3 to 3.9 times specials. The documented specials alone are 29 % of the limit, and the restriction
on lifting is permanent.

## Open points

1. Wages of March 2024 ($4,180) are not claimed: no employer statement.
2. Supplement 2 of the police report was requested on May 6.
"""
