"""Due Diligence Associate works through a data room against a request list. The longest run."""

from runs.simulator.corpus.contracts import passages
from runs.simulator.corpus.text import lines, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

FOLDERS = lines(
    """
    01 Corporate|certificate, bylaws, cap table, board minutes 2021-2026
    02 Material contracts|customers above $500k, suppliers, leases
    03 Intellectual property|assignments, open source scan, registrations
    04 Employment|offer letters, handbook, option grants, contractors
    05 Litigation|pending, threatened, settlements
    06 Tax|returns 2022-2025, state nexus memo
    07 Privacy and security|policies, penetration test, incident log
    08 Insurance|declarations, loss runs
    """
)


@script(
    title="Due diligence checklist for an acquisition",
    agent="Due Diligence Associate",
    seconds=594,
)
def diligence_checklist(run: Recorder) -> None:
    run.cast("Quillon", "Verrano", "Ostlund", "Tessaly", "Brightmoor")
    run.ask(
        """
        Work through the data room of target Quillon Robotics in vault {vault} against our request
        list (8 sections, 96 items). For each item say received, partial or missing, with the file.
        Flag change-of-control and assignment restrictions, exclusivity, uncapped liability, and
        anything that a disclosure schedule must list. Upload the checklist and the red-flag memo.
        """,
        "Purchase by merger; signing in three weeks. The team cares most about the ten largest "
        "customers and about ownership of the firmware.",
    )
    run.think(THOUGHTS[0])
    run.todo(*[folder.split("|")[0] for folder in FOLDERS])
    for number, folder in enumerate(FOLDERS):
        name, content = folder.split("|")
        section(run, number, name, content)
    checklist, memo = write(run)
    run.done(
        MEMO,
        """96 items checked: 71 received, 14 partial, 11 missing. Five red flags, two of which
        concern consent of the largest customer and title to the firmware.""",
        [checklist, memo],
        [
            "Folder 06 Tax has two scans without text; read from the index only.",
            "The cap table file is protected by a password that is not in the vault.",
            "Item 3.7 (source code escrow) may exist under another name.",
        ],
    )


def section(run: Recorder, number: int, name: str, content: str) -> None:
    prefix = name.split()[0]
    files = [
        f"{prefix}.{index:02d} {part.strip().title()}.pdf"
        for index, part in enumerate(content.split(","), 1)
    ]
    run.glob(f"/vault/{name}/**/*.pdf", [f"/vault/{name}/{file}" for file in files])
    topics = [
        ["term", "assignment"],
        ["assignment", "liability"],
        ["assignment", "confidentiality"],
        ["confidentiality", "term"],
        ["liability", "indemnification"],
        ["term", "liability"],
        ["data", "liability"],
        ["indemnification", "liability"],
    ][number]
    run.vault_search(
        f"{name[3:].lower()} change of control assignment consent",
        passages(run.rng, topics, files, 7),
    )
    if number in (1, 2, 6):
        run.vault_search(QUERIES[number], passages(run.rng, topics[::-1], files, 6))
        run.think(THOUGHTS[{1: 1, 2: 2, 6: 3}[number]])
    if number == 3:
        run.wrong_flag(
            'casedev vault search --id {vault} --query "contractor assignment" --folder "04"',
            "--folder",
            """
            Usage: casedev vault search --id <vault-id> --query <text> [--limit <n>]
                   [--filter path=<prefix>]
            """,
        )
        run.bash(
            'casedev vault search --id {vault} --query "contractor assignment" --filter path="04"',
            {"chunks": passages(run.rng, ["assignment"], files, 4)},
        )
        run.api("vault", "/vault/{vault}/search")
    if number == 5:
        run.api("ocr", "/ocr/v1/process", status=422, metadata={"file": "06.01.pdf"})
    run.edit(
        "/workspace/checklist.md", f"| {prefix} | pending |", f"| {prefix} | {STATUS[number]} |"
    )
    run.say(f"**{name}**: {STATUS[number]}. {REMARKS[number]}")


