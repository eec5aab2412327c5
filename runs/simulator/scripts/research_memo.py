"""Legal Researcher writes a memo on non-compete enforceability and stores it in the vault."""

from runs.simulator.corpus.records import authorities
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(
    title="Employment law research memo on non-compete covenants",
    agent="Legal Researcher",
    seconds=317,
    demo_weight=4,
)
def research_memo(run: Recorder) -> None:
    run.cast("regional sales director", "senior account executive", "clinical trainer")
    run.ask(
        """
        Research whether a two-year non-compete for a regional sales director can be enforced
        after she was dismissed without cause. The employer sits in one state and she works from
        another that disfavors such covenants. Write a memo with authorities, for and against, and
        upload it to vault {vault}.
        """,
        "Short answer first. Say plainly which authorities you could open and which you could not.",
    )
    search(run)
    weigh(run)
    memo = write(run)
    run.done(
        MEMO + f"\n---\nUploaded as `{memo}` (Markdown).\n",
        """Memo uploaded. Enforcement of the two-year term is unlikely as drafted; a 12-month
        limit on named accounts is defensible.""",
        [memo],
        [
            "One opinion was behind a login (403) and is cited from its abstract only.",
            "The choice-of-law clause is quoted from the prompt; the contract is not in the vault.",
        ],
    )


def search(run: Recorder) -> None:
    run.think(
        """
        Two questions hide here: which state's law applies, and what dismissal without cause does
        to the covenant. I will research them apart and only then combine.
        """
    )
    run.wrong_flag(
        'casedev legal:v1 find --q "non-compete dismissal without cause" --jurisdiction all',
        "--q",
        """
        Usage: casedev legal:v1 find --query <text> [--court <id>] [--from <date>] [--limit <n>]
        """,
    )
    for topic in (
        "non-compete covenants after dismissal without cause",
        "choice of law against a fundamental policy of the employee's state",
        "partial enforcement of an overbroad covenant",
    ):
        run.legal("find", topic, authorities(run.rng, topic, 7))
    run.bash(
        'casedev legal:v1 research --query "blue pencil doctrine sales director territory" '
        "--depth full",
        {"answer": RESEARCH, "sources": authorities(run.rng, "severance", 5)},
        took=14,
    )
    run.api("legal", "/legal/v1/research", cost_micros=42_000)
    run.downstream_llm("legal", "casemark/core-large", 18_400, 1_260)
    run.web_search(
        "state statutes limiting non-compete covenants notice and salary thresholds",
        [
            {
                "title": "Covenant statutes compared, 2026 table",
                "url": "https://law-tables.example/covenants",
                "snippet": "Thresholds by state ...",
            },
            {
                "title": "What employers must give in return",
                "url": "https://bar-notes.example/consideration",
                "snippet": "Garden leave ...",
            },
        ],
    )
    run.webfetch("https://law-tables.example/covenants", TABLE)
    run.api("search", "/search/v1/contents", status=403)
    run.tool(
        "webfetch",
        {"url": "https://reports.example/opinions/2291", "format": "text"},
        "Error: 403 Forbidden: this source requires a subscription",
        took=0.9,
    )


def weigh(run: Recorder) -> None:
    run.say(
        "I have the authorities for both questions. The choice-of-law point decides most of "
        "it, so the memo starts there."
    )
    run.think(
        """
        The cases split on dismissal without cause: some treat it as a failure of consideration,
        some as one factor in reasonableness. The split matters less here, because two years and
        "any competing business" fail on scope in either line.

        What would survive: 12 months, named accounts, with garden-leave pay. I should offer that
        as the fallback and mark it as a negotiation position, not as a prediction.
        """
    )
    run.bash(
        "casedev search:v1 contents --url https://bar-notes.example/consideration",
        {"url": "https://bar-notes.example/consideration", "text": NOTE},
        took=2.1,
    )
    run.api("search", "/search/v1/contents", cost_micros=3_000)


def write(run: Recorder) -> str:
    run.write("/workspace/noncompete_memo.md", MEMO)
    run.edit("/workspace/noncompete_memo.md", "cannot be enforced", "is unlikely to be enforced")
    run.bash(
        "wc -w noncompete_memo.md && grep -c 'SIM-' noncompete_memo.md",
        "412 noncompete_memo.md\n6",
        took=0.1,
    )
    memo = run.upload("noncompete_memo.md")
    run.api("vault", f"/vault/{run.vault}/objects/{memo}", method="GET", cost_micros=120)
    return memo


RESEARCH = (
    "Courts that sever do so where the covenant is divisible by its own words. Where the drafter "
    "chose one sweeping clause, most decline to rewrite it. A territory defined by the employee's "
    "actual accounts is treated more kindly than one defined by the employer's whole market."
)
NOTE = (
    "Pay during the restricted period is the best evidence that a covenant protects an interest "
    "and does not merely punish leaving. Half pay is common; full pay is rarely challenged."
)
TABLE = """
# Covenant statutes compared

| Group | Rule for covenants after dismissal | Salary threshold | Notice |
|---|---|---|---|
| I | Void against employees, with narrow exceptions | n/a | n/a |
| II | Enforceable above a threshold, with pay | yes, indexed yearly | 14 days before signing |
| III | Reasonableness, no statute | none | none |
| IV | Reasonableness, presumption up to 6 months | none | none |

Thresholds change each January. The table was last checked in the third quarter.
"""
MEMO = """
# Memorandum: non-compete of a regional sales director

## Question

Can a two-year covenant not to join "any competing business" be enforced after a dismissal without
cause, where the contract chooses the employer's law and the employee works elsewhere?

## Short answer

**Probably not as drafted.** The chosen law is likely to yield to the employee's home state, and
even under the chosen law the scope is wider than the interest it protects. A twelve-month limit on
named accounts, with pay, is defensible.

## Analysis

### 1. Which law applies

A court will honor the choice unless it offends a fundamental policy of a state with a materially
greater interest. She lives, works and was recruited in a *Group II* state.

- **For enforcement:** *Pinecrest Freight v. Tern Harbor (simulated)*, SIM-2016-411.
- **Against:** *Astoria Loft v. Quarry Bend (simulated)*, SIM-2021-207; *Marlowe Tool v. Larkspur
  Media (simulated)*, SIM-2019-538.

### 2. Dismissal without cause

> A promise not to compete is given for the job. When the employer takes the job away without
> reason, little is left to weigh on its side.
>
> SIM-2021-207, abstract

One line of authority treats this as decisive, another as one factor of reasonableness.

### 3. Scope

| Element | Clause | What the cases accept |
|---|---|---|
| Duration | 24 months | 6 to 12 for sales roles |
| Activity | "any competing business" | the role she had |
| Territory | nationwide | her accounts or region |
| Pay | none | half pay or more, in Group II |

### 4. Can it be narrowed?

Only where the clause is divisible by its own words. Here it is one sentence.

## Recommendation

1. Do not seek an injunction on the clause as it stands.
2. Offer garden leave: six months at full pay, limited to 14 named accounts.
3. Rely on the confidentiality covenant and the return-of-property clause meanwhile.

*All authorities marked (simulated) are invented for this demonstration.*
"""
