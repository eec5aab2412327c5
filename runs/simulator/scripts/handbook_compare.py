"""Legal Researcher compares two editions of an employment handbook."""

from runs.simulator.corpus.text import lines, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(title="Employment handbook comparison", agent="Legal Researcher", seconds=171)
def handbook_compare(run: Recorder) -> None:
    run.cast("Ferncliff", "Rosewater", "Aldershaw", "Pinehollow")
    run.ask(
        """
        Compare the 2024 and 2026 editions of the Ferncliff Hospitality employee handbook in vault
        {vault}. List every change of substance, say for each whether it helps or hurts the
        employee, and flag policies that conflict with state law where we have staff: leave,
        scheduling, final pay and arbitration.
        """,
        "We have staff in six states. Where the states differ, say which one is strictest.",
        scope=2,
    )
    with run.together():
        run.download(run.scope[0], "handbook_2024.txt", 201_118)
        run.download(run.scope[1], "handbook_2026.txt", 223_904)
    run.think(THOUGHTS[0])
    run.bash(
        "diff -u <(fmt -w 100 handbook_2024.txt) <(fmt -w 100 handbook_2026.txt)",
        "bash: -c: line 1: syntax error near unexpected token `('\n\n(exit status 2)",
        took=0.2,
    )
    run.bash(
        "fmt -w 100 handbook_2024.txt > a.txt; fmt -w 100 handbook_2026.txt > b.txt; "
        "diff -u a.txt b.txt | head -120",
        DIFF,
        took=0.6,
    )
    run.read("/workspace/handbook_2026.txt", "\n".join(POLICIES * 3), offset=640)
    run.think(THOUGHTS[1])
    for query in (
        "final pay deadline on termination by state",
        "predictive scheduling notice hours",
        "arbitration clause handbook illusory modification",
    ):
        run.legal(
            "find",
            query,
            [
                {"title": row.split("|")[0], "state": row.split("|")[1], "text": row.split("|")[2]}
                for row in STATUTES
            ],
        )
    run.say(
        "Eleven changes of substance. Four favor the employee, five the employer, two are "
        "neutral. Three need attention before the handbook goes out."
    )
    run.write("/workspace/handbook_changes.md", REPORT)
    report = run.upload("handbook_changes.md")
    run.done(
        REPORT,
        """Eleven substantive changes between the editions; the unilateral-modification sentence
        endangers the arbitration clause and should be fixed before publication.""",
        [report],
        ["Appendix C (union sites) is a separate document and was not in scope."],
    )


THOUGHTS = paragraphs(
    """
    A line diff will be noisy because the chapters moved. I reflow both texts first and then look
    at the hunks that change a number, a duty or a right.

    Two hunks belong together. Section 2.4 now lets the company change "any policy, including the
    arbitration policy, at any time without notice". Arbitration in section 14 is otherwise fair.
    Courts look at both and may call the promise to arbitrate illusory.
    """
)
DIFF = """
--- a.txt
+++ b.txt
@@ -88,7 +88,8 @@ 2.4 Changes
-The Company may revise this handbook and will give 30 days' notice of material changes.
+The Company may revise any policy in this handbook, including the arbitration policy, at any time
+with or without notice.
@@ -301,6 +303,9 @@ 6.2 Schedules
-Schedules are posted on Thursday for the following week.
+Schedules are posted on Friday for the following week. The Company may change a posted shift to
+meet business needs. Premium pay applies where required by law.
@@ -417,5 +422,5 @@ 8.1 Leave
-Unused sick leave carries over up to 40 hours.
+Unused sick leave does not carry over; it is front-loaded each January 1 (56 hours).
@@ -590,4 +595,4 @@ 11.6 Final pay
-Final wages are paid on the next regular payday or earlier if the law so requires.
+Final wages are paid on the next regular payday.
@@ -702,8 +707,14 @@ 14 Arbitration
-Disputes are resolved by arbitration. Each party bears its own costs.
+Disputes are resolved by arbitration before a single neutral. The Company pays all fees of the
+arbitrator beyond the filing fee of a court. Claims that by law cannot be arbitrated are excluded.
""".strip()
POLICIES = lines(
    """
    8.1  Sick leave of 56 hours is available from January 1, or pro rata from the date of hire.
    8.2  Bereavement leave of up to five days, of which three are paid.
    8.3  Leave to vote: up to two hours, paid, if the polls are open for less than three.
    9.1  Meal period of 30 minutes before the end of the fifth hour. It may be waived in writing.
    9.4  Tips belong to the employee. Supervisors do not take part in a pool.
    11.2 Deductions are made only with a signed authorization for each occasion.
    11.6 Final wages are paid on the next regular payday.
    12.1 Personal phones may be searched on Company premises.
    12.3 Employees may discuss wages and conditions with anyone.
    14.2 Either party may seek relief in aid of arbitration from a court.
    """
)
STATUTES = lines(
    """
    Final wages|State A|due at the time of discharge; a penalty of a day's wages for each day late
    Final wages|State B|due within 72 hours
    Final wages|State C|due on the next payday
    Scheduling|State D|fourteen days' notice; premium pay of one hour for each change
    Phone search|State E|consent needed for each search of a personal device
    """
)
REPORT = """
# Handbook 2024 to 2026: changes of substance

| # | Section | Change | For the employee | Conflict |
|---|---|---|---|---|
| 1 | 2.4 | Any policy may change without notice | Worse | **Endangers section 14** |
| 2 | 6.2 | Schedules a day later | Worse | **State D: 14 days** |
| 3 | 8.1 | 56 hours up front, no carry-over | Better | none |
| 4 | 8.2 | Bereavement five days | Better | none |
| 5 | 9.1 | Waiver of meal period in writing | Neutral | none |
| 6 | 11.6 | "or earlier if the law requires" deleted | Worse | **State A: at discharge** |
| 7 | 12.1 | Phone searches on premises | Worse | State E: consent each time |
| 8 | 12.3 | Wage discussions, clearer | Better | none |
| 9 | 14 | Company pays the arbitrator | Better | none |
| 10 | 14.2 | Relief in aid of arbitration | Neutral | none |
| 11 | 15 | Shorter period to complain, 90 days | Worse | check in State B |

## The three to fix first

1. **2.4 with 14.** A promise that one side may withdraw at any time is no promise. Add:
   *"Changes to section 14 take effect after 30 days' notice and not for disputes already known."*
2. **11.6.** Restore the deleted words. State A is the strictest: wages are due at discharge.
3. **6.2.** Carve out State D, or post fourteen days ahead everywhere.

> Final wages are paid on the next regular payday. (2026, 11.6)
"""
