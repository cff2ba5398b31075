"""Gateways and carriers: what a row of their tables says, and the state that they are in.

Source: OpenSIPS manual, module drouting, "Destination/Gateways", "Carriers" and "Probing and Disabling destinations".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from ...sip.sockets import DEFAULT_PORTS, ListeningSocket, Target, ip_address
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from .destinations import Listed

SCHEMES: Final = ("sip:", "sips:")

ONLY_FIRST: Final = 1
"""Bit of a carrier's flags: only the first of its gateways is used."""

OFF: Final = 2
"""Bit of a carrier's flags: it is not used."""


class State(IntEnum):
    """The state of a gateway, as its table keeps it in the column `state`."""

    ACTIVE = 0
    DISABLED = 1
    """By MI: it is not probed and comes back by MI only."""
    INACTIVE = 2
    """By the script or a probe: the next good probe brings it back."""


class Probe(IntEnum):
    """When a gateway is probed, the column `probe_mode`."""

    NEVER = 0
    WHILE_INACTIVE = 1
    ALWAYS = 2


@dataclass(slots=True, eq=False)
class Gateway:
    """One gateway.  `address` is its SIP address behind scheme and user, `targets` where that leads to (none before it
    is resolved, or for a name that nobody asked about), `socket` the one of ours to send from.

    `state` changes while it is in use; `stored` is the state that its table has.
    """

    id: str
    type: int
    uri: SipUri
    address: str
    strip: int = 0
    prefix: str = ""
    attributes: str = ""
    probe: Probe = Probe.NEVER
    socket: ListeningSocket | None = None
    targets: tuple[Target, ...] = ()
    state: State = State.ACTIVE
    stored: State = State.ACTIVE
    place: str = field(init=False)
    """Host, port and parameters as a Request-URI has them."""

    def __post_init__(self) -> None:
        port = f":{self.uri.port_text}" if self.uri.port_text else ""
        params = f";{self.uri.params}" if self.uri.params else ""
        self.place = f"{self.uri.host}{port}{params}"

    @property
    def usable(self) -> bool:
        return self.state is State.ACTIVE

    @property
    def shown_state(self) -> str:
        """The state as MI shows it."""
        match self.state:
            case State.ACTIVE:
                return "Active"
            case State.DISABLED:
                return "Disabled MI"
            case State.INACTIVE:
                return "Probing" if self.probe is Probe.WHILE_INACTIVE else "Inactive"

    @property
    def told_state(self) -> str:
        """The state as events and reports tell it."""
        return "disabled MI" if self.state is State.DISABLED else self.shown_state.lower()

    @property
    def to_be_probed(self) -> bool:
        if self.state is State.DISABLED or self.probe is Probe.NEVER:
            return False
        return self.probe is Probe.ALWAYS or self.state is State.INACTIVE

    def is_at(self, address: str, port: int | None, transport: str | None = None) -> bool:
        """Whether it has this address; None for a port or a transport that does not count."""
        return any(
            target.address == address and port in (None, target.port) and transport in (None, target.transport)
            for target in self.targets
        )


@dataclass(slots=True, eq=False)
class Carrier:
    """A group of gateways with an order of its own; `stored_off` is what its table has."""

    id: str
    listed: tuple[Listed, ...]
    sorting: str
    only_first: bool = False
    attributes: str = ""
    off: bool = False
    stored_off: bool = False


def parse_address(text: str) -> tuple[SipUri, str]:
    """The column `address`: a SIP URI whose scheme may be left out.

    Gives the URI and its text behind scheme and user.  Raises `SipSyntaxError`.
    """
    text = text.strip()
    whole = text if text.lower().startswith(SCHEMES) else f"sip:{text}"
    uri = SipUri.parse(whole)
    if not uri.host:
        raise SipSyntaxError(f"'{text}' is not the address of a gateway, expected [sip:][user@]host[:port][;params]", 0)
    return uri, whole.partition(":")[2].rpartition("@")[2]


def parse_prefix(text: str) -> str:
    """The column `pri_prefix`: what can begin the user of a URI.  Raises `SipSyntaxError`."""
    if text and SipUri.parse(f"sip:{text}@host").user != text:
        raise SipSyntaxError(f"'{text}' cannot stand in front of a number", 0)
    return text


def transport_of(uri: SipUri) -> str:
    """The transport that a gateway's URI asks for.  Raises `SipSyntaxError` for parameters that are none."""
    return (uri.transport or ("tls" if uri.is_secure else "udp")).lower()


def numeric_target(uri: SipUri) -> Target | None:
    """Where a URI with an IP address leads, None for a name.  Raises `SipSyntaxError`."""
    address = ip_address(uri.host)
    if address is None:
        return None
    transport = transport_of(uri)
    return Target(transport, address, uri.port or DEFAULT_PORTS.get(transport, DEFAULT_PORTS["udp"]))
