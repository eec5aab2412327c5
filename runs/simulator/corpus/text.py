"""Text as it stands in the source of a corpus."""

from runs.simulator.recorder import prose


def paragraphs(text: str) -> list[str]:
    """One string a paragraph, its lines joined."""
    return prose(text).split("\n\n")


def lines(text: str) -> list[str]:
    """One string a line, without blank ones."""
    return [line.strip() for line in text.strip().splitlines() if line.strip()]
