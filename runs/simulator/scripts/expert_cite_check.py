"""Litigation Support checks every citation of an expert report against its source."""

from typing import Any

from runs.simulator.corpus.text import lines, markdown, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(title="Expert report cite-check", agent="Litigation Support", seconds=412)
def expert_cite_check(run: Recorder) -> None:
    run.ask(
        """
        Cite-check the report of our damages expert in vault {vault} (38 footnotes) against the
        sources in the same vault. For each footnote: does the source exist, does the page say what
        the report says, is the number right? List errors by severity and upload the table.
        """,
        "The other side will depose him on Thursday. Anything that he would have to concede goes "
        "first.",
        scope=1,
    )
    run.download(run.scope[0], "expert_report.txt", 164_220)
    run.read("/workspace/expert_report.txt", "\n".join(NOTES), offset=900)
    run.think(THOUGHTS[0])
    for number, line in enumerate(NOTES):
        check(run, number, line)
    run.think(THOUGHTS[2])
    run.write("/workspace/cite_check.md", REPORT)
    table = run.upload("cite_check.md")
    run.done(
        REPORT,
        """38 footnotes checked: 31 correct, 4 with small errors, 2 wrong in substance, 1 source
        not found. Footnote 17 must be corrected before the deposition.""",
        [table],
        [
            "The source of footnote 29 is not in the vault and was not found by search.",
            "Two web sources were checked in their present form, not as of the date of the report.",
        ],
    )


def check(run: Recorder, number: int, line: str) -> None:
    note, source, quote = line.split("|")
    if number == 3:
        run.wrong_flag(
            f'casedev vault search --id {{vault}} --query "{quote[:40]}" --exact',
            "--exact",
            """
            Usage: casedev vault search --id <vault-id> --query <text> [--method keyword]
            """,
        )
    run.bash(
        f'casedev vault search --id {{vault}} --query "{quote[:48]}" --method keyword',
        {"chunks": [] if note == "29" else found(run, source, quote)},
        took=1.2,
    )
    run.api("vault", "/vault/{vault}/search")
    if note == "29":
        run.api("vault", "/vault/{vault}/objects/obj_fn29", method="GET", status=404)
    if number in (4, 9):
        run.think(THOUGHTS[1] if number == 4 else THOUGHTS[3])
    if number % 4 == 3:
        run.say(f"Footnotes up to {note} are checked; {REMARKS[number // 4]}")


def found(run: Recorder, source: str, quote: str) -> list[dict[str, Any]]:
    context = run.rng.sample(CONTEXT, 3)
    return [
        {
            "filename": source,
            "page": run.rng.randrange(3, 120),
            "score": 0.97,
            "text": f"{context[0]} {quote}. {context[1]}",
        },
        {"filename": source, "page": run.rng.randrange(3, 120), "score": 0.61, "text": context[2]},
    ]


NOTES = lines(
    """
    3|Industry_Outlook_2025.pdf|shipments fell by 4.1 per cent in the second quarter
    6|Dep_Okonjo.pdf|we lost two accounts, not because of the recall
    9|Annual_Report_2024.pdf|revenue of the segment was $212.6 million
    11|Annual_Report_2023.pdf|gross margin of the segment was 31.8 per cent
    17|Price_File_2022_2025.xlsx|average net price of $41.20
    21|Industry_Outlook_2025.pdf|three competitors entered the market in 2024
    24|Board_Deck_March.pdf|management expects recovery by the third quarter
    26|Dep_Brandvold.pdf|I would call it a soft year for everybody
    29|Trade_Letter_88.pdf|distributors returned 9 per cent of units
    31|Rate_Study.pdf|a discount rate between 11 and 13 per cent
    35|Annual_Report_2024.pdf|capital expenditure was reduced to $8.9 million
    38|Price_File_2022_2025.xlsx|rebates are not included in the list price
    """
)
CONTEXT = paragraphs(
    """
    The table on the facing page breaks this down by region and by channel.

    Management attributes the change to mix rather than to price.

    Figures are unaudited and may be restated in the next period.

    Returns are recorded in the month of receipt, not in the month of sale.

    The survey covered 214 firms, of which 168 answered in full.

    A different method was used before 2022 and the series is not comparable.
    """
)
REMARKS = lines(
    """
    only typographical errors so far.
    footnote 17 has a wrong number, which feeds table 6.
    footnote 29 has no source; the others agree with theirs.
    """
)
THOUGHTS = paragraphs(
    """
    I check the quotations by keyword search, not by meaning: a paraphrase must not count as found.
    Numbers are compared digit by digit.

    Footnote 17 says $41.20 and the price file says $40.12 for the same cell. Digits are swapped.
    It feeds table 6, so the lost-profit figure changes as well. This is the first point of the
    memo.

    Severity: what changes a number first, then what he would have to concede, then form. Footnote
    6 quotes half a sentence. The other half hurts us and he must know it before Thursday.

    The rate study gives 11 to 13 per cent; the report uses 10.5 in the text and 11 in the model.
    """
)
REPORT = markdown("cite_check")
