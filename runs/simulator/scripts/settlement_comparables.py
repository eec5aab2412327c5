"""Litigation Support finds comparable settlements and computes a range."""

from statistics import quantiles
from typing import Any

from runs.simulator.corpus.records import settlements
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(
    title="Settlement comparables for a shoulder injury",
    agent="Litigation Support",
    seconds=131,
    model="casemark/core-large",
    demo_weight=3,
)
def settlement_comparables(run: Recorder) -> None:
    run.ask(
        """
        Find comparable settlements for a shoulder injury with surgery and $144,000 in specials,
        in suburban counties since 2019. Give the range as a multiple of specials, say how thin the
        data is, and list the five closest.
        """
    )
    rows = settlements(run.rng, 36)
    run.think(THOUGHTS[0])
    run.bash(
        'casedev search:v1 search --q "shoulder surgery settlement suburban county"',
        "Error: unknown flag: --q\n\nUsage: casedev search:v1 search --query <text> "
        "[--limit <n>] [--recency <days>]\n\n(exit status 2)",
        took=0.3,
    )
    run.web_search("shoulder surgery settlement suburban county 2019..2026", rows[:12])
    run.vault_search(
        "settlement amount specials rotator cuff surgery",
        [
            {"filename": "settlements_2019_2026.csv", "row": number, **row}
            for number, row in enumerate(rows, 1)
        ],
    )
    run.api(
        "search", "/search/v1/contents", status=404, metadata={"url": "https://verdicts.example"}
    )
    run.tool(
        "dataframe_query",
        {"file": "settlements_2019_2026.csv", "query": "injury == 'rotator cuff repair'"},
        chosen(rows),
        took=2,
    )
    run.think(THOUGHTS[1])
    run.done(
        report(rows),
        "Comparables found; the interquartile range is reported with a caution about sample size.",
        [],
        ["Reported settlements are not a random sample: small ones are seldom reported."],
    )


def chosen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    close = [row for row in rows if row["injury"] == "rotator cuff repair"]
    return sorted(close, key=lambda row: abs(row["specials"] - 144_000))


def report(rows: list[dict[str, Any]]) -> str:
    low, middle, high = quantiles([row["multiple"] for row in rows], n=4)
    table = "\n".join(
        f"| {row['matter']} | {row['venue']} | {row['year']} | ${row['specials']:,} "
        f"| ${row['amount']:,.0f} | {row['multiple']:.2f} |"
        for row in chosen(rows)[:5]
    )
    return (
        f"""
## Comparable settlements

**{len(rows)} reported settlements**, of which {len(chosen(rows))} with a rotator cuff repair.

| Quartile | Multiple of specials | On $144,000 |
|---|---:|---:|
| Lower | {low:.2f} | ${144_000 * low:,.0f} |
| Median | {middle:.2f} | ${144_000 * middle:,.0f} |
| Upper | {high:.2f} | ${144_000 * high:,.0f} |

### The closest by specials

| Matter | Venue | Year | Specials | Amount | Multiple |
|---|---|---:|---:|---:|---:|
"""
        + table
        + """

> A multiple describes what was paid. It is not a rule and no adjuster is bound by it.

- The sample is **thin**: a single large case moves the upper quartile.
- Wage loss is inside specials in some reports and outside in others.
"""
    )


THOUGHTS = paragraphs(
    """
    The vault has a table of reported settlements. Public search may add some. Multiples are crude,
    so I will give quartiles rather than an average and say what is not comparable.

    One page of the public source is gone (404). The vault table has enough rows without it. The
    outlier at the top has a permanent impairment rating, which our client does not have yet.
    """
)
