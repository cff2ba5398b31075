"""Script functions of the core that send a message, or say how it is to be sent; and the sockets it came and goes by.

Source: OpenSIPS manual, "Core Functions" and "Core Variables"; observed values of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Final

from ...blacklist_service import blacklist_service
from ...exports import BoundText, bound_function, script_function, variable
from ...read_arguments import flags_in, unknown_flag
from ...script.access import SimpleAccess
from ...script.nodes import Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...sip import Message, SipSyntaxError
from ...sip.replies import next_target, passed_back
from ...sip.sockets import DEFAULT_PORTS, ListeningSocket, Target, split_host, split_socket
from ...sip.uri import SipUri
from ...sip_service import SipService, sip_service
from ...values import Value, given_text
from .message_parts import PLAIN_ASSIGNMENTS
from .part import CorePart

log = logging.getLogger("miscript.sip")

VIA_HANDLING: Final = frozenset({"force-rport", "add-local-rport", "reply-to-via", "force-tcp-alias"})
"""Flags of `set_via_handling`."""


def _unknown_via_flag(flags: str) -> str | None:
    """What is wrong with the flags of `set_via_handling`."""
    return unknown_flag(sorted(flags_in(flags.lower())), VIA_HANDLING)


ViaFlags = Annotated[str, _unknown_via_flag]


class SipFunctions(CorePart):
    """Sending without transactions, and what concerns sockets."""

    @property
    def sip(self) -> SipService:
        """The host as a SIP element."""
        return sip_service(self.services)

    # -- sending ----------------------------------------------------------------------------------------------

    @bound_function()
    def forward(self, destination: BoundText | None = None) -> Callable[[Run], Awaitable[int]]:
        """Pass the request on without a transaction: to `[proto:]host[:port]`, or to its own destination."""
        self.sip.stateless = True

        async def pass_on(run: Run) -> int:
            message = run.message
            if message is None or not message.is_request:
                return -1
            targets: Sequence[Target] = ()
            if destination is not None:
                targets = await self._targets(str(destination.get(run) or ""))
                if not targets:
                    return -1
            chosen = blacklist_service(self.services).chosen(run)
            return 1 if await self.sip.forward(message, targets, (run.avps,), chosen) else -1

        return pass_on

    @bound_function()
    def send(self, destination: BoundText, headers: BoundText | None = None) -> Callable[[Run], Awaitable[int]]:
        """Send the message as it is, without a Via of ours; `headers` are added to a request."""
        self.sip.stateless = True

        async def send_copy(run: Run) -> int:
            message: Message | None = run.message
            targets = await self._targets(str(destination.get(run) or ""))
            if message is None or not targets:
                return -1
            target = targets[0]
            try:
                data = self._copy(message, None if headers is None else str(headers.get(run) or ""))
            except SipSyntaxError as error:
                log.error("the message cannot be sent: %s", error)
                return -1
            socket = self.sip.socket_for(target, message)
            if socket is None or not await self.sip.connect(target, socket, (run.avps,)):
                return -1
            return 1 if self.sip.send(data, target, socket) else -1

        return send_copy

    def _copy(self, message: Message, headers: str | None) -> bytes:
        if not message.is_request:
            return passed_back(message) if next_target(message) else message.to_bytes()
        copy = message.copy()
        if headers:
            copy.append_hf(headers)
        return copy.to_bytes()

    async def _targets(self, text: str) -> Sequence[Target]:
        """The places of `[proto:]host[:port]` or a SIP URI, the best first; none when it has no address."""
        try:
            if text.lower().startswith(("sip:", "sips:")):
                uri = SipUri.parse(text)
            else:
                named = text.partition(":")[0].lower() in DEFAULT_PORTS
                transport, host, port = split_socket(text if named else f"udp:{text}")
                uri = SipUri.parse(f"sip:{f'[{host}]' if ':' in host else host}:{port};transport={transport}")
        except (ValueError, SipSyntaxError) as error:
            log.error("'%s' is no destination: %s", text, error)
            return ()
        return await self.sip.resolve(uri)

    # -- Via and sockets --------------------------------------------------------------------------------------

    @script_function()
    def force_rport(self, run: Run) -> int:
        """Answer to the port that the request came from, as if its Via asked for it (RFC 3581)."""
        if run.message is None:
            return -1
        run.message.via_wishes = replace(run.message.via_wishes, rport=True)
        return 1

    @script_function()
    def add_local_rport(self, run: Run) -> int:
        """Ask for the same in our own Via."""
        if run.message is None:
            return -1
        run.message.via_wishes = replace(run.message.via_wishes, own_rport=True)
        return 1

    @script_function()
    def set_via_handling(self, run: Run, flags: ViaFlags) -> int:
        """Say how this request is answered and sent on.

        `flags`, separated by commas: `force-rport` (force_rport()), `add-local-rport` (add_local_rport()),
        `reply-to-via` (answer to address and port in its Via, not to those that it came from) and `force-tcp-alias`
        (force_tcp_alias()).
        """
        wanted, mistake = flags_in(flags.lower()), _unknown_via_flag(flags)
        if run.message is None or mistake is not None:
            log.error("set_via_handling: %s", mistake or "there is no message")
            return -1
        wishes = run.message.via_wishes
        run.message.via_wishes = replace(
            wishes,
            rport=wishes.rport or "force-rport" in wanted,
            own_rport=wishes.own_rport or "add-local-rport" in wanted,
            to_via=wishes.to_via or "reply-to-via" in wanted,
        )
        return self.force_tcp_alias(run) if "force-tcp-alias" in wanted else 1

    @script_function()
    def set_advertised_address(self, run: Run, address: str) -> int:
        """Another host in our own Via of this request."""
        if run.message is None or not _is_host(address):
            return -1
        run.message.via_wishes = replace(run.message.via_wishes, host=address)
        return 1

    @script_function()
    def set_advertised_port(self, run: Run, port: str) -> int:
        """Another port in our own Via of this request."""
        if run.message is None or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            return -1
        run.message.via_wishes = replace(run.message.via_wishes, port=int(port))
        return 1

    @script_function()
    def force_send_socket(self, run: Run, socket: str) -> int:
        """Send the request from this socket of ours, `proto:address[:port]`."""
        found = self.sip.socket_named(socket)
        if run.message is None or found is None:
            log.error("'%s' is no socket of ours", socket)
            return -1
        run.message.branch.socket = found
        return 1

    @script_function()
    def force_tcp_alias(self, run: Run, port: int = 0) -> int:
        """Send requests for the sender's address and `port`, that of its Via without one, over the connection that
        this one came by (RFC 5923).

        Without a connection there is nothing to do.  Only for peers that are trusted: one of several behind an address
        takes over what is meant for another.
        """
        message: Message | None = run.message
        connections = self.services.find("tcp connections")
        if message is None or not 0 <= port < 65536:
            return -1
        if not message.received.connection or connections is None:
            return 1
        via = message.first_via
        written = None if via is None else via.port
        usual = DEFAULT_PORTS.get(message.received.transport, 5060)
        return 1 if connections.alias(message.received.connection, port or written or usual) else -1

    @script_function()
    def tcp_close_conn(self, run: Run, peer: str) -> int:
        """Close a connection: `[proto:]address:port` of its peer, or its number as `tcp:list` tells it."""
        connections = self.services.find("tcp connections")
        if connections is None:
            return -1
        if peer.isascii() and peer.isdecimal():
            return 1 if connections.close_number(int(peer)) else -1
        before, _, behind = peer.partition(":")
        protocol = before.lower() if before.lower() in DEFAULT_PORTS else None
        try:
            host, port = split_host(peer if protocol is None else behind)
        except ValueError:
            return -1
        return 1 if port is not None and connections.close(host, port, protocol) else -1

    @script_function()
    def is_myself(self, run: Run, host: str, port: int = 0) -> int:
        """Whether a host, and port, is one of ours: a socket, an advertised address, an alias."""
        return 1 if self.sip.is_myself(host, port) else -1

    # -- variables --------------------------------------------------------------------------------------------

    @variable("socket_in", inner="optional", binds=True)
    def socket_in(self, inner: Template | None, index: None, binder: Binder) -> VariableAccess:
        """The socket that the message came to, as proto:ip:port; or one part of it."""
        read = _part(None if inner is None else inner.constant)
        return SimpleAccess(lambda run: _of(_came_to(run), read))

    @variable("socket_out", inner="optional", binds=True, reads_texts=PLAIN_ASSIGNMENTS)
    def socket_out(self, inner: Template | None, index: None, binder: Binder) -> VariableAccess:
        """The socket that the message will be sent from: the one that was set, else the one that it came to.

        A text sets it, one that is no socket of ours changes nothing; NULL leaves the choice to us.
        """
        name = None if inner is None else inner.constant
        if name == "forced":
            return SimpleAccess(lambda run: _of(_forced(run), str))
        read = _part(name)
        return SimpleAccess(lambda run: _of(_forced(run) or _came_to(run), read), self._set_socket_out)

    def _set_socket_out(self, run: Run, value: Value, operator: str) -> bool:
        name = given_text(value)
        if run.message is None or name == "" or (name is None and value is not None):
            return False
        if name is None:
            run.message.branch.socket = None
        else:
            self.force_send_socket(run, name)
        return True


def _came_to(run: Run) -> ListeningSocket | None:
    return None if run.message is None else run.message.received.socket


def _forced(run: Run) -> ListeningSocket | None:
    return None if run.message is None else run.message.branch.socket


def _of(socket: ListeningSocket | None, read: Callable[[ListeningSocket], Value]) -> Value:
    return None if socket is None else read(socket)


_PARTS: dict[str, Callable[[ListeningSocket], Value]] = {
    "ip": lambda socket: socket.address,
    "port": lambda socket: socket.port,
    "proto": lambda socket: socket.transport,
    "advertised_ip": lambda socket: socket.advertised_address,
    "advertised_port": lambda socket: socket.advertised_port,
    "tag": lambda socket: socket.tag,
    "anycast": lambda socket: int(socket.anycast),
    "af": lambda socket: "INET6" if socket.is_ipv6 else "INET",
}


def _part(name: str | None) -> Callable[[ListeningSocket], Value]:
    if name is None:
        return str
    read = _PARTS.get(name)
    if read is None:
        raise ValueError(f"a socket has no part '{name}'; it has {', '.join(_PARTS)}")
    return read


def _is_host(text: str) -> bool:
    try:
        return SipUri.parse(f"sip:{text}").host == text
    except SipSyntaxError:
        return False
