"""A network in memory: hosts under test and peers that a test plays, without sockets of the system.

Everything that is sent arrives in order in the next turn of the host's event loop, unless a test lets it get lost.  An
address is there as soon as a host listens at it or a test asks for a `peer`; what is sent to another one is lost.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable, Sequence

from ..errors import ConfigurationError
from ..services import Clock
from ..sip import Message
from ..sip.framing import StreamError, StreamFramer
from ..sip.locating import Lookup, Naptr, Srv
from ..sip.received import Received
from ..sip.sockets import ListeningSocket, Target, ip_address, split_socket
from ..values import encode

_LINE_END = re.compile(r"\r?\n")

Place = tuple[str, str, int]
"""Transport, address, port."""

Deliver = Callable[[bytes, tuple[str, int]], None]


def on_wire(text: str) -> bytes:
    """A message as the network has it: the text may have any line ends, and need not end with an empty line."""
    text = _LINE_END.sub("\r\n", text.lstrip())
    return encode(text if "\r\n\r\n" in text else f"{text.rstrip()}\r\n\r\n")


class MemoryNetwork:
    """What `Host(network=...)` takes.  `loses` is asked about each packet and gives True for one that gets lost."""

    def __init__(self) -> None:
        self.names: dict[str, Sequence[str]] = {}
        """Host name → its addresses."""
        self.naptrs: dict[str, Sequence[Naptr]] = {}
        self.srvs: dict[str, Sequence[Srv]] = {}
        self.sources: dict[str, str] = {}
        """Address of a place → the address that the system would send from to it."""
        self.loses: Callable[[bytes], bool] = lambda data: False
        self._places: dict[Place, Deliver] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def peer(self, text: str) -> MemoryPeer:
        """Somebody at `transport:address:port`, played by the test."""
        return MemoryPeer(self, split_socket(text))

    def take_place(self, place: Place, deliver: Deliver) -> None:
        """Let `deliver` have what is sent to `place`.  Raises OSError when it is taken."""
        if place in self._places:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self._places[place] = deliver

    def leave_place(self, place: Place) -> None:
        """Nothing is delivered to `place` any more."""
        self._places.pop(place, None)

    def has(self, place: Place) -> bool:
        """Whether somebody is there."""
        return place in self._places

    def send(self, data: bytes, source: tuple[str, int], place: Place) -> None:
        """Carry a packet."""
        if not self.loses(data):
            loop = self._loop or asyncio.get_running_loop()
            loop.call_soon(self._arrive, data, source, place)

    def _arrive(self, data: bytes, source: tuple[str, int], place: Place) -> None:
        deliver = self._places.get(place)
        if deliver is not None:
            deliver(data, source)

    # -- what a host asks -------------------------------------------------------------------------------------

    async def addressed(self, socket: ListeningSocket) -> Sequence[ListeningSocket]:
        if ip_address(socket.address) is None and not self.names.get(socket.address):
            raise ConfigurationError(f"socket '{socket}': '{socket.address}' has no address")
        return [socket]

    async def datagrams(self, socket: ListeningSocket, receive: Callable[[bytes, Received], None]) -> MemoryDatagrams:
        self._loop = asyncio.get_running_loop()
        return MemoryDatagrams(self, socket, receive)

    def streams(
        self,
        clock: Clock,
        receive: Callable[[bytes, Received], None],
        broken: object,
        limits: object,
        tls: object = None,
    ) -> MemoryStreams:
        return MemoryStreams(self, receive)

    def source(self, target: Target) -> str | None:
        return self.sources.get(target.address)

    async def resolve(self, host: str) -> Sequence[str]:
        return self.names.get(host, ())

    def lookup(self, timeout: float) -> Lookup:
        return self

    async def addresses(self, host: str) -> Sequence[str]:
        return self.names.get(host, ())

    async def naptr(self, domain: str) -> Sequence[Naptr]:
        return self.naptrs.get(domain, ())

    async def srv(self, name: str) -> Sequence[Srv]:
        return self.srvs.get(name, ())


class MemoryDatagrams:
    """A UDP socket of a host."""

    def __init__(
        self, network: MemoryNetwork, socket: ListeningSocket, receive: Callable[[bytes, Received], None]
    ) -> None:
        self._network = network
        self._socket = socket
        self._place = ("udp", socket.address, socket.port)
        end = (socket.address, socket.port)
        network.take_place(self._place, lambda data, source: receive(data, Received(source, end, socket)))

    def send(self, data: bytes, target: Target) -> bool:
        self._network.send(data, (self._socket.address, self._socket.port), ("udp", target.address, target.port))
        return True

    def close(self) -> None:
        self._network.leave_place(self._place)


class MemoryStreams:
    """The connections of a host; each packet holds whole messages, and connections need not be opened."""

    def __init__(self, network: MemoryNetwork, receive: Callable[[bytes, Received], None]) -> None:
        self._network = network
        self._receive = receive
        self._sockets: list[ListeningSocket] = []

    async def listen(self, socket: ListeningSocket, backlog: int) -> None:
        def deliver(data: bytes, source: tuple[str, int]) -> None:
            try:
                messages = StreamFramer().feed(data)
            except StreamError:
                return
            for message in messages:
                if isinstance(message, bytes):
                    self._receive(message, Received(source, (socket.address, socket.port), socket, 1))

        self._network.take_place((socket.transport, socket.address, socket.port), deliver)
        self._sockets.append(socket)

    async def connect(self, target: Target, socket: ListeningSocket, noted: object = ()) -> bool:
        return self._network.has((target.transport, target.address, target.port))

    def send(self, data: bytes, target: Target, number: int = 0) -> bool:
        place = (target.transport, target.address, target.port)
        if not self._network.has(place):
            return False
        socket = self._sockets[0]
        self._network.send(data, (socket.address, socket.port), place)
        return True

    def present(self, target: Target) -> bool:
        return self._network.has((target.transport, target.address, target.port))

    def alias(self, number: int, port: int) -> bool:
        """Connections have no ports of their own here."""
        return True

    def keep(self, number: int, seconds: float) -> None:
        """Nothing is idle here."""

    def peer(self, number: int) -> None:
        """Nobody is connected here."""

    def ends(self, target: Target, number: int = 0) -> None:
        """Connections have no ports of their own here."""

    def sweep(self) -> None:
        """Nothing is idle here."""

    async def shut(self) -> None:
        for socket in self._sockets:
            self._network.leave_place((socket.transport, socket.address, socket.port))

    def session(self, number: int) -> None:
        """There is no TLS here; what is sent over it arrives as it is."""

    def listed(self, protocol: str | None) -> Sequence[dict[str, object]]:
        return ()

    def close(self, host: str, port: int) -> bool:
        return False


class MemoryPeer:
    """A peer of a host, such as a phone.  `received` holds the messages that came to it, oldest first."""

    def __init__(self, network: MemoryNetwork, place: Place) -> None:
        self.place = place
        self.received: list[Message] = []
        self._network = network
        network.take_place(place, lambda data, source: self.received.append(Message.parse(data)))

    def send(self, data: bytes | str, address: str, port: int) -> None:
        """Send a message; a text may have any line ends."""
        data = on_wire(data) if isinstance(data, str) else data
        transport, own, own_port = self.place
        self._network.send(data, (own, own_port), (transport, address, port))

    def take(self) -> list[Message]:
        """What has come since the last `take`."""
        taken, self.received = self.received, []
        return taken
