"""Where the key may be sent: to public addresses, and to this machine when it plays Case.dev.

A base URL is checked twice. When settings are read, as text: in whatever form an address is
written. And at each connection, as the address that the name leads to at that moment: a name may
have changed its mind since (DNS rebinding).
"""

import ipaddress
import socket
from urllib.parse import urlsplit

LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}
# Names that mean a place inside some network, also where a resolver knows better.
INNER_ENDS = ("localhost", "local", "internal", "localdomain", "lan", "home", "corp", "intranet")

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def host_of(base_url: str) -> str:
    """Host, and port if one is given, as people write them; "" if there is none."""
    parts = urlsplit(base_url)
    return parts.netloc.rpartition("@")[2].lower()


def is_this_machine(base_url: str) -> bool:
    return (urlsplit(base_url).hostname or "") in LOOPBACK_NAMES


def refusal(base_url: str, may_be_this_machine: bool) -> str:
    """Why the key may not be sent there, to follow the setting's name; "" if it may."""
    if any(character in base_url for character in "?#@\\"):
        return "must be an address without a user, ? or #."
    if may_be_this_machine and is_this_machine(base_url):
        return ""
    parts = urlsplit(base_url)
    if parts.scheme != "https":
        return "must start with https:// (plain http is only for this machine, under make run)."
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii() or "%" in host:
        return "must name its host in plain letters and digits."
    address = written(host)
    if address is not None:
        return "" if is_public(address) else "must not be an address inside a network."
    if "." not in host or host.rpartition(".")[2] in INNER_ENDS:
        return "must not be a name inside a network."
    return ""


def written(host: str) -> Address | None:
    """The address that `host` is, in any form that the system's resolver takes: 2130706433,
    0x7f.1, 0177.0.0.1, ::ffff:127.0.0.1; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_public(address: Address) -> bool:
    """Whether it is an address of the internet, also where it wraps another one."""
    inner = _wrapped(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    # NAT64, and the old forms ::127.0.0.1, which is_global takes for public.
    return last if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1) else None


def may_be_reached(address: str, as_this_machine: bool) -> bool:
    """Of an address that a resolver gave; `as_this_machine`: the base URL names loopback."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return found.is_loopback if as_this_machine else is_public(found)
