"""`miscript trace listen`: a HEP collector for one's own terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, cast

import click

if TYPE_CHECKING:
    from ..hep.exchange import Exchange, Pairing
    from ..hep.packet import Packet

DEFAULT_PORT = 9060
MAX_CONNECTIONS = 256
EXPIRE_SECONDS = 0.5
FORMATS = ("text", "json", "pcap")


@click.group("trace")
def command() -> None:
    """See what is traced."""


@command.command("listen")
@click.option("--udp", type=click.IntRange(0, 65535), metavar="PORT", help="Listen on this UDP port.")
@click.option("--tcp", type=click.IntRange(0, 65535), metavar="PORT", help="Listen on this TCP port.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--delimiter", default=":", show_default=True, help="The sender's homer5_delim.")
def listen(udp: int | None, tcp: int | None, host: str, form: str, delimiter: str) -> None:
    """Print the HEP packets that arrive, an MI request and its reply as one exchange with its duration.

    Without --udp and --tcp it listens on both, on port 9060.  Text and JSON have one line for each exchange; pcap is
    a capture file, for a file or a program: `miscript trace listen --format pcap | tshark -r -`.  What is not HEP
    is counted and told at the end, on standard error.
    """
    if form == "pcap" and sys.stdout.isatty():
        raise click.UsageError("a capture file is for a file or a program; write  … > FILE")
    if udp is None and tcp is None:
        udp = tcp = DEFAULT_PORT
    printer = _printer(form, delimiter, sys.stdout.buffer)
    try:
        status = asyncio.run(_listen(host, udp, tcp, printer))
    except BrokenPipeError:  # whoever read has seen enough; what is left must not fail again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


class Printer:
    """Writes exchanges to `output`, each as soon as it is known."""

    def __init__(self, output: BinaryIO) -> None:
        self.output = output

    def packet(self, packet: Packet) -> None:
        """A packet came; what pairs them shows it later."""

    def exchange(self, exchange: Exchange) -> None:
        """An exchange, or a packet that stands alone."""


class LinePrinter(Printer):
    """One line for each exchange."""

    def __init__(self, output: BinaryIO, json: bool, delimiter: str) -> None:
        super().__init__(output)
        self._json = json
        self._delimiter = delimiter

    def exchange(self, exchange: Exchange) -> None:
        from ..hep.exchange import json_line, text_line
        from ..values import encode

        line = json_line if self._json else text_line
        self.output.write(encode(line(exchange, delimiter=self._delimiter)) + b"\n")
        self.output.flush()


class PcapPrinter(Printer):
    """A record for each packet, when it comes."""

    def __init__(self, output: BinaryIO) -> None:
        from ..hep.pcap import FILE_HEADER, PcapRecords

        super().__init__(output)
        self._records = PcapRecords()
        output.write(FILE_HEADER)
        output.flush()

    def packet(self, packet: Packet) -> None:
        now = (int(time.time()), 0) if packet.version == 1 else None  # that version has no time
        self.output.write(self._records.record(packet, now))
        self.output.flush()


def _printer(form: str, delimiter: str, output: BinaryIO) -> Printer:
    return PcapPrinter(output) if form == "pcap" else LinePrinter(output, form == "json", delimiter)


class Listener:
    """Takes frames from all sockets, pairs and prints them; `failure` is set when printing fails."""

    def __init__(self, pairing: Pairing, printer: Printer) -> None:
        self.pairing = pairing
        self.printer = printer
        self.packets = 0
        self.garbage = 0
        self.connections = 0
        self.stopping = asyncio.Event()
        self.failure: OSError | None = None

    def frame(self, frame: bytes) -> None:
        from ..hep.codec import decode
        from ..hep.errors import HepError

        try:
            packet = decode(frame)
        except HepError:
            self.garbage += 1
            return
        self.packets += 1
        try:
            self.printer.packet(packet)
        except OSError as error:
            self._failed(error)
        self.show(self.pairing.add(packet, asyncio.get_running_loop().time()))

    def show(self, exchanges: list[Exchange]) -> None:
        try:
            for exchange in exchanges:
                self.printer.exchange(exchange)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self.failure = error
        self.stopping.set()

    async def expire(self) -> None:
        """Show requests whose reply does not come."""
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            self.show(self.pairing.expire(asyncio.get_running_loop().time()))


class UdpSide(asyncio.DatagramProtocol):
    """Each datagram is a frame."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._listener.frame(data)


class TcpSide(asyncio.Protocol):
    """Frames follow each other; a connection that brings anything else is closed."""

    def __init__(self, listener: Listener) -> None:
        from ..hep.framing import FrameReader

        self._listener = listener
        self._frames = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._listener.connections += 1
        if self._listener.connections > MAX_CONNECTIONS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections -= 1
        self._listener.garbage += self._frames.pending > 0

    def data_received(self, data: bytes) -> None:
        from ..hep.errors import HepError

        self._frames.receive(data)
        try:
            while (frame := self._frames.next_frame()) is not None:
                self._listener.frame(frame)
        except HepError:
            self._listener.garbage += 1
            self._transport.abort()


async def _listen(host: str, udp: int | None, tcp: int | None, printer: Printer) -> int:
    from ..hep.exchange import Pairing

    listener = Listener(Pairing(), printer)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, listener.stopping.set)
    try:
        where = await _open(listener, host, udp, tcp)
    except OSError as error:
        from ..errors import reason

        ports = ", ".join(f"{name} port {port}" for name, port in (("udp", udp), ("tcp", tcp)) if port is not None)
        click.echo(f"miscript: cannot listen on {host}, {ports}: {reason(error)}", err=True)
        return 1
    click.echo(f"listening on {', '.join(where)}", err=True)
    expiring = loop.create_task(listener.expire())
    await listener.stopping.wait()
    expiring.cancel()
    if listener.failure is not None:
        raise listener.failure
    listener.show(listener.pairing.drain())
    garbage = f", {listener.garbage} pieces that are not HEP" if listener.garbage else ""
    click.echo(f"{listener.packets} packets{garbage}", err=True)
    return 0


async def _open(listener: Listener, host: str, udp: int | None, tcp: int | None) -> list[str]:
    """Open what was asked for; where it listens."""
    loop = asyncio.get_running_loop()
    where = []
    if udp is not None:
        transport, _ = await loop.create_datagram_endpoint(lambda: UdpSide(listener), (host, udp))
        where.append(f"udp {_address(transport.get_extra_info('sockname'))}")
    if tcp is not None:
        server = await loop.create_server(lambda: TcpSide(listener), host, tcp)
        where += [f"tcp {_address(socket.getsockname())}" for socket in server.sockets]
    return where


def _address(name: tuple[str, int]) -> str:
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
