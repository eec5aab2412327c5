"""Rows of records: medical visits, dockets, e-mail, patents, payments, settlements."""

from datetime import date, timedelta
from random import Random
from typing import Any

from runs.simulator.corpus.text import lines

PEOPLE = lines(
    """
    Ingrid Valdemar
    Tobias Okonjo
    Priscilla Mbeki-Lund
    Rafael Quintanar
    Maureen Talbot-Hsu
    Desmond Arkwright
    Leila Farzanegan
    Owen Brandvold
    Yusra Nakamura
    Colm Fitzwarren
    """
)
_COUNSEL = ["Nadia Castellane (in-house)", "Piers Holloway (Holloway Stroud LLP)"]
_VISITS = lines(
    """
    ED|neck and low back pain after collision|CT head negative; C-spine x-ray: loss of lordosis
    Orthopedics|left shoulder pain, reduced abduction|MRI ordered; positive Hawkins sign
    Radiology|MRI left shoulder|partial-thickness supraspinatus tear, 6 mm
    Physical therapy|cervical stiffness, headache|ROM 60 %; home program given
    Primary care|sleep disturbance, anxiety while driving|PHQ-9 11; referral to counseling
    Pain management|radicular pain right leg|L5-S1 epidural steroid injection
    Neurology|tingling in two fingers|EMG: mild C6 radiculopathy
    Physical therapy|shoulder weakness|strength 4-/5; progress slower than planned
    Orthopedics|persistent shoulder pain|arthroscopy discussed; patient wants to wait
    Surgery|arthroscopic cuff repair|uncomplicated; sling six weeks
    Occupational medicine|fitness for duty|no lifting above 10 lb; no overhead work
    Primary care|medication review|NSAID stopped, gastritis
    """
)
_DOCKET = lines(
    """
    MOTION to compel responses to second set of requests for production
    ORDER granting in part motion for extension of time
    NOTICE of deposition of corporate representative
    STIPULATION regarding electronically stored information
    MEMORANDUM in opposition to motion for protective order
    MINUTE ENTRY: status conference held; parties to meet and confer
    DECLARATION in support of motion to seal
    ORDER setting trial date and pretrial deadlines
    REPLY in support of motion for summary judgment
    CERTIFICATE of service
    """
)
_SUBJECTS = lines(
    """
    Re: draft supply amendment, please review before noon
    FW: regulator questions on batch 118
    Q3 forecast, numbers for the board deck
    Legal hold reminder
    Re: Re: call with outside counsel, notes
    Price letter to distributors
    Incident report, line 4
    Lunch Thursday?
    Recall decision tree v2 (attorney draft)
    Warranty returns by region
    Re: who signed off on the valve change?
    Minutes of the quality circle
    Draft answer to the distributor in the north
    Supplier audit, open findings
    FW: customer letter, second reminder
    Out of office
    Re: Re: Re: torque values
    Talking points for the call at three
    Training records, missing signatures
    """
)
_PATENTS = lines(
    """
    Wetted-fiber barrier for thermal runaway containment in stacked cells
    Battery enclosure with sacrificial vent channel
    Method of detecting gas release by acoustic resonance
    Phase-change interlayer for prismatic cell modules
    Pressure-relief manifold with one-way burst membrane
    Thermal event prediction from impedance drift
    Fire-retardant foam injected on cell swelling
    """
)


def days(rng: Random, first: date, count: int, spread: int) -> list[date]:
    """`count` dates in order, within `spread` days from `first`."""
    offsets = sorted(rng.randrange(spread) for _ in range(count))
    return [first + timedelta(days=offset) for offset in offsets]


def visits(rng: Random, first: date, count: int) -> list[dict[str, Any]]:
    rows = []
    for number, day in enumerate(days(rng, first, count, 540)):
        place, complaint, finding = _VISITS[number % len(_VISITS)].split("|")
        rows.append(
            {
                "dateOfService": day.isoformat(),
                "specialty": place,
                "provider": "Dr. " + rng.choice(PEOPLE).split()[-1],
                "complaint": complaint,
                "finding": finding,
                "billed": rng.randrange(140, 9_800),
                "bates": f"MED{rng.randrange(1, 2100):06d}",
            }
        )
    return rows


def docket(rng: Random, first: date, count: int) -> list[dict[str, Any]]:
    return [
        {
            "entry": number,
            "filed": day.isoformat(),
            "text": rng.choice(_DOCKET),
            "by": rng.choice(["Plaintiff", "Defendant", "Court"]),
            "pages": rng.randrange(1, 44),
        }
        for number, day in enumerate(days(rng, first, count, 700), 1)
    ]


