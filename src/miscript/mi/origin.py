"""Where an MI command comes from: which door, which peer, what is traced and what is allowed.

A door makes one `Origin` for a client (or one for all, where clients cannot be told apart) and hands it to the
registry with every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from ..trace import NOWHERE, Address, TraceDestination

if TYPE_CHECKING:
    from .command import Command
    from .jsonrpc import Request


class Backend(StrEnum):
    """The kind of door, with the word that traced packets have for it."""

    SCRIPT = "script"
    FIFO = "fifo"
    DATAGRAM = "datagram"
    HTTP = "json"


class Guard(Protocol):
    """What decides whether a peer may run a command."""

    def check(self, command: Command, request: Request, origin: Origin) -> None:
        """Return if it may; raise `MIError` (-32003 `Forbidden`) if not."""


@dataclass(frozen=True, slots=True)
class CommandList:
    """The commands that `trace_bwlist` names: the only ones traced (`only`), or the only ones not."""

    only: bool
    names: frozenset[str]
    """Canonical names."""

    def lets_through(self, command: Command) -> bool:
        """Whether `command` is traced."""
        return (command.full in self.names) == self.only


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a door traces, and where to."""

    destination: TraceDestination
    bwlist: CommandList | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a peer has shown of itself, checked by its door as far as the door can.

    `user` is the name of a UNIX user (FIFO: the owner of the reply FIFO, which is advisory) or the login of HTTP's
    basic authentication; `password` the SHA-256 of the password that came with it; `token` the SHA-256 of a bearer
    token.  Empty where there is none.
    """

    user: str = ""
    password: bytes = b""
    token: bytes = b""

    def __str__(self) -> str:
        """For people: never enough of a secret to use it."""
        return self.user or (f"token:{self.token.hex()[:8]}" if self.token else "")


NOBODY: Final = Identity()


@dataclass(frozen=True, slots=True)
class Origin:
    """The sender of a request.

    `door` is the module's name (`mi_script`, `mi_fifo`, `mi_datagram`, `mi_http`), `peer` what is known about the
    other side, for the audit.  `source` and `destination` are the addresses of the request.  `pretty` is the door's
    `pretty_printing`; `identity` is who the peer is, for the guard.
    """

    door: str
    backend: Backend
    source: Address = NOWHERE
    destination: Address = NOWHERE
    peer: str = ""
    pretty: bool = False
    tracing: Tracing | None = None
    guard: Guard | None = None
    identity: Identity = NOBODY

    @property
    def has_address(self) -> bool:
        """Whether `source` is where the peer really is: a network peer has a port, others have none."""
        return self.source[1] != 0
