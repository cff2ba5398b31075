"""The rules of blacklists: which destinations one matches, how it is written, how it is shown.

A rule names a network and, when they count, protocol, port and a pattern for the text to be sent; one that is turned
round (`!`) matches everything else.  In the script it is `(udp,10.0.0.0/8,5060,"pattern")`, in MI
`[!][protocol,]network[,port[,pattern]]`.

Source: OpenSIPS manual, "Core Parameters", `dst_blacklist`; "Management Interface", `blacklists:add_rule`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from .tcp import PROTOCOLS

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY: Final = "any"
MAX_PATTERN: Final = 1024
"""Characters of a pattern."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where something would be sent.  What is not known (protocol None, port 0) is matched only by rules that do not
    ask for it."""

    address: Address
    protocol: str | None = None
    port: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `protocol` "any", `port` 0 and an empty `pattern` match all."""

    network: Network
    protocol: str = ANY
    port: int = 0
    pattern: str = ""
    negated: bool = False

    def matches(self, destination: Destination) -> bool:
        """Whether the rule forbids `destination`."""
        return self._fits(destination) is not self.negated

    def _fits(self, destination: Destination) -> bool:
        network = self.network
        return (
            destination.address.version == network.version
            and destination.address in network
            and self.protocol in (ANY, destination.protocol)
            and self.port in (0, destination.port)
            and (not self.pattern or fnmatchcase(destination.text, self.pattern))
        )

    def shown(self) -> dict[str, object]:
        """The rule as MI shows it."""
        shown: dict[str, object] = {
            "flags": int(self.negated),
            "IP": address_text(self.network.network_address),
            "Mask": address_text(self.network.netmask),
            "Proto": self.protocol,
            "Port": self.port,
        }
        return shown | {"Match": self.pattern} if self.pattern else shown


def address_text(address: Address) -> str:
    """An address as MI shows it: IPv6 with all its groups, in capitals."""
    if address.version == 4:
        return str(address)
    return ":".join(f"{int(group, 16):X}" for group in address.exploded.split(":"))


def parse_address(text: str) -> Address:
    """An address, IPv6 with or without brackets.  Raises ValueError."""
    return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))


def parse_network(text: str) -> Network:
    """`address`, `address/bits` or `address/mask`; bits of the address beyond the mask do not count.

    Raises ValueError.
    """
    address, slash, mask = text.partition("/")
    return ipaddress.ip_network(f"{parse_address(address)}{slash}{mask}", strict=False)


def parse_protocol(text: str) -> str:
    """The name of a protocol, in any case.  Raises ValueError."""
    name = text.lower()
    if name not in PROTOCOLS:
        raise ValueError(f"'{text}' is no protocol; expected one of {', '.join(sorted(PROTOCOLS))}")
    return name


def parse_port(text: str) -> int:
    """A port, 0 for any.  Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 65536):
        raise ValueError(f"'{text}' is no port; expected 0 to 65535")
    return int(text)


def parse_script_rule(text: str) -> Rule:
    """A rule as the script's tree holds it: `(protocol,network,port[,"pattern"])`, turned round with `!` in front.

    Raises ValueError.
    """
    inner = text.removeprefix("!").removeprefix("(").removesuffix(")")
    protocol, network, port, pattern = (*inner.split(",", 3), "", "", "")[:4]
    return Rule(
        parse_network(network),
        ANY if protocol.lower() == ANY else parse_protocol(protocol),
        parse_port(port or "0"),
        _pattern(pattern.removeprefix('"').removesuffix('"')),
        text.startswith("!"),
    )


def parse_mi_rule(text: str) -> Rule:
    """A rule as MI takes it: `[!][protocol,]network[,port[,pattern]]`.  Raises ValueError."""
    rest = text.removeprefix("!")
    first, _, behind = rest.partition(",")
    protocol = ANY
    if first.lower() in PROTOCOLS:
        protocol, rest = parse_protocol(first), behind
    network, port, pattern = (*rest.split(",", 2), "", "")[:3]
    return Rule(parse_network(network), protocol, parse_port(port or "0"), _pattern(pattern), text.startswith("!"))


def _pattern(text: str) -> str:
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern of {len(text)} characters; at most {MAX_PATTERN} are taken")
    return text