def mail(rng: Random, first: date, count: int) -> list[dict[str, Any]]:
    """E-mails of a custodian; those with a lawyer on them carry `counsel`."""
    rows = []
    for number, day in enumerate(days(rng, first, count, 400), 1):
        writer, reader = rng.sample(PEOPLE, 2)
        privileged = rng.random() < 0.35
        rows.append(
            {
                "bates": f"TLW{number * 7 + rng.randrange(6):07d}",
                "date": day.isoformat(),
                "from": writer,
                "to": [rng.choice(_COUNSEL)] if privileged else [reader],
                "cc": [reader] if privileged else rng.sample(PEOPLE, rng.randrange(3)),
                "subject": rng.choice(_SUBJECTS),
                "attachments": rng.randrange(3),
                "counsel": privileged,
            }
        )
    return rows


def patents(rng: Random, count: int) -> list[dict[str, Any]]:
    rows = []
    for number in range(count):
        filed = date(2012, 1, 1) + timedelta(days=rng.randrange(4200))
        rows.append(
            {
                "publication": f"SIM-{filed.year}-{rng.randrange(100_000, 999_999)}",
                "title": _PATENTS[number % len(_PATENTS)],
                "assignee": rng.choice(["Voltmere Cells", "Ostrava Thermal", "Kestrel Mobility"]),
                "priority": filed.isoformat(),
                "independentClaims": rng.randrange(1, 5),
                "status": rng.choice(["granted", "granted", "pending", "lapsed"]),
                "score": round(0.91 - number * 0.033, 3),
            }
        )
    return rows


def payments(rng: Random, petition: date, count: int) -> list[dict[str, Any]]:
    """Transfers to one creditor in the 90 days before the petition."""
    rows = []
    for number, day in enumerate(days(rng, petition - timedelta(days=90), count, 88), 1):
        invoice_day = day - timedelta(days=rng.randrange(24, 71))
        rows.append(
            {
                "transfer": number,
                "cleared": day.isoformat(),
                "amount": rng.randrange(8_000, 96_000),
                "method": rng.choice(["ACH", "ACH", "check", "wire"]),
                "invoice": f"INV-{rng.randrange(40_000, 49_999)}",
                "invoiceDate": invoice_day.isoformat(),
                "daysToPay": (day - invoice_day).days,
            }
        )
    return rows


def settlements(rng: Random, count: int) -> list[dict[str, Any]]:
    injuries = ["rotator cuff repair", "cervical fusion", "lumbar injection series", "meniscus"]
    rows = []
    for _ in range(count):
        specials = rng.randrange(18_000, 160_000)
        multiple = round(rng.uniform(1.6, 4.4), 2)
        rows.append(
            {
                "matter": f"Reported settlement {rng.randrange(1000, 9999)}",
                "venue": rng.choice(["urban county", "suburban county", "rural county", "federal"]),
                "injury": rng.choice(injuries),
                "specials": specials,
                "amount": round(specials * multiple, -3),
                "multiple": multiple,
                "year": rng.randrange(2019, 2026),
            }
        )
    return rows


def authorities(rng: Random, topic: str, count: int) -> list[dict[str, Any]]:
    """Opinions that do not exist, with captions and numbers that cannot be mistaken for real."""
    parties = [
        "Marlowe Tool",
        "Pinecrest Freight",
        "Astoria Loft",
        "Quarry Bend",
        "Tern Harbor",
        "Cobalt Ridge",
        "Willet & Sons",
        "Fenwick Dairy",
        "Larkspur Media",
        "Ashgrove",
    ]
    rows = []
    for number in range(count):
        first, second = rng.sample(parties, 2)
        rows.append(
            {
                "caption": f"{first} v. {second} (simulated)",
                "citation": f"SIM-{rng.randrange(2004, 2025)}-{rng.randrange(100, 999)}",
                "court": rng.choice(["trial court", "intermediate appellate", "high court"]),
                "relevance": round(0.94 - number * 0.04, 2),
                "passage": f"On {topic}, the court looked to the text first, then to how the "
                f"parties had performed for {rng.randrange(2, 9)} years, and found the reading "
                f"of the {rng.choice(['buyer', 'seller', 'carrier', 'tenant'])} more natural.",
            }
        )
    return rows
