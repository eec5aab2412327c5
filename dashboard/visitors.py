"""Who asks for a shared page, as far as is noted: where from, roughly, with what, and whether it
is a program that fetches links for previews, which is shown nothing and counted as no view."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

AGENT_LENGTH = 200
KEPT_BITS = {4: 24, 6: 48}

# Programs that look at links which somebody else pasted. Ordinary words of such names, since a
# list of them is never complete; a person's browser has none of them.
_ROBOT = re.compile(
    r"bot\b|bots\b|crawl|spider|preview|slurp|slack-imgproxy|slackbot|facebookexternalhit"
    r"|facebookcatalog|meta-externalagent|whatsapp|telegrambot|skypeuri|microsoft teams"
    r"|teams/|twitterbot|linkedinbot|discordbot|embedly|quora link|pinterest|redditbot"
    r"|applebot|bingpreview|googleother|google-read-aloud|mastodon|iframely|vkshare|viber"
    r"|headline|validator|scanner|urlscan|safelinks|barracuda|proofpoint|mimecast",
    re.IGNORECASE,
)

type Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Visitor:
    """`place` is the truncated address, "" if there is none; `source` the whole one, which is
    only compared and never stored."""

    place: str
    source: str
    agent: str
    is_robot: bool


def of(request: HttpRequest) -> Visitor:
    agent = request.headers.get("User-Agent", "")
    address = address_of(request)
    return Visitor(
        place=truncated(address) if address else "",
        source=str(address or ""),
        agent="".join(c if c.isprintable() else "?" for c in agent[:AGENT_LENGTH]),
        is_robot=_ROBOT.search(agent) is not None,
    )


def address_of(request: HttpRequest) -> Address | None:
    """The peer's address; behind TRUSTED_PROXIES proxies, the one that the outermost of them saw.
    What a client itself writes into the header stands left of that and is not believed."""
    peer = _parsed(request.META.get("REMOTE_ADDR", ""))
    proxies = getattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 0)
    told = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if proxies and len(told) >= proxies:
        return _parsed(told[-proxies]) or peer
    return peer


def truncated(address: Address) -> str:
    """203.0.113.7 as 203.0.113.0/24, 2001:db8:1:2::3 as 2001:db8:1::/48."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network((address, KEPT_BITS[address.version]), strict=False))


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
