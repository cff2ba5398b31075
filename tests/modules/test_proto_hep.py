"""proto_hep: its parameters, and what becomes of packets when the collector is there, slow, away or back."""

import asyncio
import contextlib
import logging
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError
from miscript.hep.framing import FrameReader
from miscript.hep.v3 import decode
from miscript.modules.compression import Compression
from miscript.modules.proto_hep import ProtoHep, senders
from miscript.modules.proto_hep.backlog import MAX_BYTES, Backlog, Drop
from miscript.modules.proto_hep.sockets import LocalSocket, hep_sockets
from miscript.trace import TraceEvent
from module_services import module_services

SOON = 5.0


def services(*sockets):
    made = module_services()
    made.sockets = list(sockets)
    return made


def proto_hep(hep_id, sockets=("hep_udp:127.0.0.1:0", "hep_tcp:127.0.0.1:0"), host=None, **parameters):
    module = ProtoHep(host or services(*sockets))
    module.set_parameter("hep_id", hep_id)
    for name, value in parameters.items():
        module.set_parameter(name, value)
    module.init()
    return module


def event(text="uptime", size=0):
    fields = (("command", text + "." * size), ("backend", "script"))
    return TraceEvent("MICORR" + "a" * 28, fields, ("127.0.0.1", 0), ("127.0.0.1", 0), time.time())


def command(frame):
    return decode(frame).payload.partition(b":")[0].rstrip(b".").decode()


def counters(module):
    names = ("sent", *(f"dropped_{reason}" for reason in Drop))
    return {name: counter.value for name in names if (counter := getattr(module, name)).value}


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110  # what the other side does sets no event here
            await asyncio.sleep(0.005)


class UdpCollector(asyncio.DatagramProtocol):
    def __init__(self):
        self.frames = []
        self.peers = []

    def datagram_received(self, data, peer):
        self.frames.append(data)
        self.peers.append(peer)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, port=0):
        loop = asyncio.get_running_loop()
        transport, collector = await loop.create_datagram_endpoint(cls, ("127.0.0.1", port))
        collector.port = transport.get_extra_info("sockname")[1]
        try:
            yield collector
        finally:
            transport.close()
            await asyncio.sleep(0)


class TcpCollector:
    """Keeps every frame of every connection; `reading` unset makes it deaf."""

    def __init__(self):
        self.frames = []
        self.connections = []
        self.reading = asyncio.Event()
        self.reading.set()

    async def serve(self, reader, writer):
        self.connections.append(writer)
        frames = FrameReader()
        while True:
            await self.reading.wait()
            data = await reader.read(65536)
            if not data:
                return
            frames.receive(data)
            while (frame := frames.next_frame()) is not None:
                self.frames.append(frame)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, port=0, **options):
        collector = cls()
        server = await asyncio.start_server(collector.serve, "127.0.0.1", port, limit=4096, **options)
        collector.port = server.sockets[0].getsockname()[1]
        try:
            yield collector
        finally:
            server.close()
            for writer in collector.connections:
                writer.transport.abort()
            await asyncio.sleep(0.01)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- parameters -----------------------------------------------------------------------------------------------


def test_without_a_hep_socket_the_module_refuses_to_start():
    with pytest.raises(ConfigurationError, match="no HEP socket"):
        proto_hep("[c]127.0.0.1:1;transport=udp", sockets=("udp:127.0.0.1:5060",))


def test_a_second_destination_of_one_name_is_refused_at_the_parameter_that_was_used():
    module = ProtoHep(services("hep_udp:127.0.0.1:0"))
    module.set_parameter("hep_id", "[c]127.0.0.1:1")
    module.set_parameter("trace_destination", "[c]127.0.0.1:2")
    with pytest.raises(ConfigurationError, match="second destination named 'c'") as caught:
        module.init()
    assert caught.value.parameter == "trace_destination"


def test_trace_destination_is_the_other_name_of_hep_id():
    host = services("hep_udp:127.0.0.1:0")
    module = ProtoHep(host)
    module.set_parameter("trace_destination", "[b]127.0.0.1:1;transport=udp")
    module.set_parameter("hep_id", "[a]127.0.0.1:1;transport=udp")
    module.init()
    assert list(host.trace_destinations) == ["b", "a"]


def test_compressed_payload_needs_the_compression_module():
    with pytest.raises(ConfigurationError, match="'compression' is not loaded"):
        proto_hep("[c]127.0.0.1:1", compressed_payload=1)
    host = services("hep_udp:127.0.0.1:0")
    Compression(host)
    proto_hep("[c]127.0.0.1:1", host=host, compressed_payload=1)


