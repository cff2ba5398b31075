"""Where an MI command comes from: which door, which peer, what is traced and what is allowed.

A door makes one `Origin` for a client (or one for all, where clients cannot be told apart) and hands it to the
registry with every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

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
class Origin:
    """The sender of a request.

    `door` is the module's name (`mi_script`, `mi_fifo`, `mi_datagram`, `mi_http`), `peer` what is known about the
    other side, for the audit.  `source` and `destination` are the addresses of the request.  `pretty` is the door's
    `pretty_printing`.
    """

    door: str
    backend: Backend
    source: Address = NOWHERE
    destination: Address = NOWHERE
    peer: str = ""
    pretty: bool = False
    tracing: Tracing | None = None
    guard: Guard | None = None
