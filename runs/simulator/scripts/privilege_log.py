"""Discovery Analyst drafts a privilege log for a batch of e-mail; the vault throttles."""

from datetime import date
from typing import Any

from runs.simulator.corpus.records import mail
from runs.simulator.corpus.text import markdown, paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(title="Privilege log for e-mail production", agent="Discovery Analyst", seconds=262)
def privilege_log(run: Recorder) -> None:
    run.cast("Talbot-Hsu", "Mbeki-Lund", "Farzanegan", "Fitzwarren")
    run.ask(
        """
        Draft a privilege log for custodian Talbot-Hsu, production batch TLW-07, in vault {vault}.
        For every document with a lawyer on it decide withhold, redact or produce, and describe it
        so that the claim can be assessed without revealing the advice. Business e-mail that only
        copies a lawyer is not privileged.
        """,
        """The protective order of June 2 allows a categorical log for communications with trial
        counsel after the complaint was filed. Everything before that is document by document.""",
    )
    rows = mail(run.rng, date(2024, 2, 1), 46)
    collect(run, rows)
    judge(run, [row for row in rows if row["counsel"]])
    log = write_log(run)
    run.done(
        summary_of(rows, log),
        """Logged every document of batch TLW-07 that has counsel on it; three need a decision by
        a lawyer before production.""",
        [log],
        [
            "Three documents are marked for attorney decision.",
            "Attachments of TLW0000214 were password protected and could not be opened.",
            "Vault search was throttled (429) twice; both searches were repeated.",
        ],
    )


def collect(run: Recorder, rows: list[dict[str, Any]]) -> None:
    run.think(
        "I need the batch with its metadata first. Counsel names come from the matter file, "
        "since an address alone does not tell who is a lawyer."
    )
    run.tool("casedev_vault_list", {}, {"vaults": [{"id": run.vault, "name": "TLW production"}]})
    run.tool(
        "casedev_vault_object_list",
        {"vaultId": run.vault, "prefix": "TLW-07/", "limit": 100},
        {"objects": rows[:24], "hasMore": True, "nextCursor": "obj_tlw0000168"},
    )
    run.tool(
        "casedev_vault_object_list",
        {"vaultId": run.vault, "prefix": "TLW-07/", "cursor": "obj_tlw0000168"},
        {"objects": rows[24:], "hasMore": False},
    )
    run.api("vault", "/vault/{vault}/objects", method="GET", cost_micros=240)
    run.tool("casedev_matter_read", {"path": "parties/counsel.md"}, COUNSEL, took=0.4)
    run.todo(
        "List batch TLW-07",
        "Open every document with counsel on it",
        "Decide: withhold, redact, produce",
        "Write log in the format of the order",
        done=1,
    )


def judge(run: Recorder, rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows[:9]):
        path = f"/workspace/TLW-07/{row['bates']}.txt"
        if number % 3 == 0:
            run.think(THOUGHTS[number // 3])
        if number in (2, 6):
            run.api("vault", "/vault/{vault}/search", status=429, metadata={"retryAfter": 4})
            run.tool(
                "casedev_vault_search",
                {"vaultId": run.vault, "query": row["subject"]},
                {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Retry after 4 seconds"}},
            )
            run.wait(4)
        run.tool(
            "casedev_vault_search",
            {"vaultId": run.vault, "query": row["subject"], "limit": 3},
            {
                "chunks": [
                    {
                        "filename": f"{row['bates']}.txt",
                        "score": 0.88,
                        "text": BODIES[number % len(BODIES)],
                    }
                ]
            },
        )
        run.api("vault", "/vault/{vault}/search")
        run.read(path, message(row, BODIES[number % len(BODIES)]))
    run.say(
        "Nine of the documents with counsel are read in full. The rest are duplicates of the "
        "same threads and follow the decision for the longest message."
    )


def message(row: dict[str, Any], body: str) -> str:
    head = [
        f"From: {row['from']}",
        f"To: {', '.join(row['to'])}",
        f"Cc: {', '.join(row['cc'])}",
        f"Date: {row['date']}",
        f"Subject: {row['subject']}",
        f"Bates: {row['bates']}",
        "",
    ]
    return "\n".join(head) + "\n" + body


def write_log(run: Recorder) -> str:
    run.write("/workspace/TLW-07_privilege_log.md", LOG)
    run.bash(
        "python3 /workspace/check_log.py TLW-07_privilege_log.md --columns order-2025-06-02",
        "python3: can't open file '/workspace/check_log.py': No such file or directory\n\n"
        "(exit status 2)",
        took=0.3,
    )
    run.grep("advice (was|is) to", [], include="*.md")
    run.think(
        "No line of the log gives away the advice itself. The check script is not in this "
        "sandbox, so I compared the columns with section 4 of the order by eye."
    )
    return run.upload("TLW-07_privilege_log.md")


def summary_of(rows: list[dict[str, Any]], log: str) -> str:
    counsel = sum(row["counsel"] for row in rows)
    return (
        LOG
        + f"""
## Numbers

| | Documents |
|---|---:|
| In batch TLW-07 | {len(rows)} |
| With counsel on them | {counsel} |
| Withheld | {max(0, counsel - 6)} |
| Redacted | 3 |
| For attorney decision | 3 |

The log is object `{log}`. It follows section 4 of the order of June 2.
"""
    )


THOUGHTS = paragraphs(
    """
    The first thread asks for advice on a draft amendment: privileged, with a business cover
    note above it. Redact, do not withhold.

    This one copies in-house counsel on a price letter. No advice is asked for or given.
    Produce.

    The recall decision tree is an attorney draft in anticipation of litigation. It went to
    the outside PR firm, so there may be a waiver. That is a decision for a lawyer, not for
    me.
    """
)
BODIES = paragraphs(
    """
    Nadia, before we send this back to the distributor: does the new paragraph 6 change who
    carries the recall cost? I would like to answer them by noon.

    All, attached is the price letter for the second quarter. It goes out on Monday. Nadia is
    copied for her files.

    Notes of today's call with Piers. Not for forwarding. He sees two routes on the
    regulator's question and prefers the shorter one. Details below.

    Decision tree, second draft, prepared at the request of counsel. Please comment in the
    margin and do not circulate further.

    Reminder: the legal hold on line 4 covers personal phones as well. Ask if in doubt.
    """
)
COUNSEL = """
# Counsel

| Name | Role | Since |
|---|---|---|
| Nadia Castellane | General counsel | 2019 |
| Piers Holloway | Holloway Stroud LLP, trial counsel | 2024-05-13 |
| Jun Averescu | Patent agent, **not** a lawyer | 2021 |

Complaint filed: 2024-05-20.
""".strip()
LOG = markdown("privilege_log")
