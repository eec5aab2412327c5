"""Contract Reviewer checks a vendor's NDA against the playbook and uploads a redline memo."""

from runs.simulator.corpus.contracts import agreement, passages
from runs.simulator.corpus.text import markdown
from runs.simulator.recorder import Recorder
from runs.simulator.script import script

NDA = "Halvorsen_Mutual_NDA_v3.docx"
PLAYBOOK = "NDA_Playbook_2026.pdf"


@script(
    title="NDA review for liability issues",
    agent="Contract Reviewer",
    seconds=148,
    demo_weight=4,
)
def nda_review(run: Recorder) -> None:
    run.cast("Halvorsen", "Kettering", "Ostrander", "Pellworm", "Thornqvist")
    run.ask(
        """
        Review the NDA in vault {vault} for liability issues. It came from Halvorsen Instruments,
        a sensor supplier we want to share pricing data with. Compare each clause with our NDA
        playbook, rate every deviation as accept, negotiate or reject, and propose wording for
        anything that is not an accept. Upload the memo to the same vault.
        """,
        scope=2,
    )
    find_documents(run)
    read_and_compare(run)
    memo = write_memo(run)
    run.done(
        MEMO,
        """Reviewed the Halvorsen NDA against the 2026 playbook: 2 clauses to reject, 3 to
        negotiate, 6 acceptable. The uncapped indemnity in 9.2 is the only blocking point.""",
        [memo],
        ["Exhibit A (data room list) is referenced in 1.3 but was not in the vault."],
    )


def find_documents(run: Recorder) -> None:
    run.think(
        """
        I should find out what is in the vault before I assume anything about the NDA. Then I need
        the playbook, because the rating has to follow the company's positions, not mine.
        """
    )
    run.bash(
        "casedev vault list",
        {
            "vaults": [
                {"id": run.vault, "name": "Procurement: NDAs", "objectCount": 41},
                {
                    "id": run.new_id("vault", 8),
                    "name": "Procurement: master agreements",
                    "objectCount": 118,
                },
            ]
        },
    )
    run.api("vault", "/vault", method="GET", cost_micros=100)
    run.wrong_flag(
        'casedev vault search --vault {vault} --q "indemnity liability cap"',
        "--vault",
        """
        Usage: casedev vault search --id <vault-id> --query <text> [--limit <n>] [--method <m>]

        Options:
          --id       Vault to search (required)
          --query    What to look for (required)
          --limit    Number of chunks, 1-50 (default 10)
          --method   hybrid | vector | keyword (default hybrid)
        """,
    )
    run.vault_search(
        "indemnity, liability cap, consequential damages",
        passages(run.rng, ["indemnification", "liability", "confidentiality"], [NDA, PLAYBOOK], 9),
    )
    run.say(
        "The vault holds version 3 of the Halvorsen NDA and the current playbook. "
        "I will read both in full, starting with the NDA."
    )


def read_and_compare(run: Recorder) -> None:
    run.download(run.scope[0], "halvorsen_nda_v3.txt", 48_213)
    topics = [
        "confidentiality",
        "term",
        "indemnification",
        "liability",
        "assignment",
        "governing law",
    ]
    text = agreement(
        run.rng,
        "Mutual Non-Disclosure Agreement",
        "Halvorsen Instruments AS",
        "Brightwater Controls, Inc.",
        topics,
    )
    run.read("/workspace/halvorsen_nda_v3.txt", text)
    run.think(
        """
        Clause 9.2 has Receiving Party indemnify "any and all losses" from a breach, with no cap,
        and 10.1 carves confidentiality out of the cap. Read together the exposure is unlimited for
        an ordinary slip, say a misdirected e-mail. That is far from playbook position 4.

        Clause 6 is a residuals clause in disguise: "general know-how retained in unaided memory".
        Pricing data is exactly what people remember.
        """
    )
    run.download(run.scope[1], "playbook.txt", 22_940)
    run.grep(
        "Position [0-9]",
        [
            "playbook.txt:14: Position 1  Mutual obligations only. One-way NDAs go to Legal.",
            "playbook.txt:31: Position 2  Term: 2 years preferred, up to 5; trade secrets longer.",
            "playbook.txt:52: Position 3  Residuals: never for pricing or product roadmaps.",
            "playbook.txt:70: Position 4  No indemnity in an NDA. Damages at law are sufficient.",
            "playbook.txt:88: Position 5  No non-solicit. No exclusivity. No standstill.",
            "playbook.txt:103: Position 6  Law: Delaware or New York. Neutral venue is fine.",
        ],
    )
    run.read("/workspace/playbook.txt", PLAYBOOK_EXCERPT, offset=48)


def write_memo(run: Recorder) -> str:
    run.think(
        """
        Two rejects (9.2 indemnity, 6 residuals), three to negotiate (term of 7 years, Norwegian
        law, 10-day return). The rest is within positions. I will keep the proposed wording short
        so that a business owner can paste it.
        """
    )
    run.write("/workspace/halvorsen_nda_memo.md", MEMO)
    run.edit("/workspace/halvorsen_nda_memo.md", "within ten (10) days", "within thirty (30) days")
    memo = run.upload("halvorsen_nda_memo.md")
    run.api("vault", f"/vault/{run.vault}/objects/{memo}", method="GET", status=404)
    run.bash(
        f"casedev vault:objects get --id {run.vault} --object-id {memo}",
        "Error: 404 object not found (ingestion may still be running)\n\n(exit status 1)",
    )
    run.wait(3)
    run.bash(
        f"casedev vault:objects get --id {run.vault} --object-id {memo}",
        {
            "id": memo,
            "filename": "halvorsen_nda_memo.md",
            "contentType": "text/markdown",
            "sizeBytes": len(MEMO),
            "ingestionStatus": "completed",
        },
    )
    run.api("vault", f"/vault/{run.vault}/objects/{memo}", method="GET", cost_micros=120)
    return memo


PLAYBOOK_EXCERPT = """
Position 3. Residuals.
A residuals clause lets the recipient use what its people remember. We do not accept one where
the Purpose includes pricing, customer lists or product roadmaps. Where the Purpose is a technical
evaluation only, a residuals clause limited to "general skills and experience" may be accepted
by the category lead.

Position 4. Indemnity and caps.
An NDA should contain no indemnity. If the other side insists: mutual, third-party claims only,
capped at USD 250,000. Never accept an obligation to indemnify for first-party loss.
Injunctive relief without bond is acceptable.

Position 5. Collateral restrictions.
No non-solicitation of staff, no exclusivity, no standstill. Strike on sight.
"""

MEMO = markdown("nda_memo")
