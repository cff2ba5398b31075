"""proto_hep: sends what is traced to Homer and other HEP collectors.

Each `hep_id` is a destination that `trace_destination` of mi_script and of the MI doors may name.  Sending never
waits and never changes a result: packets that cannot go out now wait in memory, bounded; packets that are lost are
counted by reason in the statistics `proto_hep:dropped_…`, and the log tells once when a collector is lost and when
it is there again.

Source: OpenSIPS manual, module proto_hep.
"""

from __future__ import annotations

import logging

from ...errors import ConfigurationError
from ...exports import Module, parameter, statistic
from ...hep.hep_id import HepId, parse_hep_ids
from ...hep.mi_frame import MiFrames
from ...trace import TraceDestination
from .backlog import Backlog, Drop, Health
from .destination import HepDestination, Unsendable
from .senders import Collector, Sender, TcpSender, UdpSender
from .sockets import LocalSocket, hep_sockets

log = logging.getLogger("miscript.proto_hep")

MOST_WAITING = 1 << 16
LEAST_GIVE_UP_SECONDS = 10.0
CAPTURE_ID_BITS = 32


class ProtoHep(Module):
    """Send traced MI commands to HEP collectors over UDP or TCP."""

    early = True

    hep_id: list[tuple[str, str]] = parameter(
        [],
        "A collector: `[name]host:port;transport=tcp;version=3`. Given once for each; port 9060, TCP and version 3 "
        "when left out.",
        kinds="string",
        repeatable=True,
    )
    trace_destination: list[str] = parameter([], "The other name of `hep_id`.", kinds="string", repeatable=True)
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
    dropped_no_tls = statistic("dropped_no_tls", "Packets for destinations over TLS.")
    dropped_old_version = statistic("dropped_old_version", "MI packets for destinations of HEP version 1 and 2.")
    dropped_too_large = statistic("dropped_too_large", "Packets that do not fit into 65535 bytes.")
    dropped_stopped = statistic("dropped_stopped", "Packets that still waited when the host stopped.")

    def set_parameter(self, name: str, value: int | str) -> None:
        """`hep_id` and `trace_destination` fill one list; each text keeps the name that it was given by."""
        if name in ("hep_id", "trace_destination"):
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
        frames = MiFrames(
            capture_id=self.hep_capture_id & ((1 << CAPTURE_ID_BITS) - 1),
            homer5=bool(self.homer5_on),
            delimiter=self.homer5_delim,
        )
        self._senders: list[Sender] = []
        for hep_id in self._hep_ids().values():
            local = sockets.get(hep_id.transport)
            self.services.trace_destinations[hep_id.name] = self._destination(hep_id, local, frames)
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

    def _destination(self, hep_id: HepId, local: LocalSocket | None, frames: MiFrames) -> TraceDestination:
        label = f"HEP destination '{hep_id.name}'"
        for warning in hep_id.warnings:
            log.warning("%s: %s", label, warning)
        if hep_id.version < 3:
            log.warning("%s: HEP version %d carries SIP only, no MI packet is sent to it", label, hep_id.version)
            return Unsendable(Drop.OLD_VERSION, self._dropped)
        if hep_id.transport == "tls":
            log.warning("%s: HEP over TLS is not available yet, nothing is sent to it", label)
            return Unsendable(Drop.NO_TLS, self._dropped)
        if local is None:
            kind = f"hep_{hep_id.transport}"
            log.warning("%s: the script has no  socket=%s:…  line, nothing is sent to it", label, kind)
            return Unsendable(Drop.NO_SOCKET, self._dropped)
        if not 0 < hep_id.port <= 0xFFFF:
            return Unsendable(Drop.UNREACHABLE, self._dropped)
        return self._sending(hep_id, local, frames, Health(f"{label} ({hep_id.transport} {hep_id.host}:{hep_id.port})"))

    def _sending(self, hep_id: HepId, local: LocalSocket, frames: MiFrames, health: Health) -> HepDestination:
        collector = Collector(hep_id.host, hep_id.port, local, health, self.sent, self._dropped)
        limit = self.hep_async_max_postponed_chunks
        backlog = Backlog(limit if limit > 0 else MOST_WAITING, self._dropped)
        kind = UdpSender if hep_id.transport == "udp" else TcpSender
        sender = kind(collector, backlog, max(self.hep_send_timeout / 1000, LEAST_GIVE_UP_SECONDS))
        self._senders.append(sender)
        return HepDestination(frames, sender, self._dropped)

    def _dropped(self, reason: Drop, count: int) -> None:
        getattr(self, f"dropped_{reason}").add(count)

    async def stop(self) -> None:
        """Send what still waits, as far as a second allows."""
        for sender in self._senders:
            await sender.stop()
