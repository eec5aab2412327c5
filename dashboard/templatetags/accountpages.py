"""Words for the pages of one's own account."""

import re

from django import template

register = template.Library()

# In this order: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
BROWSERS = (
    *(("Edge", r"Edg"), ("Opera", r"OPR/"), ("Firefox", r"Firefox/|FxiOS"), ("Chrome", r"Chrom")),
    *(("Chrome", r"CriOS"), ("Safari", r"Safari/")),
)
SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Mac", "Macintosh"), ("ChromeOS", "CrOS"), ("Linux", "Linux")),
)


@register.filter
def browser(user_agent: str) -> str:
    """ "Firefox on Linux"; what it calls itself, cut, if that says nothing."""
    name = _first(BROWSERS, user_agent)
    system = _first(SYSTEMS, user_agent)
    if name and system:
        return f"{name} on {system}"
    return name or user_agent[:60] or "A browser that does not say which"


def _first(patterns: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, pattern in patterns if re.search(pattern, text)), "")
