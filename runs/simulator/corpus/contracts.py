"""Passages of agreements, as a vault search or a read of a file returns them."""

import textwrap
from random import Random
from typing import Any

from runs.simulator.corpus.text import paragraphs

CLAUSES: dict[str, list[str]] = {
    "confidentiality": paragraphs(
        """
        Receiving Party shall hold the Confidential Information in strict confidence and
        shall not disclose it to any third party except to its Representatives who need
        to know it for the Purpose and who are bound by obligations no less protective
        than those herein.

        The obligations of this Section shall survive for a period of {years} years from
        the date of disclosure, and, with respect to trade secrets, for as long as such
        information remains a trade secret under applicable law.

        Receiving Party may disclose Confidential Information to the extent required by
        law or legal process, provided that it gives Disclosing Party prompt written
        notice, to the extent permitted, and reasonable assistance in seeking a
        protective order.

        Confidential Information does not include information that (a) is or becomes
        public through no breach of this Agreement, (b) was known to Receiving Party
        without duty of confidence, or (c) is independently developed without use of it.
        """
    ),
    "indemnification": paragraphs(
        """
        Supplier shall indemnify, defend and hold harmless Customer and its Affiliates
        from and against all Losses arising out of any third-party claim to the extent
        caused by (i) the negligence or willful misconduct of Supplier, or (ii) a breach
        of Section {section}.

        The indemnified party shall give notice of a claim within {days} days. Failure
        to give such notice relieves the indemnifying party only to the extent that it
        is prejudiced.

        The indemnifying party shall not settle any claim that imposes a non-monetary
        obligation or admits fault on the part of the indemnified party without its
        prior written consent.
        """
    ),
    "liability": paragraphs(
        """
        EXCEPT FOR EXCLUDED CLAIMS, NEITHER PARTY'S AGGREGATE LIABILITY SHALL EXCEED THE
        FEES PAID OR PAYABLE IN THE {months} MONTHS PRECEDING THE EVENT GIVING RISE TO
        THE CLAIM.

        Neither party shall be liable for indirect, incidental, special or consequential
        damages, including lost profits, even if advised of the possibility of such
        damages.

        "Excluded Claims" means claims under Section {section} (Indemnification), breach
        of Section {other} (Confidentiality), and liability that cannot be limited by
        law.
        """
    ),
    "term": paragraphs(
        """
        This Agreement commences on the Effective Date and continues for {years} years.
        It renews for successive one-year terms unless either party gives {days} days'
        notice.

        Either party may terminate for material breach that is not cured within {days}
        days of written notice describing the breach in reasonable detail.

        Upon termination each party shall return or destroy the other's Confidential
        Information and certify in writing within {days} days that it has done so.
        """
    ),
    "assignment": paragraphs(
        """
        Neither party may assign this Agreement without the prior written consent of the
        other, which shall not be unreasonably withheld, except to a successor to all or
        substantially all of its business.

        A change of control of Supplier is deemed an assignment and entitles Customer to
        terminate on {days} days' notice without liability.
        """
    ),
    "force majeure": paragraphs(
        """
        Neither party is liable for failure or delay caused by events beyond its
        reasonable control, including acts of God, war, epidemic, embargo, and failure
        of public utilities, provided that it notifies the other within {days} days and
        resumes as soon as it can.

        Payment obligations are not excused by a Force Majeure Event. If it continues
        for more than {long} days, either party may terminate the affected Statement of
        Work.

        For the avoidance of doubt, a general change in market conditions, an increase
        in the cost of materials or a shortage of labor is not a Force Majeure Event.
        """
    ),
    "data": paragraphs(
        """
        Supplier shall implement administrative, physical and technical safeguards that
        protect the confidentiality, integrity and availability of Customer Data, and
        shall report any Security Incident without undue delay and in no case later than
        {hours} hours.

        To the extent Supplier creates, receives, maintains or transmits Protected
        Health Information, the parties shall enter into a Business Associate Agreement,
        which prevails over this Agreement in case of conflict.

        Supplier shall flow down to each Subcontractor with access to Customer Data
        obligations no less restrictive than those of this Section and is liable for
        their compliance.
        """
    ),
    "governing law": paragraphs(
        """
        This Agreement is governed by the laws of the State of {state}, without regard
        to its conflict-of-law rules. The courts located in {state} have exclusive
        jurisdiction.

        The parties shall attempt in good faith to resolve any dispute by escalation to
        senior executives for {days} days before either commences proceedings.
        """
    ),
}
_STATES = ["Delaware", "New York", "Texas", "Illinois", "California", "Ohio", "Washington"]


def clause(rng: Random, topic: str) -> str:
    return clause_of(rng, rng.choice(CLAUSES[topic]))


def passages(rng: Random, topics: list[str], files: list[str], count: int) -> list[dict[str, Any]]:
    """Search hits, best first, each with its file, page and score."""
    hits = []
    score = 0.93
    for number in range(count):
        topic = topics[number % len(topics)]
        text = clause(rng, topic)
        if rng.random() < 0.5:
            text += " " + clause(rng, topic)
        hits.append(
            {
                "text": f"{rng.randrange(3, 19)}.{rng.randrange(1, 9)}  {text}",
                "filename": files[number % len(files)],
                "page": rng.randrange(2, 48),
                "chunkIndex": rng.randrange(4, 260),
                "score": round(score, 4),
            }
        )
        score -= rng.uniform(0.008, 0.04)
    return hits


def agreement(rng: Random, title: str, first: str, second: str, sections: list[str]) -> str:
    """The text of an agreement, with numbered sections on the given topics."""
    lines = [
        title.upper(),
        "",
        f"This agreement is made between {first} and {second} (each a",
        '"Party"), with effect from the date of the last signature below.',
        "",
    ]
    for number, topic in enumerate(sections, 1):
        lines.append(f"{number}. {topic.upper()}")
        for letter, text in enumerate(rng.sample(CLAUSES[topic], k=len(CLAUSES[topic])), 1):
            first_line, *more = textwrap.wrap(clause_of(rng, text), 84)
            lines.append(f"   {number}.{letter}  {first_line}")
            lines += [f"        {line}" for line in more]
        lines.append("")
    lines.append("IN WITNESS WHEREOF the Parties have executed this Agreement.")
    return "\n".join(lines)


def clause_of(rng: Random, text: str) -> str:
    """Fill the blanks of one clause."""
    return text.format(
        years=rng.choice([2, 3, 5]),
        days=rng.choice([10, 15, 30, 45, 60]),
        long=rng.choice([60, 90, 120]),
        months=rng.choice([6, 12, 24]),
        hours=rng.choice([24, 48, 72]),
        section=f"{rng.randrange(7, 14)}.{rng.randrange(1, 5)}",
        other=rng.randrange(5, 12),
        state=rng.choice(_STATES),
    )
