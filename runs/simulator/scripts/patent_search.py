"""IP Docket Agent searches prior art for a battery enclosure."""

from runs.simulator.corpus.records import patents
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(
    title="Patent prior art search for a battery enclosure",
    agent="IP Docket Agent",
    seconds=224,
    demo_weight=3,
)
def patent_search(run: Recorder) -> None:
    run.ask(
        """
        Search patents and applications for prior art against claim 1 of our draft on a battery
        enclosure with a wetted-fiber barrier between stacked cells. Chart the five closest
        documents element by element and say which element looks novel. The draft is in vault
        {vault}.
        """,
        "Priority date is 2026-03-14. Anything published later is of interest for freedom to "
        "operate only; keep it apart.",
        scope=1,
    )
    run.download(run.scope[0], "draft_claims.txt", 9_204)
    run.read("/workspace/draft_claims.txt", CLAIMS)
    run.think(THOUGHTS[0])
    search(run)
    chart(run)
    uploaded = run.upload("claim_chart.md")
    run.done(
        CHART,
        """Five references charted. Elements [1a] to [1c] are known in combination; [1d], the
        capillary re-wetting from the vent side, was not found.""",
        [uploaded],
        [
            "Searches of non-patent literature were outside the tools of this agent.",
            "Two Japanese-language documents were read in machine translation.",
        ],
    )


def search(run: Recorder) -> None:
    run.wrong_flag(
        'casedev legal:v1 patents --query "wetted fiber barrier battery"',
        "patents (unknown command)",
        """
        Usage: casedev legal:v1 <command> --query <text>

        Commands:
          find            Search opinions, statutes and regulations
          research        Answer a question with sources
          patent-search   Search patents and applications
          docket          Search dockets
        """,
    )
    for query in (
        "wetted fiber barrier thermal runaway stacked cells",
        "capillary wick fire barrier between prismatic battery cells",
        "enclosure vent channel liquid reservoir cell propagation",
    ):
        run.legal("patent-search", query, patents(run.rng, 9))
    run.say(
        "Twenty-seven hits, eleven families after removing duplicates. The three from "
        "*Ostrava Thermal* share a specification; I keep the earliest."
    )
    run.think(THOUGHTS[1])
    run.api("legal", "/legal/v1/patent-search/families", status=404)
    run.bash(
        "casedev legal:v1 patent-search --family SIM-2019-448120",
        "Error: 404 family data not available for this publication\n\n(exit status 1)",
    )
    run.webfetch("https://patents.example/SIM-2019-448120/description", DESCRIPTION)


def chart(run: Recorder) -> None:
    run.todo("Read claims", "Search", "Read five closest", "Chart", done=3)
    run.think(THOUGHTS[2])
    run.write("/workspace/claim_chart.md", CHART)
    run.grep(
        "re-wet|capillar",
        [
            "SIM-2019-448120.txt:77: capillary action distributes the agent",
            "SIM-2022-310557.txt:41: the layer is wetted once, at assembly",
        ],
    )


THOUGHTS = paragraphs(
    """
    Claim 1 has four elements. [1a] stacked cells and [1b] a barrier are everywhere. The point is
    [1c], a fiber layer that holds liquid, together with [1d], which draws liquid from the vent
    side after the first wetting has boiled off. I will search for [1d] on its own as well.

    SIM-2019-448120 is the closest so far. It has the fiber layer and a reservoir. Whether its
    layer is wetted again after an event is the question; the abstract does not say.

    The description says "wetted once". The capillary passage is about assembly. So [1d] is missing
    from the closest document, and none of the others suggests it: they vent dry.
    """
)
CLAIMS = """
1. An enclosure for electrochemical cells, comprising:
   [1a] a plurality of cells arranged in a stack;
   [1b] a barrier between adjacent cells;
   [1c] the barrier comprising a fiber layer that retains a liquid; and
   [1d] a wick that extends from the fiber layer to a channel on the vent side and re-wets the
        layer by capillary action after the liquid has evaporated.
2. The enclosure of claim 1, wherein the liquid comprises water and a glycol.
3. The enclosure of claim 1, wherein the fiber layer is basalt.
"""
DESCRIPTION = """
# Description (extract)

The compartments between the cells are filled with a mat of mineral fibers. Before the housing is
closed the mat is wetted with 40 to 60 g of liquid for each cell. Capillary action distributes the
agent evenly. The layer is wetted once; a refill is not provided for, since the heat of the first
event is carried off by the vapor through the membrane ...
"""
CHART = """
# Claim chart: enclosure with wetted-fiber barrier

Priority date **2026-03-14**. Documents published later are listed apart.

| Document | [1a] stack | [1b] barrier | [1c] wetted fiber | [1d] re-wetting wick |
|---|---|---|---|---|
| SIM-2019-448120 (Ostrava Thermal) | yes | yes | **yes**, 4:12-30 | no, "wetted once" |
| SIM-2022-310557 (Voltmere Cells) | yes | yes | partly, gel | no |
| SIM-2015-207719 (Kestrel Mobility) | yes | yes | no, ceramic | no |
| SIM-2021-660084 (Voltmere Cells) | yes | no | no | wick, *for cooling only* |
| SIM-2018-914402 (Ostrava Thermal) | yes | yes | no | no |

## Reading

- [1a] to [1c] are disclosed **together** in SIM-2019-448120.
- [1d] was not found. The nearest is the wick of SIM-2021-660084, which carries coolant in normal
  operation. Its text leads away from use at high temperature:

  > Above 110 degrees the wick is closed off by the valve 14.

## Recommendation

Move [1d] to the front of the claim and add the vent-side channel to the independent method claim.

## Freedom to operate (published after the priority date)

1. SIM-2026-118230, pending, Kestrel Mobility: claims a wick of basalt. Watch.
"""
