"""Text as it stands in the source of a corpus, or in a file beside it."""

from pathlib import Path

from runs.simulator.plain import prose

MARKDOWN = Path(__file__).parent / "markdown"


def markdown(name: str) -> str:
    """A document that an agent wrote, whose tables are wider than source code may be."""
    return (MARKDOWN / f"{name}.md").read_text(encoding="utf-8")


def paragraphs(text: str) -> list[str]:
    """One string a paragraph, its lines joined."""
    return prose(text).split("\n\n")


def lines(text: str) -> list[str]:
    """One string a line, without blank ones."""
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def verses(text: str) -> list[list[str]]:
    """Groups of lines between blank lines."""
    return [lines(group) for group in text.split("\n\n")]
