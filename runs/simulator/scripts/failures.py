"""Runs that do not end well: logs only, no result at all, the sandbox limit, and a dead one."""

from datetime import date

from runs.simulator.corpus.records import mail
from runs.simulator.corpus.text import paragraphs
from runs.simulator.recorder import Recorder
from runs.simulator.script import script


@script(
    title="Production volume check",
    agent="Discovery Analyst",
    seconds=38,
    ends="failed",
    demo_weight=1,
)
def vault_unreachable(run: Recorder) -> None:
    """Fails with logs only: the vault answers 503 until the agent gives up."""
    run.ask(
        """
        Check production volume TLW-08 in vault {vault} before it goes out: every Bates number
        present once, no gaps, load file agrees with the images, nothing on the privilege log.
        """
    )
    run.think("Count first. If the numbers do not agree there is no point in opening files.")
    run.vault_objects(mail(run.rng, date(2024, 4, 1), 14))
    for wait in (1, 2, 4):
        run.bash(
            "casedev vault:objects list --id {vault} --prefix TLW-08/images --all",
            "Error: 503 service unavailable (vault)\n\n(exit status 1)",
            took=3,
        )
        run.api("vault", "/vault/{vault}/objects", method="GET", status=503)
        run.wait(wait)
    run.died(
        "agent exited with code 1: vault is not reachable after 3 attempts",
        ["Vault answered 503 three times; nothing was checked."],
    )


@script(
    title="Exhibit list from trial binders",
    agent="Litigation Support",
    seconds=54,
    ends="failed",
    demo_weight=1,
)
def runtime_crash(run: Recorder) -> None:
    """Fails with result null: the runtime goes away in the middle of a call."""
    run.ask(
        """
        Build the joint exhibit list from the four trial binders in vault {vault}: number, Bates
        range, description, sponsoring witness, stipulated or not.
        """,
        scope=4,
    )
    run.download(run.scope[0], "binder_1.pdf", 214_000_000)
    run.think(CRASH_THOUGHTS[0])
    run.bash("pdftotext -layout binder_1.pdf && wc -l binder_1.txt", "61204 binder_1.txt", took=11)
    run.read(
        "/workspace/binder_1.txt",
        "\n".join(
            f"PX-{number:03d}   TLW{number * 131:07d}   {CRASH_THOUGHTS[1]}"
            for number in range(1, 40)
        ),
    )
    run.tool(
        "bash",
        {"command": "python3 build_index.py --all-binders --in-memory"},
        "",
        took=float("inf"),
    )
    run.wait(20)
    run.vanished()


@script(
    title="Production quality check at full size",
    agent="Discovery Analyst",
    seconds=610,
    ends="failed",
    demo_weight=1,
)
def production_qc_timeout(run: Recorder) -> None:
    """Fails at the 30-minute limit of the sandbox, with a command that never returned."""
    run.ask(
        """
        Run the full quality check on production TLW-09 in vault {vault}: 41,000 documents, hash
        each file, compare with the load file, and sample 400 for redaction leaks. Upload the
        report when done.
        """,
        "Do not stop at the first error. We need the complete list.",
    )
    run.think(LIMIT_THOUGHTS[0])
    for part in range(1, 6):
        rows = mail(run.rng, date(2024, 1, part), 16)
        run.bash(
            f"casedev vault:objects list --id {{vault}} --prefix TLW-09/part{part:02d} --all",
            {"objects": rows, "total": 8_200},
            took=6,
        )
        run.api("vault", "/vault/{vault}/objects", method="GET", cost_micros=600)
        run.bash(
            f"sha256sum part{part:02d}/* > hashes_{part:02d}.txt; "
            f"diff hashes_{part:02d}.txt load_{part:02d}.txt",
            "\n".join(f"< {run.rng.getrandbits(128):032x}  {row['bates']}.tif" for row in rows[:3]),
            took=70,
        )
        run.say(f"Part {part} of 5: 8,200 files hashed, 3 differ from the load file.")
    run.think(LIMIT_THOUGHTS[1])
    run.tool(
        "bash",
        {
            "command": "python3 redaction_leaks.py --sample 400 --ocr --workers 1",
            "timeout": 7_200_000,
        },
        "",
        took=float("inf"),
    )
    run.died(
        "redaction_leaks.py still running; no output",
        ["The redaction check did not finish within the sandbox limit."],
    )
    run.hang()


@script(
    title="Privilege review of a mailbox",
    agent="Discovery Analyst",
    seconds=285,
    ends="failed",
    demo_weight=0,
)
def privilege_log_stalled(run: Recorder) -> None:
    """Never ends: the worker behind it is gone and nobody told the API."""
    run.ask(
        """
        First-level privilege review of the mailbox of custodian Nakamura in vault {vault}, about
        3,400 messages. Code each one as privileged, needs review or not privileged, with a reason.
        """,
        "Batches of 50. Report after each batch.",
    )
    run.think(STALL_THOUGHTS[0])
    for batch in range(1, 8):
        rows = mail(run.rng, date(2025, batch, 3), 20)
        run.tool(
            "casedev_vault_object_list",
            {"vaultId": run.vault, "offset": batch * 50 - 50, "limit": 50},
            {"objects": rows},
        )
        run.api("vault", "/vault/{vault}/objects", method="GET", cost_micros=200)
        privileged = sum(row["counsel"] for row in rows)
        run.say(
            f"Batch {batch} of 68: {privileged} privileged, 2 need review, "
            f"{48 - privileged} not privileged."
        )
    run.tool(
        "casedev_vault_object_list",
        {"vaultId": run.vault, "offset": 350, "limit": 50},
        "",
        took=float("inf"),
    )
    run.hang(for_ever=True)


CRASH_THOUGHTS = paragraphs(
    """
    Four binders of about 200 MB each. The sandbox has 2 GiB of memory, so one at a time.

    Photograph, email or report as marked at deposition; sponsoring witness to be confirmed
    """
)
LIMIT_THOUGHTS = paragraphs(
    """
    Hashing 41,000 files takes most of the time. I go part by part so that something is there if
    the run does not finish.

    Hashes are done: 15 differences in all. The sample of 400 needs OCR on one worker. That may
    take long, but the instruction is to be complete.
    """
)
STALL_THOUGHTS = paragraphs(
    """
    Sixty-eight batches of fifty. I will code by participants and by request for advice, and keep
    the reason short so that the log can be built from it later.
    """
)
