"""proto_hep: sends what is traced to Homer and other HEP collectors.

Each `hep_id` is a destination that `trace_destination` of mi_script and of the MI doors may name, and `trace_id` of
tracer.  Sending never waits and never changes a result: packets that cannot go out now wait in memory, bounded;
packets that are lost are counted by reason in the statistics `proto_hep:dropped_…`, and the log tells once when a
collector is lost and when it is there again.

Source: OpenSIPS manual, module proto_hep.
"""

from __future__ import annotations

import logging
from typing import cast

from ...errors import ConfigurationError
from ...exports import Module, parameter, script_function, statistic
from ...hep.hep_id import HepId, parse_hep_id, parse_hep_ids
from ...hep.message_packet import MessageForm
from ...hep.mi_frame import MiFrames
from ...hep.v3 import MAX_FRAME
from ...script.runtime import Run
from ...tls_service import TlsDomains
from ...trace import NOWHERE, MessageDestination, MessageEvent
from .backlog import Backlog, Drop, Health
from .destination import HepDestination, SipDestination, Unsendable
from .senders import Collector, Sender, TcpSender, UdpSender
from .sockets import LocalSocket, hep_sockets
from .tls_sender import TlsSender

log = logging.getLogger("miscript.proto_hep")

MOST_WAITING = 1 << 16
LEAST_GIVE_UP_SECONDS = 10.0
CAPTURE_ID_BITS = 32
MAX_DATAGRAM = 65507
"""Bytes that UDP over IPv4 has room for."""


