"""The agents of the simulated organisation, and those that clients create."""

from random import Random
from typing import Any

import msgspec

from runs.simulator.clock import iso
from runs.simulator.plain import prose
from runs.simulator.prices import DEFAULT_MODEL
from runs.simulator.recorder import ID_ALPHABET

ORGANISATION_SINCE_MS = 1_786_975_445_000  # 2026-08-17T14:04:05Z: before any simulated run
_MS_A_DAY = 24 * 3600 * 1000


class Agent(msgspec.Struct, kw_only=True, rename="camel"):
    id: str
    name: str
    instructions: str
    created_ms: int
    updated_ms: int
    description: str | None = None
    model: str = DEFAULT_MODEL
    vault_ids: list[str] | None = None
    vault_groups: list[str] | None = None
    enabled_tools: list[str] | None = None
    disabled_tools: list[str] | None = None
    sandbox: Any = None
    is_active: bool = True
    # Made by /execute for this one run: never listed, and deleted when the run ends.
    only_run: str | None = None

    def summary(self) -> dict[str, Any]:
        """A list item: no instructions (API facts, run endpoints: agents)."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "model": self.model,
            "vaultIds": self.vault_ids,
            "isActive": self.is_active,
            "createdAt": iso(self.created_ms),
            "updatedAt": iso(self.updated_ms),
        }

    def answer(self) -> dict[str, Any]:
        return self.summary() | {
            "instructions": self.instructions,
            "vaultGroups": self.vault_groups,
            "enabledTools": self.enabled_tools,
            "disabledTools": self.disabled_tools,
            "sandbox": self.sandbox,
        }


_STAFF: dict[str, tuple[str, str]] = {
    "Contract Reviewer": (
        "Reviews agreements against the playbook and proposes redlines.",
        prose(
            """
            You review commercial agreements for the in-house team. Compare each
            clause with the playbook in the vault, rate the deviation, quote the
            clause and propose wording.
            """
        ),
    ),
    "Deposition Summarizer": (
        "Page-line summaries, admissions and contradictions of testimony.",
        prose(
            """
            You summarise deposition transcripts. Cite page and line for every
            statement. Separate admissions from characterisations and list
            contradictions between witnesses.
            """
        ),
    ),
    "Legal Researcher": (
        "Research memos with authorities that a person can check.",
        prose(
            """
            You research questions of law. State the question, the short answer and
            the analysis. Cite only what you have opened, and say what you could not
            verify.
            """
        ),
    ),
    "Discovery Analyst": (
        "Privilege review, production checks and responses to requests.",
        prose(
            """
            You support discovery. Never disclose the content of a privileged
            document in an output; describe it as a privilege log would.
            """
        ),
    ),
    "Medical Chronologist": (
        "Orders medical records by date of service.",
        prose(
            """
            You build chronologies from medical records. One row a visit, with
            provider, complaint, finding, treatment and the page it comes from. Do
            not diagnose.
            """
        ),
    ),
    "Due Diligence Associate": (
        "Works through data rooms for transactions.",
        prose(
            """
            You work through data rooms. Track each request-list item, flag change-
            of-control and assignment restrictions, and record what is missing.
            """
        ),
    ),
    "IP Docket Agent": (
        "Watches patent and trademark files.",
        prose(
            """
            You search patent and trademark records and prepare responses for
            attorney review.
            """
        ),
    ),
    "Litigation Support": (
        "Intake, deadlines, cite-checks and demand packages.",
        prose(
            """
            You prepare litigation documents for attorney review. Compute deadlines
            with the rule that gives them and check each citation against its
            source.
            """
        ),
    ),
}


def agent_id_for(name: str) -> str:
    """The same agent has the same id in every world."""
    return "agent_" + "".join(Random(f"agent:{name}").choices(ID_ALPHABET, k=9))


def staff() -> list[Agent]:
    """The agents that exist from the start, oldest first."""
    return [
        Agent(
            id=agent_id_for(name),
            name=name,
            description=description,
            instructions=instructions,
            created_ms=ORGANISATION_SINCE_MS + number * _MS_A_DAY,
            updated_ms=ORGANISATION_SINCE_MS + number * _MS_A_DAY,
        )
        for number, (name, (description, instructions)) in enumerate(_STAFF.items())
    ]
