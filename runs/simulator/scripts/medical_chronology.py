"""Medical Chronologist orders two years of records from six providers."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from runs.simulator.corpus.records import visits
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

PROVIDERS = [
    "Harborview_ED",
    "Tri_County_Ortho",
    "Northside_Imaging",
    "Cedar_PT",
    "Lakeshore_Primary_Care",
    "Summit_Pain",
]
GAP_DAYS = 66


@script(
    title="Medical chronology from treatment records", agent="Medical Chronologist", seconds=536
)
def medical_chronology(run: Recorder) -> None:
    run.ask(
        """
        Build a medical chronology for our client from the records in vault {vault}: six
        providers, about 2,100 pages. One row a visit with date, provider, complaint, finding,
        treatment, amount billed and Bates page. Flag gaps in treatment of more than 60 days and
        anything that points to a prior condition. Upload it as Markdown.
        """,
        "Do not diagnose and do not characterize. Quote where a word matters, for example "
        "'degenerative' or 'acute'.",
        scope=6,
    )
    rows = with_gaps(visits(run.rng, date(2024, 1, 17), 34))
    run.todo(
        "Download six record sets",
        "OCR what has no text",
        "Extract visits",
        "Check gaps and prior conditions",
        "Write chronology",
    )
    for number, provider in enumerate(PROVIDERS):
        extract(run, number, provider, rows[number::6])
    check(run, rows)
    chronology = write(run, rows)
    run.done(
        report(rows) + f"\nFull chronology: `{chronology}`\n",
        f"""Chronology of {len(rows)} visits with six providers; {len(gaps(rows))} gaps and one
        mention of a prior condition flagged.""",
        [chronology],
        [
            "Northside_Imaging pages 212-240 are faxes; OCR confidence below 70 %.",
            "Summit_Pain has no billing records: amounts are from the ledger of Lakeshore.",
        ],
    )


def extract(run: Recorder, number: int, provider: str, rows: list[dict[str, Any]]) -> None:
    pages = run.rng.randrange(180, 560)
    run.download(run.scope[number], f"{provider}.pdf", pages * 61_000)
    if number == 2:
        run.bash(
            f"casedev ocr process --file {provider}.pdf --lang eng",
            "Error: 500 internal error (job ocr-7716)\n\n(exit status 1)",
            took=9,
        )
        run.api("ocr", "/ocr/v1/process", status=500)
        run.wait(4)
    if number in (2, 5):
        run.bash(
            f"casedev ocr process --file {provider}.pdf",
            {
                "pages": pages,
                "textFile": f"/workspace/{provider}.txt",
                "meanConfidence": 0.71 if number == 2 else 0.93,
            },
            took=38,
        )
        run.api("ocr", "/ocr/v1/process", cost_micros=pages * 150, metadata={"pages": pages})
    else:
        run.bash(
            f"pdftotext -layout {provider}.pdf && wc -l {provider}.txt",
            f"{pages * 44} {provider}.txt",
            took=3,
        )
    run.grep(
        "date of service|DOS:",
        [
            f"{provider}.txt:{run.rng.randrange(30, 9000)}: DOS: {row['dateOfService']}  "
            f"{row['provider']}"
            for row in rows
        ],
    )
    run.read(f"/workspace/{provider}.txt", "\n".join(note(row) for row in rows), offset=1)
    run.think(THOUGHTS[number])


def note(row: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"DOS: {row['dateOfService']}      Provider: {row['provider']} ({row['specialty']})",
            f"Chief complaint: {row['complaint']}",
            f"Assessment: {row['finding']}",
            "Plan: continue current regimen; return as scheduled; patient understands.",
            f"Charges: ${row['billed']:,}.00          {row['bates']}",
            "-" * 72,
        ]
    )


def with_gaps(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move all visits from the 12th, and again from the 24th, so that two gaps open."""
    shift = timedelta(0)
    for number, row in enumerate(rows):
        if number in (12, 24):
            shift += timedelta(days=GAP_DAYS)
        row["dateOfService"] = (date.fromisoformat(row["dateOfService"]) + shift).isoformat()
    return rows


def gaps(rows: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Pauses of more than 60 days as (last visit before, first after, days)."""
    found = []
    for before, after in pairwise(row["dateOfService"] for row in rows):
        days = (date.fromisoformat(after) - date.fromisoformat(before)).days
        if days > 60:
            found.append((before, after, days))
    return found


def check(run: Recorder, rows: list[dict[str, Any]]) -> None:
    run.say(
        f"All six sets are read: **{len(rows)} visits**. Now the gaps and any word that "
        "points to an earlier condition."
    )
    run.grep(
        "degenerative|pre-existing|prior injury|chronic",
        [
            "Northside_Imaging.txt:1188: mild degenerative change at C5-C6, age-appropriate",
            "Tri_County_Ortho.txt:402: denies prior injury to the left shoulder",
            "Lakeshore_Primary_Care.txt:77: 2021: low back strain after moving house, resolved",
        ],
    )
    run.bash(
        "python3 gaps.py --limit 60 visits.csv",
        "\n".join(f"gap: {begin} -> {end} ({days} days)" for begin, end, days in gaps(rows)),
        took=0.4,
    )
    run.think(
        """
        The imaging report says "mild degenerative change ... age-appropriate". The defense will
        quote the first half. The chronology must quote the whole phrase. The 2021 back strain is a
        prior condition by date, recorded as resolved; flag it without comment.
        """
    )


def write(run: Recorder, rows: list[dict[str, Any]]) -> str:
    run.write("/workspace/chronology.md", table(rows))
    run.edit(
        "/workspace/chronology.md",
        "degenerative change",
        '"mild degenerative change at C5-C6, age-appropriate"',
    )
    return run.upload("chronology.md")


def table(rows: list[dict[str, Any]]) -> str:
    head = [
        "| Date | Provider | Specialty | Complaint | Finding | Billed | Page |",
        "|---|---|---|---|---|---:|---|",
    ]
    return "\n".join(
        head
        + [
            f"| {row['dateOfService']} | {row['provider']} | {row['specialty']} "
            f"| {row['complaint']} | {row['finding']} | ${row['billed']:,} | {row['bates']} |"
            for row in rows
        ]
    )


def report(rows: list[dict[str, Any]]) -> str:
    billed = sum(row["billed"] for row in rows)
    first, second = gaps(rows)[:2]
    return f"""
# Medical chronology

**{len(rows)} visits**, {rows[0]["dateOfService"]} to {rows[-1]["dateOfService"]}, six providers.
Billed in total: **${billed:,}** (provider ledgers; not all paid).

## Flags

1. **Gap of {first[2]} days**, {first[0]} to {first[1]}. The note on return says "returned after
   authorization lapsed".
2. **Gap of {second[2]} days**, {second[0]} to {second[1]}. No reason is recorded.
3. **Prior condition.** Primary care, 2021:

   > low back strain after moving house, resolved

4. Imaging, cervical spine: *"mild degenerative change at C5-C6, age-appropriate"*.

## First visits

""" + table(rows[:10])


THOUGHTS = paragraphs(
    """
    Emergency records are complete, with triage at 18:42 on the day of the collision.

    Orthopedics dictates long notes; the date at the top is the dictation date, not the visit.
    I take the date of service from the charge line.

    OCR failed once and then gave 71 % confidence. I will mark rows that come from fax pages.

    Therapy notes repeat the same plan each time. One row a visit is still what was asked for.

    Primary care goes back to 2021. Visits before the accident stay out of the table but the
    back strain has to be flagged.

    Pain management has procedure notes only. Amounts have to come from the other ledger.
    """
)
