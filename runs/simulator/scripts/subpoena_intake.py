"""Litigation Support takes in a third-party subpoena and computes what is due when."""

from datetime import date

from runs.simulator.corpus.records import docket
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(
    title="Subpoena intake and deadlines", agent="Litigation Support", seconds=43, demo_weight=5
)
def subpoena_intake(run: Recorder) -> None:
    run.cast("Harrow Lane", "Orchard Lane", "Thistle Lane", "Mercer Lane")
    run.cast("Castor", "Hoistway", "Ascendia")
    run.ask(
        """
        Take in the third-party subpoena that was served on us this morning (vault {vault}). Say
        what is asked for, by whom, where and when it is returnable, whether service was proper,
        and when objections are due. Draft a hold notice for the two teams concerned.
        """,
        scope=1,
    )
    run.download(run.scope[0], "subpoena.txt", 14_208)
    run.read("/workspace/subpoena.txt", SUBPOENA)
    run.think(THOUGHTS[0])
    run.bash(
        'casedev legal:v1 docket --query "Harrow Lane Apartments v. Castor Elevator"',
        {
            "docket": {
                "caption": "Harrow Lane Apartments v. Castor Elevator (simulated)",
                "status": "discovery",
                "discoveryCloses": "2027-02-26",
                "protectiveOrder": True,
                "entries": docket(run.rng, date(2025, 2, 3), 24),
            }
        },
        took=2,
    )
    run.api("legal", "/legal/v1/docket", cost_micros=6_000)
    run.bash(
        'python3 -c "from datetime import date, timedelta as t; '
        "print(date(2026,11,23)+t(14), (date(2026,11,23)+t(14)).strftime('%A'))\"",
        "2026-12-07 Monday",
        took=0.1,
    )
    run.write("/workspace/hold_notice.md", HOLD)
    notice = run.upload("hold_notice.md")
    run.done(
        INTAKE,
        "Subpoena taken in: objections are due on December 7, compliance on December 21.",
        [notice],
        ["Request 6 may reach tenant data that is protected by state law."],
    )


THOUGHTS = paragraphs(
    """
    Served by hand on the receptionist, with a fee check that covers a witness but no mileage. For
    documents alone that does not matter. Objections are due fourteen days after service or before
    the time for compliance, whichever is earlier.
    """
)
SUBPOENA = """
SUBPOENA TO PRODUCE DOCUMENTS

To: Meridian Property Services, Inc.
Place: offices of Bellweather & Roe, 40 Dock Street, 3rd floor
Date and time: December 21, 2026, 10:00 a.m.

Schedule A
 1. Maintenance contracts for elevators at 11 Harrow Lane, 2021 to date.
 2. Work orders for car 2.
 3. Communications with Castor Elevator Company about car 2.
 4. Inspection certificates.
 5. Video of the lobby, August 30, 2026, 16:00 to 18:00.
 6. Complaints of tenants about any elevator.
 7. Invoices and proof of payment.
"""
HOLD = """
# Legal hold: 11 Harrow Lane, elevators

**Do not delete, overwrite or discard** documents about the elevators at 11 Harrow Lane.

- *Facilities*: contracts, work orders, certificates, invoices.
- *Security*: lobby video of August 30, 2026. Stop the 90-day overwrite **today**.

The hold lasts until Legal lifts it in writing. Questions: the legal operations desk.
"""
INTAKE = """
## Intake: subpoena in Harrow Lane v. Castor Elevator (simulated)

| | |
|---|---|
| Served | 2026-11-23, by hand, front desk |
| Issued by | Bellweather & Roe, for the plaintiff |
| Returnable | 2026-12-21, 10:00, 40 Dock Street |
| Seeks | Documents, seven requests; no testimony |
| **Objections due** | **Monday, 2026-12-07** |
| Protective order | Yes; ask for a copy before producing |

### Points

1. Service looks proper for a document subpoena.
2. **Video is overwritten after 90 days, on November 28.** Hold notice drafted.
3. Request 6 is broad ("any elevator") and may contain personal data of tenants.

> Objections must be served before the earlier of the time specified for compliance or 14 days
> after the subpoena is served.
"""