def test_an_impossible_compression_level_becomes_the_default(caplog):
    module = Compression(services())
    module.compression_level = 11
    module.init()
    assert module.compression_level == 6
    assert "expected 1 to 9" in caplog.text


@pytest.mark.parametrize(
    ("hep_id", "reason", "words"),
    [
        ("[c]127.0.0.1:1;transport=udp;version=1", Drop.OLD_VERSION, "version 1 carries SIP only"),
        ("[c]127.0.0.1:1;version=2", Drop.OLD_VERSION, "'tcp' is replaced by 'udp'"),
        ("[c]127.0.0.1:1;transport=tls", Drop.NO_TLS, "'tls_mgm' is not loaded"),
        ("[c]127.0.0.1:1;transport=tcp", Drop.NO_SOCKET, "no  socket=hep_tcp:"),
        ("[c]127.0.0.1:0;transport=udp", Drop.UNREACHABLE, "port 0"),
        ("[c]127.0.0.1:99999;transport=udp", Drop.UNREACHABLE, "port 99999"),
    ],
)
def test_what_can_never_be_sent_is_said_at_the_start_and_counted(caplog, hep_id, reason, words):
    module = proto_hep(hep_id, sockets=("hep_udp:127.0.0.1:0",))
    assert words in caplog.text
    caplog.clear()
    for _ in range(3):
        module.services.trace_destinations["c"].send(event())
    assert counters(module) == {f"dropped_{reason}": 3}
    assert not caplog.text


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("hep_udp:127.0.0.1:6060", ("udp", "127.0.0.1", 6060)),
        ("HEP_TCP:10.0.0.1", ("tcp", "10.0.0.1", 9060)),
        ("hep_udp:*:7000 as 192.0.2.1", ("udp", "", 7000)),
        ("hep_tcp:[::1]:7000", ("tcp", "::1", 7000)),
        ("hep_tcp:[::1]", ("tcp", "::1", 9060)),
    ],
)
def test_socket_lines_tell_where_packets_leave_from(line, found):
    assert hep_sockets(["udp:127.0.0.1:5060", line], 9060) == {found[0]: LocalSocket(*found)}


@given(st.lists(st.text()))
def test_any_socket_line_is_understood_or_passed_over(lines):
    hep_sockets([*lines, *(f"hep_udp:{line}" for line in lines)], 9060)


