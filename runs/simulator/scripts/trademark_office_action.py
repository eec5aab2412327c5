"""IP Docket Agent prepares a response to a likelihood-of-confusion refusal."""

from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(title="Trademark office action response", agent="IP Docket Agent", seconds=154)
def trademark_office_action(run: Recorder) -> None:
    run.ask(
        """
        Prepare a draft response to the office action on the mark NORTHLOAF for bakery mixes: a
        refusal for likelihood of confusion with NORTH LEAF for tea, and a request to amend the
        identification. Use the file in vault {vault}. Say honestly how strong the argument is.
        """,
        "Response is due December 30, 2026; one extension is available.",
        scope=1,
    )
    run.download(run.scope[0], "office_action.txt", 31_002)
    run.read("/workspace/office_action.txt", ACTION)
    run.think(THOUGHTS[0])
    run.bash(
        'casedev search:v1 search --query "third-party registrations LOAF LEAF class 30"',
        {"results": MARKS, "total": 61},
        took=2,
    )
    run.api("search", "/search/v1/search", cost_micros=5_000)
    run.api("search", "/search/v1/search", status=500)
    run.bash(
        'casedev search:v1 search --query "bakery mix and tea same source evidence"',
        "Error: 500 upstream timeout\n\n(exit status 1)",
        took=11,
    )
    run.bash(
        'casedev search:v1 search --query "bakery mix tea same brand"',
        {
            "results": [
                {"brand": "invented grocer 1", "sells": ["tea", "cake mix"]},
                {"brand": "invented grocer 2", "sells": ["tea"]},
            ]
        },
        took=3,
    )
    run.api("search", "/search/v1/search", cost_micros=5_000)
    run.say(
        "The goods argument is weak: general grocers sell both under one mark. The marks "
        "themselves differ more than the examining attorney allows."
    )
    run.think(THOUGHTS[1])
    run.write("/workspace/response_draft.md", RESPONSE)
    run.edit("/workspace/response_draft.md", "bakery goods", "mixes for making bakery goods")
    draft = run.upload("response_draft.md")
    run.done(
        RESPONSE,
        """Draft response uploaded. The argument on the marks is fair, that on the goods weak; a
        consent agreement is the better route if the registrant can be reached.""",
        [draft],
        ["Evidence of actual use by the registrant after 2024 was not found."],
    )


THOUGHTS = paragraphs(
    """
    Two requirements. The identification is easy: "bakery goods" is too broad for the class, "mixes
    for making bakery goods" is in the manual. The refusal is the work. One letter apart in sight,
    but LOAF and LEAF are common words with different meanings.

    I will not argue the goods at length. The record would be filled with grocers who sell both.
    Lead with meaning and with the crowded field, and offer a consent agreement as a fallback.
    """
)
ACTION = """
OFFICE ACTION (NON-FINAL)               APPLICATION: simulated 99/000,417

SECTION 2(d) REFUSAL: LIKELIHOOD OF CONFUSION
Applied-for mark: NORTHLOAF (standard characters), "bakery goods", class 30
Registered mark:  NORTH LEAF (standard characters), "tea; herbal tea", class 30

The marks are similar in appearance and sound, differing by one letter and a space. Attached
evidence from four retailers shows that tea and bakery goods commonly emanate from one source.

IDENTIFICATION OF GOODS
"Bakery goods" is indefinite and must be amended. Suggested: "mixes for making bakery goods".

RESPONSE is due within three months of the issue date. One three-month extension may be requested.
"""
MARKS = [
    {"mark": "NORTH STAR LEAF", "goods": "tea", "status": "registered"},
    {"mark": "LOAF & LEAF", "goods": "cafe services", "status": "registered"},
    {"mark": "NORTHERN LOAF", "goods": "bread", "status": "abandoned"},
    {"mark": "TRUE NORTH BAKES", "goods": "cake mixes", "status": "registered"},
    {"mark": "NORTHFIELD TEA", "goods": "tea", "status": "registered"},
    {"mark": "LEAF NORTH", "goods": "tea infusers", "status": "pending"},
]
RESPONSE = """
# Response to office action: NORTHLOAF

## 1. Identification

Please amend to: *"mixes for making bakery goods"*, class 30.

## 2. Likelihood of confusion

### The marks

| | NORTHLOAF | NORTH LEAF |
|---|---|---|
| Words | one | two |
| Meaning | bread from the north | foliage; a leaf that points north |
| Sound | "loaf" | "leaf" |
| Commercial impression | baking | tea |

The one letter carries the meaning. Consumers of staple foods know both words from childhood and
read them at once, each for its own product.

### The field

NORTH is common for foods: four registrations coexist on the register with tea or baking goods.
Where many use an element, small differences suffice.

### The goods

Applicant does not dispute that some retailers sell both.

> The examining attorney's evidence shows general grocers. A grocer's mark on two shelves does not
> show that specialists in tea are thought to make cake mix.

## 3. Strength, for the file only

- Marks: **fair**. Goods: **weak**. Overall somewhat below even.
- Better: a **consent agreement** with the registrant, with trade dress apart.
- Docket: response December 30, 2026; extension to March 30, 2027.
"""