def write(run: Recorder) -> tuple[str, str]:
    run.think(THOUGHTS[4])
    run.write("/workspace/checklist.md", CHECKLIST)
    run.write("/workspace/red_flags.md", MEMO)
    with run.together():
        checklist = run.upload("checklist.md")
        memo = run.upload("red_flags.md")
    run.tool(
        "casedev_matter_write",
        {"path": "diligence/status.md", "content": "Complete; 5 flags"},
        {"ok": True, "version": 14},
    )
    return checklist, memo


QUERIES = {
    1: "exclusivity most favored nation minimum purchase",
    2: "firmware invention assignment contractor work made for hire",
    6: "security incident notification unauthorized access",
}
STATUS = lines(
    """
    11 received, 1 partial, 1 missing
    14 received, 4 partial, 2 missing
    8 received, 2 partial, 3 missing
    12 received, 1 partial, 1 missing
    5 received, 1 partial, 0 missing
    6 received, 2 partial, 2 missing
    9 received, 2 partial, 1 missing
    6 received, 1 partial, 1 missing
    """
)
REMARKS = lines(
    """
    Minutes of the March 2025 meeting refer to a side letter that is not there.
    Two of the ten largest customers need consent; one has a price guarantee.
    Two contractors wrote firmware without a signed assignment.
    Acceleration on a change of control for four executives.
    One pending matter, reserved; nothing threatened in writing.
    State nexus memo is a draft; two scans have no text.
    One incident in 2025, reported to customers within 72 hours.
    Cyber cover excludes incidents before the retroactive date.
    """
)
THOUGHTS = paragraphs(
    """
    Ninety-six items in eight folders. I take one folder at a time, record what is there before I
    judge it, and keep the red flags apart so that a missing file is not mistaken for a risk.

    The largest customer's agreement treats a merger as an assignment, expressly. The structure of
    the deal does not help here. That is a consent before signing, not after.

    Two contractor agreements say "work made for hire" and have no present assignment. Firmware is
    not in the statutory list, so title probably stayed with the contractors. This is the most
    important finding of the folder.

    The incident log is complete, and the notices went out in time. The weak point is insurance,
    not notice: the retroactive date is after the incident.

    Counting again: 71 received, 14 partial, 11 missing makes 96. The memo should lead with the two
    points that change the timetable, then those that change the price.
    """
)
CHECKLIST = """
# Request list: status

| Section | Items | Received | Partial | Missing |
|---|---:|---:|---:|---:|
| 01 Corporate | 13 | 11 | 1 | 1 |
| 02 Material contracts | 20 | 14 | 4 | 2 |
| 03 Intellectual property | 13 | 8 | 2 | 3 |
| 04 Employment | 14 | 12 | 1 | 1 |
| 05 Litigation | 6 | 5 | 1 | 0 |
| 06 Tax | 10 | 6 | 2 | 2 |
| 07 Privacy and security | 12 | 9 | 2 | 1 |
| 08 Insurance | 8 | 6 | 1 | 1 |
| **Total** | **96** | **71** | **14** | **11** |
"""
MEMO = """
# Quillon Robotics: red flags

## They change the timetable

1. **Consent of the largest customer** (31 % of revenue). The agreement says at 17.2:

   > A merger, by operation of law or otherwise, is an assignment for purposes of this Section.

   Ask for consent before signing. The notice period is 45 days.
2. **Title to the firmware.** Two contractors (2019-2021) have no present assignment. Obtain
   confirmatory assignments as a condition of closing.

## They change the price

| Flag | Source | Exposure | Proposal |
|---|---|---|---|
| Price guarantee to customer no. 4 | 02.07, 6.3 | 3-5 % of its volume | Special indemnity |
| Acceleration, four executives | 04.02 | about $2.1 million | Reduce price or roll over |
| Cyber cover excludes the 2025 incident | 08.01 | unknown | Tail cover, escrow 18 months |

## For the disclosure schedules

- 3.4: open source in the motion library (LGPL, dynamically linked, *acceptable*).
- 3.12: incident of 2025, closed.
- 3.15: draft nexus memo, four states.

## Missing, and why it matters

1. Side letter named in the minutes of March 2025.
2. Source code escrow agreement (item 3.7).
3. State returns for 2023 in two states.
4. Assignment from the founder for work before incorporation.

**Count:** 71 received, 14 partial, 11 missing, of 96.
"""