# -- what waits -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50) | st.just("add") | st.just("rewind"), max_size=60), st.integers(1, 5))
def test_a_backlog_counts_every_packet_once_and_never_tears_the_stream(steps, limit):
    lost = []
    backlog = Backlog(limit, lambda reason, count: lost.append(count))
    added, whole, stream = 0, 0, b""
    for step in steps:
        if step == "add":
            backlog.add(b"%02d" % added * 4)
            added += 1
        elif step == "rewind":
            backlog.rewind()
            stream = stream[: len(stream) // 8 * 8]
        else:
            taken = b"".join(backlog.first(3))[:step]
            stream += taken
            whole += backlog.advance(len(taken))
        assert len(backlog) <= limit
        assert added == whole + sum(lost) + len(backlog)
    numbers = [stream[i : i + 8] for i in range(0, len(stream) // 8 * 8, 8)]
    assert all(number == number[:2] * 4 for number in numbers)
    assert numbers == sorted(numbers)


def test_a_backlog_is_bounded_in_bytes():
    lost = []
    backlog = Backlog(1 << 20, lambda reason, count: lost.append((reason, count)))
    for _ in range(MAX_BYTES // 60_000 + 10):
        backlog.add(bytes(60_000))
    assert len(backlog) == MAX_BYTES // 60_000
    assert set(lost) == {(Drop.QUEUE_FULL, 1)}


# -- sending --------------------------------------------------------------------------------------------------


async def test_udp_packets_leave_at_once_from_the_socket_of_the_script():
    port = free_port(socket.SOCK_DGRAM)
    async with UdpCollector.open() as collector:
        module = proto_hep(
            f"[c]127.0.0.1:{collector.port};transport=udp", sockets=(f"hep_udp:127.0.0.1:{port}",), hep_capture_id=-1
        )
        module.services.trace_destinations["c"].send(event())
        await until(lambda: collector.frames)
        assert collector.peers == [("127.0.0.1", port)]
        assert decode(collector.frames[0]).capture_id == 0xFFFFFFFF
        await module.stop()
    assert counters(module) == {"sent": 1}


async def test_two_destinations_share_the_socket_of_the_script():
    port = free_port(socket.SOCK_DGRAM)
    async with UdpCollector.open() as first, UdpCollector.open() as second:
        module = proto_hep(f"[a]127.0.0.1:{first.port};transport=udp", sockets=(f"hep_udp:127.0.0.1:{port}",))
        await module.stop()
        other = ProtoHep(module.services)
        for name, collector in (("a", first), ("b", second)):
            other.set_parameter("hep_id", f"[{name}]127.0.0.1:{collector.port};transport=udp")
        other.init()
        for name in "ab":
            other.services.trace_destinations[name].send(event(name))
        await until(lambda: first.frames and second.frames)
        assert first.peers == second.peers == [("127.0.0.1", port)]
        assert (command(first.frames[0]), command(second.frames[0])) == ("a", "b")
        await other.stop()


async def test_a_socket_that_is_taken_is_said_and_another_address_used(caplog):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        line = f"hep_udp:127.0.0.1:{taken.getsockname()[1]}"
        async with UdpCollector.open() as collector:
            module = proto_hep(f"[c]127.0.0.1:{collector.port};transport=udp", sockets=(line,))
            module.services.trace_destinations["c"].send(event())
            await until(lambda: collector.frames)
            await module.stop()
    assert "another address than the socket's" in caplog.text


async def test_from_loopback_there_is_no_way_to_other_machines_and_another_address_is_used(caplog):
    for transport in ("udp", "tcp"):
        caplog.clear()
        module = proto_hep(f"[c]192.0.2.1:9;transport={transport}")
        module.services.trace_destinations["c"].send(event())
        await until(lambda: "no way from '127.0.0.1' to the collector" in caplog.text)
        assert "Invalid argument" not in caplog.text
        await module.stop()


async def test_a_host_name_is_looked_up_while_packets_wait():
    async with UdpCollector.open() as collector:
        module = proto_hep(f"[c]localhost:{collector.port};transport=udp", sockets=("hep_udp:*:0",))
        for number in range(3):
            module.services.trace_destinations["c"].send(event(str(number)))
        await until(lambda: len(collector.frames) == 3)
        assert [command(frame) for frame in collector.frames] == ["0", "1", "2"]
        await module.stop()


async def test_udp_packets_that_nobody_takes_are_counted_and_said_once(caplog):
    caplog.set_level(logging.INFO, "miscript.proto_hep")
    port = free_port(socket.SOCK_DGRAM)
    module = proto_hep(f"[c]127.0.0.1:{port};transport=udp")
    destination = module.services.trace_destinations["c"]
    for _ in range(10):
        destination.send(event())
    await asyncio.sleep(0)
    assert caplog.text.count("cannot be reached") == 1
    found = counters(module)
    assert found["dropped_unreachable"] >= 9
    assert found["dropped_unreachable"] + found.get("sent", 0) == 10
    async with UdpCollector.open(port) as collector:
        await until(lambda: destination.send(event()) or "can be reached again" in caplog.text)
        assert collector.frames
    assert caplog.text.count("can be reached again") == 1
    await module.stop()


@pytest.mark.parametrize(
    "size",
    [lambda n: n % 4 * 350, lambda n: -n % 3 * 200, lambda n: n // 5 * 40, lambda n: 0],
    ids="up down runs one".split(),
)
async def test_a_burst_of_datagrams_arrives_one_by_one_and_in_order_whatever_their_sizes(size):
    async with UdpCollector.open() as collector:
        module = proto_hep(f"[c]127.0.0.1:{collector.port};transport=udp")
        for number in range(100):
            module.services.trace_destinations["c"].send(event(f"{number:03}", size=size(number)))
        await until(lambda: len(collector.frames) == 100)
        await module.stop()
    assert [command(frame) for frame in collector.frames] == [f"{n:03}" for n in range(100)]
    assert counters(module) == {"sent": 100}


async def test_datagrams_that_the_system_does_not_take_together_are_sent_alone(monkeypatch):
    monkeypatch.setattr(senders, "UDP_SEGMENT", 9999)  # an option that no system knows
    async with UdpCollector.open() as collector:
        module = proto_hep(f"[c]127.0.0.1:{collector.port};transport=udp")
        for number in range(200):
            module.services.trace_destinations["c"].send(event(f"{number:03}"))
        await until(lambda: len(collector.frames) == 200)
        await module.stop()
    assert [command(frame) for frame in collector.frames] == [f"{n:03}" for n in range(200)]
    assert counters(module) == {"sent": 200}


async def test_a_burst_of_datagrams_that_nobody_takes_is_counted_whole():
    module = proto_hep(f"[c]127.0.0.1:{free_port(socket.SOCK_DGRAM)};transport=udp")
    for number in range(300):
        module.services.trace_destinations["c"].send(event(str(number)))
    await asyncio.sleep(0)
    await module.stop()
    found = counters(module)
    assert sum(found.values()) == 300
    assert found["dropped_unreachable"] > 0


async def test_a_burst_before_the_first_connection_arrives_whole_and_in_order():
    async with TcpCollector.open() as collector:
        module = proto_hep(f"[c]127.0.0.1:{collector.port}")
        for number in range(1000):
            module.services.trace_destinations["c"].send(event(str(number)))
        await until(lambda: len(collector.frames) == 1000)
        assert [command(frame) for frame in collector.frames] == [str(n) for n in range(1000)]
        assert len(collector.connections) == 1
        await module.stop()
    assert counters(module) == {"sent": 1000}


async def test_stopping_sends_what_waits():
    async with TcpCollector.open() as collector:
        module = proto_hep(f"[c]127.0.0.1:{collector.port}")
        for number in range(10):
            module.services.trace_destinations["c"].send(event(str(number)))
        await module.stop()
        await until(lambda: len(collector.frames) == 10)
    assert counters(module) == {"sent": 10}


async def test_stopping_without_a_collector_ends_at_once_and_counts_what_is_lost():
    module = proto_hep(f"[c]127.0.0.1:{free_port(socket.SOCK_STREAM)}")
    module.services.trace_destinations["c"].send(event())
    await until(lambda: module._senders[0].collector.health.problem)
    began = time.monotonic()
    await module.stop()
    assert time.monotonic() - began < 0.5
    assert counters(module) == {"dropped_stopped": 1}


async def test_packets_follow_within_a_second_of_the_collectors_return(caplog):
    caplog.set_level(logging.INFO, "miscript.proto_hep")
    port = free_port(socket.SOCK_STREAM)
    module = proto_hep(f"[c]127.0.0.1:{port}")
    destination = module.services.trace_destinations["c"]
    for number in range(50):
        destination.send(event(str(number)))
    await asyncio.sleep(1.5)
    async with TcpCollector.open(port) as collector:
        began = time.monotonic()
        await until(lambda: len(collector.frames) == 50)
        assert time.monotonic() - began < 1.0
        assert caplog.text.count("cannot be reached") == 1
        assert caplog.text.count("can be reached again") == 1
        await module.stop()


async def test_a_collector_that_restarts_gets_a_new_connection():
    async with TcpCollector.open() as first:
        port = first.port
        module = proto_hep(f"[c]127.0.0.1:{port}")
        destination = module.services.trace_destinations["c"]
        destination.send(event("before"))
        await until(lambda: first.frames)
    await until(lambda: module._senders[0]._socket is None)
    async with TcpCollector.open(port, reuse_address=True) as second:
        destination.send(event("after"))
        await until(lambda: second.frames)
        assert [command(frame) for frame in second.frames] == ["after"]
        await module.stop()
    assert counters(module) == {"sent": 2}


async def test_a_deaf_collector_costs_the_oldest_packets_only_and_never_the_sender():
    async with TcpCollector.open() as collector:
        collector.reading.clear()
        module = proto_hep(f"[c]127.0.0.1:{collector.port}", hep_async_max_postponed_chunks=100)
        destination = module.services.trace_destinations["c"]
        total = 0
        async with asyncio.timeout(SOON):
            while not module.dropped_queue_full.value:  # until the system's buffers are full
                for _ in range(50):
                    destination.send(event(str(total), size=50_000))
                    total += 1
                await asyncio.sleep(0)
        began = time.perf_counter()
        for _ in range(100):
            destination.send(event(str(total)))
            total += 1
        assert time.perf_counter() - began < 0.1
        collector.reading.set()
        await until(lambda: len(collector.frames) + module.dropped_queue_full.value == total)
        numbers = [int(command(frame)) for frame in collector.frames]
        assert numbers == sorted(numbers)
        assert numbers[-1] == total - 1
        await module.stop()


async def test_a_packet_that_no_frame_can_hold_is_counted():
    module = proto_hep("[c]127.0.0.1:1;transport=udp")
    module.services.trace_destinations["c"].send(event(size=70_000))
    assert counters(module) == {"dropped_too_large": 1}


def test_tracing_outside_of_an_event_loop_breaks_nothing(caplog):
    module = proto_hep("[c]127.0.0.1:1;transport=tcp")
    module.services.trace_destinations["c"].send(event())
    assert counters(module) == {"dropped_unreachable": 1}
