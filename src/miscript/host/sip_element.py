"""The host as a SIP element: messages come in, routes run, messages go out.

A request is checked, counted and handed to `route`; a reply to the global `onreply_route`, then to the modules that
know its transaction, and is passed on without one where the script forwards statelessly.  What is not SIP is counted
and dropped; a request that is, but not as RFC 3261 wants it, gets a 400.  At most `MAX_UNDER_WAY` messages are worked
on at a time; what comes beyond is counted and dropped, so that a flood costs no memory.

Source: RFC 3261 sections 8.2, 16.3, 16.11 and 18; OpenSIPS manual, "Core Parameters" and "Statistics".
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from random import random
from typing import Final

from ..blacklist_service import blacklist_service
from ..errors import ConfigurationError, reason, remedy
from ..release import signature
from ..script.runtime import ErrorInfo, Run
from ..services import Counter, Routes, Services
from ..sip import Message, SipSyntaxError, SipUri
from ..sip.locating import Lookup, locate, sent_from
from ..sip.received import Received
from ..sip.refusing import refusal, salvaged
from ..sip.replies import local_tag, make_reply, next_target, passed_back, reply_target
from ..sip.requests import passed_on, via_line
from ..sip.sockets import DEFAULT_PORTS, ListeningSocket, Options, Target, parse_socket
from ..sip.via import COOKIE
from ..sip_service import Hooks, Traffic
from ..tls_service import Noted, Tls
from .network import DatagramSocket, Network, StreamSockets
from .sending_sockets import SendingSockets
from .sip_names import OwnNames
from .stream_limits import stream_limits
from .tasks import TaskTable

log = logging.getLogger("miscript.sip")

MAX_UNDER_WAY: Final = 8192
"""Messages that are worked on at a time."""

SMALLEST: Final = 12
"""Bytes of the shortest thing that can be SIP; shorter packets are keep-alives."""

CONNECTION: Final = "i"
"""Parameter of our Via in a request that is passed on without a transaction: the connection that it came over."""

DROPPED: Final = {True: "drop_requests", False: "drop_replies"}
COUNTERS: Final = (
    "rcv_requests", "rcv_replies", "fwd_requests", "fwd_replies", "drop_requests", "drop_replies", "err_requests",
    "err_replies", "bad_URIs_rcvd", "bad_msg_hdr",
)  # fmt: skip

SocketLine = tuple[str, Options]
"""Value and options of a `socket=` line."""


class SipElement:
    """Offered to modules as `sip` (`sip_service.SipService`)."""

    def __init__(self, services: Services, routes: Routes, tasks: TaskTable, network: Network) -> None:
        self.hooks = Hooks()
        self.stateless = False
        self.sockets: Sequence[ListeningSocket] = ()
        self._services = services
        self._routes = routes
        self._tasks = tasks
        self._network = network
        self._names = OwnNames()
        self._sending = SendingSockets(network)
        self._lines: list[SocketLine] = []
        self._ports = dict(DEFAULT_PORTS)
        self._parameters: Mapping[str, int | str] = {}
        self._datagrams: dict[ListeningSocket, DatagramSocket] = {}
        self._streams: StreamSockets | None = None
        self._wrong = ""
        self._lookup: Lookup | None = None
        self._under_way = 0
        self._received = 0
        self._secret = hashlib.blake2b(str(services.started).encode(), digest_size=16).hexdigest()
        self._counters: dict[str, Counter] = {name: services.statistics.register("core", name) for name in COUNTERS}

    def count(self, name: str) -> None:
        """One more of the core's statistic `name`."""
        self._counters[name].add()

    # -- life -------------------------------------------------------------------------------------------------

    def configure(
        self,
        lines: Iterable[SocketLine],
        aliases: Iterable[tuple[str, Options]],
        parameters: Mapping[str, int | str],
    ) -> None:
        """Take what the script says; nothing is opened yet."""
        self._lines = [line for line in lines if line[0].partition(":")[0].lower() in ("udp", "tcp", "tls")]
        self._parameters = parameters
        self._sending.by_route = bool(parameters.get("mhomed"))
        try:
            self._names.set_aliases(aliases)
            self._parse_lines()
        except ValueError as error:
            self._wrong = str(error)

    @cached_property
    def user_agent(self) -> str:
        return _header_value(self._parameters.get("user_agent_header")) or signature()

    @cached_property
    def server(self) -> str | None:
        if not self._parameters.get("server_signature", 1):
            return None
        return _header_value(self._parameters.get("server_header")) or signature()

    def _parse_lines(self) -> None:
        self.sockets = tuple(parse_socket(text, options, self._ports) for text, options in self._lines)
        self._names.sockets = self._sending.sockets = self.sockets

    def set_default_port(self, transport: str, port: int) -> None:
        self._ports[transport] = port
        if not self._wrong:
            self._parse_lines()

    async def open(self) -> None:
        """Open all sockets.  Raises ConfigurationError whose `value` is the line of one that cannot be."""
        if self._wrong:
            raise ConfigurationError(self._wrong)
        opened: list[ListeningSocket] = []
        for (text, _), parsed in zip(self._lines, self.sockets, strict=True):
            try:
                sockets = await self._network.addressed(parsed)
                for socket in sockets:
                    await self._open(socket)
            except OSError as error:
                raise ConfigurationError(
                    f"socket '{text}' cannot be opened: {reason(error)}",
                    value=text,
                    help=remedy(error, "udp" if parsed.transport == "udp" else "tcp", parsed.port),
                ) from error
            except ConfigurationError as error:
                error.value = text
                raise
            opened += sockets
        self.sockets = tuple(opened)
        self._names.sockets = self._sending.sockets = self.sockets

    async def _open(self, socket: ListeningSocket) -> None:
        if socket.transport == "udp":
            self._datagrams[socket] = await self._network.datagrams(socket, self.receive)
            return
        tls = self._tls()
        if socket.transport == "tls" and tls is None:
            raise ConfigurationError(
                f"socket '{socket}' needs the modules 'proto_tls' and 'tls_mgm'",
                help='add  loadmodule "proto_tls.so"  and  loadmodule "tls_mgm.so"',
            )
        if self._streams is None:
            self._streams = self._network.streams(
                self._services.clock,
                self.receive,
                self._broken_stream,
                stream_limits(self._parameters, self._services.find("tcp behaviour")),
                tls,
            )
            self._tasks.every(1.0, self._streams.sweep, "the sweep of idle connections")
            self._services.provide("tcp connections", self._streams)
        await self._streams.listen(socket, _number(self._parameters, "tcp_socket_backlog", 128))

    def _tls(self) -> Tls | None:
        domains, behaviour = self._services.find("tls domains"), self._services.find("tls behaviour")
        return None if domains is None or behaviour is None else Tls(domains, behaviour)

    async def close(self) -> None:
        """Close all sockets."""
        for datagrams in self._datagrams.values():
            datagrams.close()
        self._datagrams.clear()
        if self._streams is not None:
            await self._streams.shut()

    # -- what comes -------------------------------------------------------------------------------------------

    def receive(self, data: bytes, received: Received) -> None:
        """Take a message from the network."""
        if len(data) < SMALLEST or not data.strip(b"\r\n\0"):
            return
        if self._under_way >= MAX_UNDER_WAY:
            self.count(DROPPED[not data.startswith(b"SIP/")])
            return
        if self.hooks.traffic and received.socket is not None:
            self._tell_traffic(
                Traffic(data, received.socket, received.destination, received.source, False, received.connection)
            )
        for rewrite in self.hooks.incoming:
            data = rewrite(data)
        try:
            message = Message.parse(data)
        except SipSyntaxError as error:
            log.info("%s:%d sent what is no SIP message: %s", *received.source, error)
            self.count("bad_msg_hdr")
            self._no_message(data, received)
            return
        self._received += 1
        message.number = self._received
        message.received = received
        if received.connection and message.is_request:
            self._take_alias(message)
        self._under_way += 1
        work = self._request(message) if message.is_request else self._reply(message)
        self._tasks.soon(work, "a SIP request" if message.is_request else "a SIP reply")

    def _take_alias(self, request: Message) -> None:
        """Let the connection of a request stand for the port in its Via, where the script allows that (RFC 5923)."""
        mode, via = self._parameters.get("tcp_accept_aliases", 0), request.first_via
        if self._streams is not None and via is not None and (mode == 2 or (mode and "alias" in via.parameters)):
            port = via.port or DEFAULT_PORTS.get(request.received.transport, 5060)
            self._streams.alias(request.received.connection, port)

    def _no_message(self, data: bytes, received: Received) -> None:
        """What cannot be read is dropped, but for a request of which only the first line is wrong."""
        request = salvaged(data)
        if request is None or request.first_via is None or request.method == "ACK":
            self.count(DROPPED[not data.startswith(b"SIP/")])
            return
        request.received = received
        self._answer(request, 400, "Bad Request Line")

    def _broken_stream(self, head: bytes, received: Received) -> None:
        """The head of a message whose end cannot be known: it gets its 400 before the connection ends."""
        self.count("bad_msg_hdr")
        try:
            message = Message.parse(head) if head else None
        except SipSyntaxError:
            return
        if message is not None and message.is_request:
            message.received = received
            self._answer(message, 400, "Bad Content-Length")

    async def _request(self, request: Message) -> None:
        try:
            self.count("rcv_requests")
            if self.hooks.screens and not await self._passes_screens(request):
                self.count("drop_requests")
                return
            if request.first_via is None:
                log.info("%s:%d sent a request without a Via that can be read", *request.source)
                self.count("bad_msg_hdr")
                self.count("drop_requests")
                return
            wrong = refusal(request)
            if wrong is not None:
                await self._refuse(request, *wrong)
                return
            if all(passes(request) for passes in self.hooks.requests):
                await self._routes.run_route(
                    "route", "", message=request, prepare=self._begin if self.hooks.begun else None
                )
        except LookupError:
            self.count("drop_requests")
        except Exception:
            self.count("err_requests")
            raise
        finally:
            self._under_way -= 1

    async def _passes_screens(self, message: Message) -> bool:
        for passes in self.hooks.screens:
            if not await passes(message):
                return False
        return True

    def _begin(self, run: Run) -> None:
        for see in self.hooks.begun:
            see(run)

    async def _refuse(self, request: Message, status: int, reason: str) -> None:
        """A request that is not as it has to be: the error route answers it, without one it gets its reply."""
        log.info("%s:%d sent a bad request: %s", *request.source, reason)
        self.count("bad_msg_hdr")
        if request.method == "ACK":
            self.count("drop_requests")
            return
        if ("error_route", "") not in self._routes.script.routes:
            self._answer(request, status, reason)
            return

        def prepare(run: Run) -> None:
            run.error = ErrorInfo(1, 3, reason, status, reason)

        await self._routes.run_route("error_route", "", message=request, prepare=prepare)

    async def _reply(self, reply: Message) -> None:
        try:
            self.count("rcv_replies")
            if self.hooks.screens and not await self._passes_screens(reply):
                self.count("drop_replies")
                return
            if reply.first_via is None or reply.cseq is None:
                self.count("bad_msg_hdr")
                self.count("drop_replies")
                return
            assert reply.status is not None
            if ("onreply_route", "") in self._routes.script.routes:
                run = await self._routes.run_route("onreply_route", "", message=reply)
                if run.dropped and reply.status < 200:
                    self.count("drop_replies")
                    return
            for takes in self.hooks.replies:
                if await takes(reply):
                    return
            await self._pass_reply(reply)
        except Exception:
            self.count("err_replies")
            raise
        finally:
            self._under_way -= 1

    async def _pass_reply(self, reply: Message) -> None:
        """A reply that belongs to no transaction."""
        via, target = reply.first_via, next_target(reply)
        ours = via is not None and self.is_myself(via.host, via.port or DEFAULT_PORTS.get(via.transport.lower()))
        allowed = self.stateless or not self._parameters.get("disable_stateless_fwd", 1)
        socket = None if target is None else self.socket_for(target, reply)
        if target is None or socket is None or not (ours and allowed):
            self.count("drop_replies")
            return
        data = passed_back(reply)
        came_over = self._connection_told(reply, target)
        if (came_over or await self.connect(target, socket)) and self.send(data, target, socket, came_over):
            self.count("fwd_replies")
        else:
            self.count("err_replies")

    def _connection_told(self, reply: Message, target: Target) -> int:
        """The connection that the request of a reply without a transaction came over, as our Via of it tells; 0 when
        it does not, when the connection is gone, or when its peer is somebody else."""
        via = reply.first_via
        number = None if via is None else via.parameters.get(CONNECTION)
        if self._streams is None or not number or not number.isdecimal() or len(number) > 12:
            return 0
        peer = self._streams.peer(int(number))
        return int(number) if peer is not None and peer[0] == target.address else 0

    def _answer(self, request: Message, status: int, reason: str) -> None:
        try:
            tag = local_tag(self._secret, request)
            self.send_reply(request, make_reply(request, status, reason, to_tag=tag, server=self.server))
        except SipSyntaxError:
            self.count("drop_requests")

    # -- what goes --------------------------------------------------------------------------------------------

    def send(
        self,
        data: bytes,
        target: Target,
        socket: ListeningSocket,
        connection: int = 0,
        about: Message | None = None,
    ) -> bool:
        for rewrite in self.hooks.outgoing:
            data = rewrite(data)
        if target.transport == "udp":
            datagrams = self._datagrams.get(socket)
            sent = datagrams is not None and datagrams.send(data, target)
        else:
            sent = self._streams is not None and self._streams.send(data, target, connection)
        if sent and self.hooks.traffic:
            ends = None if self._streams is None else self._streams.ends(target, connection)
            local, peer = ends or ((socket.address, socket.port), (target.address, target.port))
            self._tell_traffic(Traffic(data, socket, local, peer, True, connection, about))
        return sent

    async def connect(
        self, target: Target, socket: ListeningSocket, noted: Noted = (), *, message: Message | None = None
    ) -> bool:
        if target.transport == "udp":
            return True
        if self._streams is None:
            return False
        if message is not None and self._parameters.get("tcp_no_new_conn_bflag") in message.branch.flags:
            return self._streams.present(target)
        return await self._streams.connect(target, socket, noted)

    def may_answer_anew(self, flags: Collection[str]) -> bool:
        return self._parameters.get("tcp_no_new_conn_rplflag") not in flags

    def keep_connection(self, message: Message, seconds: float) -> None:
        if self._streams is not None and message.received.connection:
            self._streams.keep(message.received.connection, seconds)

    def send_reply(self, request: Message, data: bytes) -> bool:
        received = request.received
        if received.socket is None:
            return False
        return self.send(data, reply_target(request), received.socket, received.connection, request)

    async def forward(
        self,
        message: Message,
        targets: Sequence[Target] = (),
        noted: Noted = (),
        blacklists: frozenset[str] = frozenset(),
    ) -> bool:
        if not message.is_request:
            return False
        failure = ""
        try:
            if not targets:
                next_hop = SipUri.parse(message.branch.destination or message.uri or "")
                targets = await self.resolve(sent_from(next_hop, message.branch.socket))
            for target in targets:
                failure = await self._forward_to(message, target, noted, blacklists)
                if not failure:
                    self.count("fwd_requests")
                    return True
        except SipSyntaxError as error:
            log.error("the request cannot be forwarded: %s", error)
            return False
        if failure:
            self.count(failure)
        return False

    async def _forward_to(self, message: Message, target: Target, noted: Noted, blacklists: frozenset[str]) -> str:
        """Pass a request on to one place; the statistic of what went wrong, or "".  Raises SipSyntaxError."""
        socket = self.socket_for(target, message)
        if socket is None:
            return "err_requests"
        via = via_line(socket, _stateless_branch(message), message)
        if message.received.connection:
            via = f"{via};{CONNECTION}={message.received.connection}"
        data = passed_on(message, message.branch, via, socket, reliable=target.reliable)
        known = blacklist_service(self._services)
        if blacklists and known.forbids(blacklists, target, data):
            return "drop_requests"
        if await self.connect(target, socket, noted, message=message) and self.send(data, target, socket, 0, message):
            return ""
        known.unreachable(target)
        return "err_requests"

    def _tell_traffic(self, traffic: Traffic) -> None:
        for tell in list(self.hooks.traffic):
            try:
                tell(traffic)
            except Exception:  # who watches must not break what is watched
                log.exception("a watcher of messages failed")

    # -- names and places -------------------------------------------------------------------------------------

    def socket_named(self, text: str) -> ListeningSocket | None:
        return self._names.socket_named(text)

    def socket_for(self, target: Target, message: Message | None = None) -> ListeningSocket | None:
        if message is None:
            return self._sending.choose(target)
        return self._sending.choose(target, message.branch.socket, message.received.socket)

    def is_myself(self, host: str, port: int | None = None, transport: str | None = None) -> bool:
        return self._names.is_mine(host, port, transport)

    def add_local_domains(self, is_local: Callable[[str], bool]) -> None:
        self._names.add_domains(is_local)

    async def resolve(self, uri: SipUri) -> Sequence[Target]:
        if self._lookup is None:
            seconds, tries = (_number(self._parameters, name, 1) for name in ("dns_retr_time", "dns_retr_no"))
            self._lookup = self._network.lookup(max(1, seconds) * max(1, tries))
        found = await locate(
            uri,
            self._lookup,
            tuple(dict.fromkeys(socket.transport for socket in self.sockets)) or ("udp",),
            random,
            naptr=bool(self._parameters.get("dns_try_naptr", 1)),
            ports=self._ports,
        )
        return found[:1] if self._parameters.get("disable_dns_failover") else found


def _stateless_branch(request: Message) -> str:
    """A branch that is the same for each retransmission, without remembering it (RFC 3261 section 16.11)."""
    via = request.first_via
    number = request.cseq[0] if request.cseq else 0
    text = f"{via.branch if via else ''}\0{via.host if via else ''}\0{request.call_id}\0{number}\0{request.uri}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
    return f"{COOKIE}{digest}.0"


def _header_value(text: int | str | None) -> str | None:
    """The value in `Name: value`, as `server_header` and `user_agent_header` have it."""
    return None if not isinstance(text, str) else text.partition(":")[2].strip() or text.strip() or None


def _number(parameters: Mapping[str, int | str], name: str, default: int) -> int:
    value = parameters.get(name)
    return value if isinstance(value, int) else default
