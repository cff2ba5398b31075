"""What a listener shows of the packets it receives: request and reply put together, as text or as JSON lines.

An MI request and its reply are two packets with one correlation id.  `Pairing` holds a request until its reply
comes, its time is up or room is needed; every other packet is shown at once.  Time is passed in.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, TypeAlias

from ..values import decode, encode
from .packet import IpAddress, IpProtocol, Packet, ProtocolType
from .payload import DEFAULT_DELIMITER, read_homer5_request, read_json_payload

MAX_WAITING: Final = 1024
MAX_WAITING_BYTES: Final = 8 << 20
PATIENCE: Final = 5.0

_Key: TypeAlias = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """An MI request with its reply, or a packet that stands alone; then `reply` is None.

    Of a reply whose request was not seen it cannot always be told that it is one: it is `request` then.
    """

    request: Packet
    reply: Packet | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from the request to its reply by the sender's clock; None without a reply."""
        return None if self.reply is None else _seconds(self.reply) - _seconds(self.request)


@dataclass(frozen=True, slots=True)
class _Waiting:
    packet: Packet
    since: float


class Pairing:
    """Puts requests and replies together.

    At most `limit` packets (and 8 MiB of their contents) wait for their other half, each at most `patience`
    seconds; the oldest gives way, and is then shown without a reply.
    """

    def __init__(self, *, limit: int = MAX_WAITING, patience: float = PATIENCE) -> None:
        self._limit = limit
        self._patience = patience
        self._waiting: OrderedDict[_Key, _Waiting] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many packets wait for their other half."""
        return len(self._waiting)

    def add(self, packet: Packet, now: float) -> list[Exchange]:
        """Take a packet that came at `now` (seconds of any steady clock); what can be shown now, oldest first."""
        done = self.expire(now)
        if packet.protocol_type != ProtocolType.MI or packet.correlation_id is None:
            return [*done, Exchange(packet)]
        key = (packet.capture_id, packet.correlation_id)
        other = self._waiting.get(key)
        if other is not None:
            self._take(key)
            return [*done, _pair(other.packet, packet)]
        self._waiting[key] = _Waiting(packet, now)
        self._bytes += _size(packet)
        while len(self._waiting) > self._limit or self._bytes > MAX_WAITING_BYTES:
            done.append(Exchange(self._take(next(iter(self._waiting)))))
        return done

    def expire(self, now: float) -> list[Exchange]:
        """The requests that have waited long enough, oldest first."""
        late = []
        for key, waiting in self._waiting.items():
            if now - waiting.since < self._patience:
                break
            late.append(key)
        return [Exchange(self._take(key)) for key in late]

    def drain(self) -> list[Exchange]:
        """All that still wait, oldest first; for the end."""
        return [Exchange(self._take(key)) for key in list(self._waiting)]

    def _take(self, key: _Key) -> Packet:
        packet = self._waiting.pop(key).packet
        self._bytes -= _size(packet)
        return packet


def _pair(first: Packet, second: Packet) -> Exchange:
    """The exchange of two packets, in the order in which they came.

    UDP may turn them round.  Where the payloads tell what they are they decide, else the senders' times.
    """
    fields = read_json_payload(first.payload or b""), read_json_payload(second.payload or b"")
    if fields[0] is not None and fields[1] is not None:
        turned = fields[0][0][0] == "reply"
    else:
        turned = second.time < first.time
    return Exchange(second, first) if turned else Exchange(first, second)


def text_line(exchange: Exchange, *, delimiter: str = DEFAULT_DELIMITER, zone: tzinfo = UTC) -> str:
    """One line for people, without its end; what would move a terminal's cursor is written as `\\x1b`."""
    packet = exchange.request
    what = described(exchange, delimiter)
    parts = [_moment(packet, zone).isoformat(" ", "microseconds"), str(what.pop("type"))]
    parts.append(" > ".join(_endpoints(packet)))
    parts += [f"{what['backend']}:"] if "backend" in what else []
    parts += [_printable(str(what[name])) for name in ("command", "parameters", "payload") if name in what]
    if "reply" in what:
        parts.append("=> " + _printable(str(what["reply"])))
    if exchange.duration is not None:
        parts.append(f"({exchange.duration * 1000:.3f} ms)")
    return "  ".join(parts)


def json_line(exchange: Exchange, *, delimiter: str = DEFAULT_DELIMITER) -> str:
    """One JSON object in one line, without its end; bytes that are not UTF-8 become U+FFFD.

    Its members: `time` (UTC), `type`, `version`, `capture_id`, `protocol`, `source`, `destination`; where known
    `correlation_id`, `command`, `backend`, `parameters`, `reply`, `duration_ms`, and `payload` of other packets.
    """
    packet = exchange.request
    source, destination = _endpoints(packet)
    members: dict[str, object] = {
        "time": _moment(packet, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        **described(exchange, delimiter),
        "version": packet.version,
        "capture_id": packet.capture_id,
        "protocol": _protocol(packet.protocol),
        "source": source,
        "destination": destination,
    }
    if packet.correlation_id is not None:
        members["correlation_id"] = packet.correlation_id
    if exchange.duration is not None:
        members["duration_ms"] = round(exchange.duration * 1000, 3)
    return encode(json.dumps(members, ensure_ascii=False)).decode("utf-8", "replace")


def described(exchange: Exchange, delimiter: str = DEFAULT_DELIMITER) -> dict[str, str]:
    """What the payloads say: `type`, then `command`, `backend`, `parameters`, `reply` or `payload` where known."""
    packet = exchange.request
    what = {"type": _type(packet.protocol_type)}
    if packet.payload is not None:
        what |= _fields(packet, delimiter)
    if exchange.reply is not None and exchange.reply.payload is not None:
        fields = dict(read_json_payload(exchange.reply.payload) or ())
        what["reply"] = fields.get("reply", decode(exchange.reply.payload))
    return what


def _fields(packet: Packet, delimiter: str) -> dict[str, str]:
    payload = packet.payload or b""
    fields = read_json_payload(payload)
    if fields is None and packet.protocol_type == ProtocolType.MI:
        fields = read_homer5_request(payload, delimiter)
    return {"payload": decode(payload)} if fields is None else dict(fields)


def _type(number: int) -> str:
    try:
        return ProtocolType(number).name.lower()
    except ValueError:
        return str(number)


def _protocol(number: int) -> str:
    try:
        return IpProtocol(number).name.lower()
    except ValueError:
        return str(number)


def _endpoints(packet: Packet) -> tuple[str, str]:
    return (
        _endpoint(packet.source, packet.source_port),
        _endpoint(packet.destination, packet.destination_port),
    )


def _endpoint(address: IpAddress, port: int) -> str:
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def _seconds(packet: Packet) -> float:
    return packet.time[0] + packet.time[1] / 1_000_000


def _moment(packet: Packet, zone: tzinfo) -> datetime:
    seconds, microseconds = packet.time
    return datetime.fromtimestamp(seconds, zone) + timedelta(microseconds=microseconds)


def _size(packet: Packet) -> int:
    contents = (packet.payload or b"", *(chunk.data for chunk in packet.extra_chunks))
    return sum(map(len, contents)) + len(packet.correlation_id or "")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _visible(c) for c in text)


def _visible(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, see values.decode
        code -= 0xDC00
    return character.encode("unicode_escape").decode() if code > 0xFF or code in b"\t\n\r" else f"\\x{code:02x}"
