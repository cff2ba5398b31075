"""What a module may ask of the host about SIP: sockets, sending, and a say in what happens to each message.

The host offers a `SipService` as `sip`; `sip_service(services)` gives it.  The module `tm` offers a `Transactions`
(see `transaction_service`) as `tm`, the module that can answer without a transaction a `Replier` as `sl`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from .errors import ConfigurationError
from .sip.message import Message
from .sip.sockets import DEFAULT_PORTS, ListeningSocket, Target
from .sip.uri import SipUri
from .tls_service import Noted

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services

Filter: TypeAlias = Callable[[Message], bool]
ReplyHandler: TypeAlias = Callable[[Message], Awaitable[bool]]
RunHook: TypeAlias = "Callable[[Run], bool]"
Screen: TypeAlias = Callable[[Message], Awaitable[bool]]
Rewriting: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Traffic:
    """A message on the wire, for whoever traces: its bytes, the two ends, and whether we sent it.

    `local` is our end as the system has it: the port of a connection that we opened is not that of `socket`.
    `about` is the message that a reply without a transaction answers, or that is passed on without one.
    """

    data: bytes
    socket: ListeningSocket
    local: tuple[str, int]
    peer: tuple[str, int]
    sent: bool
    connection: int = 0
    about: Message | None = None


@dataclass(slots=True)
class Hooks:
    """Where modules take part; each list is called in the order of its entries.

    `requests` see a request before the script and give False for one that is dealt with; `replies` get a reply behind
    the global `onreply_route`, and the first that gives True has taken it.  `suspended` hear of a run
    whose `async()` is to wait, and end it with False.  `begun` get the run of a request before its route starts.
    `traffic` sees every message that comes and goes; who has nothing to do with it at the moment takes its entry out,
    because an empty list costs nothing.
    """

    requests: list[Filter] = field(default_factory=list)
    replies: list[ReplyHandler] = field(default_factory=list)
    suspended: list[RunHook] = field(default_factory=list)
    begun: list[Callable[[Run], None]] = field(default_factory=list)
    traffic: list[Callable[[Traffic], None]] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    """See each request and reply before anything else does, and give False for one that is dropped."""
    incoming: list[Rewriting] = field(default_factory=list)
    """Change the bytes of a message behind `traffic`, before anybody else has read it."""
    outgoing: list[Rewriting] = field(default_factory=list)
    """Change the bytes of a message of which everything else has been decided; `traffic` sees what they give."""


class SipService(Protocol):
    """The host as a SIP element."""

    hooks: Hooks
    stateless: bool
    """Whether the script forwards without transactions; replies that nobody knows are then passed on."""

    @property
    def sockets(self) -> Sequence[ListeningSocket]:
        """Our sockets, in the order of the script."""

    @property
    def server(self) -> str | None:
        """The value of Server in replies of ours; None for no such field."""

    @property
    def user_agent(self) -> str:
        """The value of User-Agent in requests of ours."""

    def socket_named(self, text: str) -> ListeningSocket | None:
        """Our socket `[proto:]host[:port]`, by its own or its advertised name; None when there is none."""

    def socket_for(self, target: Target, message: Message | None = None) -> ListeningSocket | None:
        """The socket to send from: the one that `message` came to where it can be, else the first that can."""

    def is_myself(self, host: str, port: int | None = None, transport: str | None = None) -> bool:
        """Whether this is one of our names: a socket, an advertised address, an `alias`."""

    def set_default_port(self, transport: str, port: int) -> None:
        """The port where none is written: of our sockets, before they are opened, and of URIs that we send to."""

    def add_local_domains(self, is_local: Callable[[str], bool]) -> None:
        """Ask `is_local` too whether a host is ours."""

    async def resolve(self, uri: SipUri) -> Sequence[Target]:
        """Where a URI leads, the best first; empty when its host has no address."""

    async def connect(
        self, target: Target, socket: ListeningSocket, noted: Noted = (), *, message: Message | None = None
    ) -> bool:
        """See to it that `send` can reach `target`; False when it cannot be reached.  At once for datagrams.

        `noted` AVPs of the message may choose the TLS domain of a new connection.  For a request `message` with the
        branch flag `tcp_no_new_conn_bflag` no connection is opened.
        """

    def may_answer_anew(self, flags: Collection[str]) -> bool:
        """Whether a connection may be opened for replies to a request with these flags (`tcp_no_new_conn_rplflag`)."""

    def keep_connection(self, message: Message, seconds: float) -> None:
        """Let the connection that `message` came over live for these seconds, though it be silent."""

    def send(self, data: bytes, target: Target, socket: ListeningSocket, connection: int = 0) -> bool:
        """Send without waiting; False when it cannot be sent.

        `connection` is tried first; when it is gone, the one that `target` has.
        """

    def send_reply(self, request: Message, data: bytes) -> bool:
        """Send a reply to where `request` came from."""

    async def forward(
        self,
        message: Message,
        targets: Sequence[Target] = (),
        noted: Noted = (),
        blacklists: frozenset[str] = frozenset(),
    ) -> bool:
        """Pass a request on without a transaction; False when it fails.

        It goes to the first of its destination's places, or of `targets`, that can be reached and that no one of the
        `blacklists` forbids.
        """


class Replier(Protocol):
    """Who answers without a transaction."""

    def send_reply(self, request: Message, status: int, reason: str) -> bool:
        """Send a reply of ours; False when the request has nowhere to send it to."""

    def local_tag(self, request: Message) -> str:
        """The To tag of such replies."""


def sip_service(services: Services) -> SipService:
    """The SIP element of this host."""
    return cast(SipService, services.find("sip"))


def take_default_port(services: Services, transport: str, port: int, parameter: str) -> None:
    """Let sockets and destinations of a transport that name no port have this one.  Raises ConfigurationError."""
    if not 0 < port < 65536:
        raise ConfigurationError(f"'{port}' is no port", parameter=parameter)
    if port != DEFAULT_PORTS[transport]:
        sip_service(services).set_default_port(transport, port)
