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

        Receiving Party shall protect Confidential Information with the same degree of care that
        it uses for its own information of like kind, and in no event less than reasonable care,
        and shall not reverse engineer any sample or prototype.

        Within {days} days of a written request Receiving Party shall return or destroy all
        Confidential Information, save for one archival copy kept by counsel and copies in
        routine backups, which remain subject to this Section.

        Neither party shall use the other's Confidential Information to recruit staff, to file
        patent applications, or to contact the other's customers or suppliers about the Purpose.
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

        Customer shall indemnify Supplier against third-party claims to the extent arising from
        Customer Materials, or from use of the Services in breach of Section {section}, subject
        to the cap in Section {other}.

        If the Services become, or in Supplier's opinion are likely to become, the subject of a
        claim of infringement, Supplier shall procure the right to continue, modify the
        Services, or terminate and refund prepaid fees pro rata.

        The indemnifying party has sole control of the defense, provided that the indemnified
        party may take part with counsel of its own choice and at its own expense.
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

        Section {section} does not limit liability for death or personal injury caused by
        negligence, for fraud, or for amounts due and payable for Services already performed.

        For claims under the Data Addendum the aggregate liability of Supplier shall not exceed
        {years} times the amount in Section {other}, which is in addition to and not in place of
        that amount.

        No action arising out of this Agreement may be brought more than {months} months after
        the cause of action has accrued, except an action for unpaid fees.
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

        Customer may terminate any Statement of Work for convenience on {days} days' notice and
        shall pay for work performed and for non-cancellable commitments that Supplier cannot
        mitigate.

        On expiry Supplier shall continue the Services for up to {long} days at the rates then
        in force, so that Customer can move to another provider without interruption.

        Either party may terminate at once if the other becomes insolvent, makes an assignment
        for the benefit of creditors, or has a receiver appointed who is not discharged within
        {days} days.
        """
    ),
    "assignment": paragraphs(
        """
        Neither party may assign this Agreement without the prior written consent of the
        other, which shall not be unreasonably withheld, except to a successor to all or
        substantially all of its business.

        A change of control of Supplier is deemed an assignment and entitles Customer to
        terminate on {days} days' notice without liability.

        An assignment in breach of this Section is void. A permitted assignment does not release
        the assignor unless the other party agrees in writing.

        Customer may assign this Agreement to an Affiliate on notice, provided that the
        Affiliate's net worth is not less than Customer's at the Effective Date.

        The merger of a party with another entity, whether or not that party survives, and by
        operation of law or otherwise, is an assignment for purposes of this Section {section}.
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

        A party affected by a Force Majeure Event shall give written notice within {days} days
        of becoming aware of it, describing the event and its likely duration. Failure to do so
        is a waiver of relief for the time before notice.

        "Force Majeure Event" means fire, flood, earthquake, war, terrorism, riot, embargo,
        order of a public authority, strikes and other labor disturbances not limited to the
        affected party's own workforce, and no other event.

        During a Force Majeure Event Supplier shall allocate its available output among its
        customers in a fair manner and may not give a spot purchaser preference over Customer.

        If a port of loading is closed for more than {days} days, the delivery dates of affected
        orders are extended day for day, and Customer may buy elsewhere meanwhile and reduce its
        minimum commitment by that quantity.

        The affected party shall use reasonable efforts to mitigate, which include the use of
        other sources at a cost increase of up to 10 per cent, and shall report weekly until
        performance is resumed.

        The parties acknowledge the present state of the supply chain. Events known at the
        Effective Date, and their continuation, are not Force Majeure Events.
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

        Supplier shall not use Customer Data to train any model that is made available to
        others. De-identified data may be used to improve the Services if the method of de-
        identification is documented.

        On termination Supplier shall return Customer Data in a common format within {days} days
        and delete remaining copies within {long} days, except as law requires otherwise.

        Customer may audit Supplier's compliance with this Section once in {months} months, on
        {days} days' notice, or accept an independent report that is not older than one year.
        """
    ),
    "governing law": paragraphs(
        """
        This Agreement is governed by the laws of the State of {state}, without regard
        to its conflict-of-law rules. The courts located in {state} have exclusive
        jurisdiction.

        The parties shall attempt in good faith to resolve any dispute by escalation to
        senior executives for {days} days before either commences proceedings.

        The United Nations Convention on Contracts for the International Sale of Goods does not
        apply. Each party waives trial by jury to the extent permitted by the law of {state}.

        Either party may seek injunctive relief in any court of competent jurisdiction, without
        bond, to prevent the unauthorized use of Confidential Information or of intellectual
        property.
        """
    ),
}
_STATES = ["Delaware", "New York", "Texas", "Illinois", "California", "Ohio", "Washington"]


def passages(rng: Random, topics: list[str], files: list[str], count: int) -> list[dict[str, Any]]:
    """Search hits, best first, each with its file, page and score. No clause comes twice before
    all clauses of its topic have been used."""
    decks = {topic: rng.sample(CLAUSES[topic], len(CLAUSES[topic])) for topic in topics}
    hits = []
    score = 0.93
    for number in range(count):
        deck = decks[topics[number % len(topics)]]
        deck.append(deck.pop(0))
        text = clause_of(rng, deck[-1])
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