class ProtoHep(Module):
    """Send what is traced, SIP messages and MI commands, to HEP collectors over UDP, TCP or TLS."""

    early = True

    hep_id: list[tuple[str, str]] = parameter(
        [],
        "A collector: `[name]host:port;transport=tcp;version=3`. Given once for each; port 9060, TCP and version 3 "
        "when left out.",
        kinds="string",
        repeatable=True,
    )
    trace_destination: list[str] = parameter([], "The other name of `hep_id`.", kinds="string", repeatable=True)
    trace_id: list[str] = parameter([], "What mi_script's manual calls `hep_id`.", kinds="string", repeatable=True)
    hep_capture_id = parameter(1, "The number of this host in all packets, 32 bits.")
    homer5_on = parameter(1, "1: payloads are values with a delimiter between them; 0: payloads are JSON.")
    homer5_delim = parameter(":", "What stands between the values when `homer5_on` is set.")
    compressed_payload = parameter(0, "1 to compress SIP payloads with zlib; MI payloads never are.")
    hep_port = parameter(9060, "The port of `socket=hep_…` lines that have none.")
    hep_send_timeout = parameter(
        100,
        "Milliseconds that a TCP connection may leave what was sent unacknowledged before it is given up; less than "
        "10000 counts as 10000, because nobody waits for it.",
    )
    hep_async = parameter(1, "Without meaning here: sending never waits.")
    hep_async_local_write_timeout = parameter(100, "Without meaning here: sending never waits.")
    hep_async_max_postponed_chunks = parameter(
        0, "How many packets may wait for a collector, the oldest give way; 0: as many as fit into 8 MiB (65536)."
    )
    hep_max_msg_chunks = parameter(32, "In how many pieces a packet may be received; nothing is received here.")
    hep_max_retries = parameter(5, "Without meaning here: a lost collector is tried again without end.")
    hep_retry_cooldown = parameter(
        3600, "Without meaning here: a lost collector is tried again within a second, while packets wait."
    )

    sent = statistic("sent_packets", "Packets handed to the network.")
    dropped_queue_full = statistic("dropped_queue_full", "Packets that gave way to newer ones.")
    dropped_unreachable = statistic("dropped_unreachable", "Packets that the collector's machine refused (UDP).")
    dropped_no_socket = statistic("dropped_no_socket", "Packets for which the script has no socket of their kind.")
    dropped_no_tls = statistic("dropped_no_tls", "Packets for destinations over TLS without module tls_mgm.")
    dropped_old_version = statistic("dropped_old_version", "MI packets for destinations of HEP version 1 and 2.")
    dropped_too_large = statistic("dropped_too_large", "Packets that do not fit into 65535 bytes.")
    dropped_stopped = statistic("dropped_stopped", "Packets that still waited when the host stopped.")

    def set_parameter(self, name: str, value: int | str) -> None:
        """`hep_id` and its other names fill one list; each text keeps the name that it was given by."""
        if name in ("hep_id", "trace_destination", "trace_id"):
            self.hep_id.append((name, str(value)))
        else:
            super().set_parameter(name, value)

    def init(self) -> None:
        """Read the destinations and offer them to whoever traces; no socket is opened before the first packet."""
        sockets = hep_sockets(self.services.sockets, self.hep_port)
        if not sockets:
            raise ConfigurationError(
                "there is no HEP socket for packets to leave from",
                help="add  socket=hep_udp:127.0.0.1:6060  (or hep_tcp) to the script",
            )
        if self.compressed_payload and self.services.find("compression") is None:
            raise ConfigurationError(
                "module 'compression' is not loaded",
                parameter="compressed_payload",
                help='add  loadmodule "compression.so"',
            )
        self._capture_id = self.hep_capture_id & ((1 << CAPTURE_ID_BITS) - 1)
        self._frames = MiFrames(capture_id=self._capture_id, homer5=bool(self.homer5_on), delimiter=self.homer5_delim)
        self._sockets = sockets
        self._senders: list[Sender] = []
        self._added: dict[str, Sender | None] = {}
        for hep_id in self._hep_ids().values():
            self.services.trace_destinations[hep_id.name] = self._destination(hep_id)
        self.services.provide("trace collectors", self)
        self.services.statistics.register(
            self.name, "waiting_packets", False, lambda: sum(len(sender.backlog) for sender in self._senders)
        )

    def _hep_ids(self) -> dict[str, HepId]:
        found: dict[str, HepId] = {}
        for count, (name, _) in enumerate(self.hep_id, 1):
            try:
                found = parse_hep_ids(text for _, text in self.hep_id[:count])
            except ConfigurationError as error:
                error.parameter = name
                raise
        return found

    @script_function(routes="request failure reply branch local")
    def correlate(self, run: Run, hep_id: str, type1: str, id1: str, type2: str, id2: str) -> int:
        """Tell the collector `hep_id` that two ids of different types, such as sip and rest, are those of one thing."""
        destination: object = self.services.trace_destinations.get(hep_id)
        if not isinstance(destination, MessageDestination):
            log.error("correlate(): there is no hep_id '%s'", hep_id)
            return -1
        if type1 == type2:
            log.error("correlate(): both ids are of the type '%s'", type1)
            return -1
        now = self.services.clock.time()
        related = ((type1, id1), (type2, id2))
        destination.send_message(MessageEvent("control", (), "", NOWHERE, NOWHERE, "tcp", now, related))
        return 1

    # -- collectors that come while we run ------------------------------------------------------------------------

    def add(self, name: str, uri: str) -> MessageDestination:
        """A collector that is no `hep_id` of the script; see `trace.CollectorsInUse`."""
        if name in self.services.trace_destinations:
            raise ConfigurationError(f"the name '{name}' is taken")
        destination = self._destination(parse_hep_id(f"[{name}]{uri}"))
        self._added[name] = destination.sender if isinstance(destination, SipDestination) else None
        self.services.trace_destinations[name] = destination
        return destination

    def remove(self, name: str) -> None:
        """Let go of a collector that `add` made."""
        if name not in self._added:
            return
        del self.services.trace_destinations[name]
        sender = self._added.pop(name)
        if sender is not None:
            self._senders.remove(sender)
            self.services.tasks.spawn(sender.stop(), f"the end of HEP destination '{name}'")

    # -- destinations ---------------------------------------------------------------------------------------------

    def _destination(self, hep_id: HepId) -> SipDestination | Unsendable:
        local = self._sockets.get(hep_id.transport)
        label = f"HEP destination '{hep_id.name}'"
        address = f"{hep_id.host}:{hep_id.port}"
        for warning in hep_id.warnings:
            log.warning("%s: %s", label, warning)
        if hep_id.version < 3:
            log.warning("%s: HEP version %d carries SIP only, no MI packet is sent to it", label, hep_id.version)
        if hep_id.transport == "tls" and self.services.find("tls domains") is None:
            log.warning("%s: module 'tls_mgm' is not loaded, nothing is sent to it", label)
            return Unsendable(address, Drop.NO_TLS, self._dropped)
        if local is None:
            kind = f"hep_{hep_id.transport}"
            log.warning("%s: the script has no  socket=%s:…  line, nothing is sent to it", label, kind)
            return Unsendable(address, Drop.NO_SOCKET, self._dropped)
        if not 0 < hep_id.port <= 0xFFFF:
            return Unsendable(address, Drop.UNREACHABLE, self._dropped)
        return self._sending(hep_id, local, address, Health(f"{label} ({hep_id.transport} {address})"))

    def _sending(self, hep_id: HepId, local: LocalSocket, address: str, health: Health) -> SipDestination:
        collector = Collector(hep_id.host, hep_id.port, local, health, self.sent, self._dropped)
        limit = self.hep_async_max_postponed_chunks
        backlog = Backlog(limit if limit > 0 else MOST_WAITING, self._dropped)
        udp = hep_id.transport == "udp"
        sender = self._sender(hep_id.transport, collector, backlog)
        self._senders.append(sender)
        form = MessageForm(
            hep_id.version, self._capture_id, bool(self.homer5_on), self.homer5_delim, bool(self.compressed_payload)
        )
        largest = MAX_DATAGRAM if udp else MAX_FRAME
        if hep_id.version < 3:
            return SipDestination(address, form, sender, self._dropped, largest)
        return HepDestination(address, self._frames, form, sender, self._dropped, largest)

    def _sender(self, transport: str, collector: Collector, backlog: Backlog) -> Sender:
        seconds = max(self.hep_send_timeout / 1000, LEAST_GIVE_UP_SECONDS)
        match transport:
            case "udp":
                return UdpSender(collector, backlog, seconds)
            case "tls":
                domains = cast(TlsDomains, self.services.find("tls domains"))
                return TlsSender(collector, backlog, seconds, domains)
            case _:
                return TcpSender(collector, backlog, seconds)

    def _dropped(self, reason: Drop, count: int) -> None:
        getattr(self, f"dropped_{reason}").add(count)

    async def stop(self) -> None:
        """Send what still waits, as far as a second allows."""
        for sender in self._senders:
            await sender.stop()
