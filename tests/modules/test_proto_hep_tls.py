"""HEP over TLS: packets reach a collector that is trusted, whole and in order, and no other one."""

import asyncio
import contextlib
import ssl
import time

import pytest

from certificates import Authority, needs_openssl
from miscript.hep.framing import FrameReader
from miscript.hep.v3 import decode
from miscript.host.embedding import running
from miscript.host.loading import Source
from miscript.modules.proto_hep.senders import RECEIVE_SIZE
from miscript.trace import TraceEvent

pytestmark = needs_openssl()

SOON = 5.0


class Certificates:
    def __init__(self, folder):
        authority = Authority(folder)
        self.ca = authority.ca
        self.collector = authority.issue("collector.example")
        self.host = authority.issue("host.example", serial=2)
        self.stranger = Authority(folder, "stranger").issue("stranger.example")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("hep"))


class Collector:
    """Keeps every frame of every connection; `reading` unset makes it deaf."""

    def __init__(self):
        self.frames = []
        self.writers = []
        self.reading = asyncio.Event()
        self.reading.set()

    async def serve(self, reader, writer):
        self.writers.append(writer)
        frames = FrameReader()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            while True:
                await self.reading.wait()
                data = await reader.read(RECEIVE_SIZE)
                if not data:
                    return
                frames.receive(data)
                while (frame := frames.next_frame()) is not None:
                    self.frames.append(frame)

    @property
    def commands(self):
        return [decode(frame).payload.partition(b":")[0].rstrip(b".").decode() for frame in self.frames]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, issued, ca=None, port=0):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        if ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(ca)
        collector = cls()
        server = await asyncio.start_server(
            collector.serve, "127.0.0.1", port, ssl=context, reuse_address=True, limit=4096
        )
        collector.port = server.sockets[0].getsockname()[1]
        try:
            yield collector
        finally:
            server.close()
            for writer in collector.writers:
                writer.transport.abort()
            await asyncio.sleep(0.01)


def sending(certificates, port, *more, waiting=0):
    own = certificates.host
    lines = [
        ("client_domain", "c"), ("certificate", f"[c]{own.certificate}"), ("private_key", f"[c]{own.key}"),
        ("ca_list", f"[c]{certificates.ca}"), *more,
    ]  # fmt: skip
    text = (
        "log_level=3\nsocket=hep_tls:127.0.0.1:0\n"
        'loadmodule "proto_hep.so"\nloadmodule "tls_mgm.so"\n'
        f'modparam("proto_hep", "hep_id", "[c]127.0.0.1:{port};transport=tls")\n'
        f'modparam("proto_hep", "hep_async_max_postponed_chunks", {waiting})\n'
        + "".join(f'modparam("tls_mgm", "{name}", "{value}")\n' for name, value in lines)
        + "route { exit; }"
    )
    return running(Source("test.cfg", text), lambda text: None, timers=False)


def event(text="uptime", size=0):
    fields = (("command", text + "." * size), ("backend", "script"))
    return TraceEvent("MICORR" + "a" * 28, fields, ("127.0.0.1", 0), ("127.0.0.1", 0), time.time())


def send(host, *events):
    for one in events:
        host.services.trace_destinations["c"].send(one)


def counter(host, name):
    return host.services.statistics.find(f"proto_hep:{name}").value


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110  # what the other side does sets no event here
            await asyncio.sleep(0.005)


async def test_packets_arrive_in_order_with_certificates_on_both_sides(certificates):
    async with Collector.open(certificates.collector, certificates.ca) as collector:
        async with sending(certificates, collector.port) as host:
            send(host, *(event(str(number), size=number * 40) for number in range(300)))
            await until(lambda: len(collector.frames) == 300)
            assert collector.commands == [str(number) for number in range(300)]
            assert counter(host, "sent_packets") == 300
        assert len(collector.writers) == 1


async def test_what_waits_at_the_end_is_sent(certificates):
    async with Collector.open(certificates.collector) as collector:
        async with sending(certificates, collector.port) as host:
            send(host, event("first"), event("second", size=40_000))
        await until(lambda: len(collector.frames) == 2)
        assert collector.commands == ["first", "second"]


async def test_a_collector_that_no_ca_of_ours_vouches_for_gets_nothing(certificates, caplog):
    async with Collector.open(certificates.stranger) as collector, sending(certificates, collector.port) as host:
        send(host, event())
        await until(lambda: "cannot be reached" in caplog.text)
        assert "its certificate is refused: self-signed certificate" in caplog.text or "unable to get" in caplog.text
        assert (counter(host, "sent_packets"), counter(host, "waiting_packets")) == (0, 1)
        assert not collector.frames


async def test_without_a_client_domain_for_it_nothing_is_sent(certificates, caplog):
    elsewhere = ("match_ip_address", "[c]10.0.0.1:9061")
    async with (
        Collector.open(certificates.collector) as collector,
        sending(certificates, collector.port, elsewhere) as host,
    ):
        send(host, event())
        await until(lambda: "no client domain of 'tls_mgm' matches" in caplog.text)
        assert counter(host, "sent_packets") == 0


async def test_a_collector_without_tls_is_lost_until_it_has_it(certificates, caplog):
    plain = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, reuse_address=True)
    port = plain.sockets[0].getsockname()[1]
    async with sending(certificates, port) as host:
        send(host, event("patient"))
        await until(lambda: "the TLS handshake failed" in caplog.text or "cannot be reached" in caplog.text)
        plain.close()
        await plain.wait_closed()
        async with Collector.open(certificates.collector, port=port) as collector:
            await until(lambda: collector.frames)
            assert collector.commands == ["patient"]


async def test_after_a_break_each_packet_that_was_not_read_follows_once(certificates):
    async with Collector.open(certificates.collector) as first:
        port = first.port
        first.reading.clear()
        async with contextlib.AsyncExitStack() as stack:
            host = await stack.enter_async_context(sending(certificates, port))
            send(host, *(event(str(number), size=50_000) for number in range(100)))
            await until(lambda: first.writers and counter(host, "waiting_packets"))
            sent = counter(host, "sent_packets")
            for writer in first.writers:
                writer.transport.abort()
            first.reading.set()
            await until(lambda: len(first.writers) == 2)
            await until(lambda: first.commands and first.commands[-1] == "99")
            numbers = [int(command) for command in first.commands]
            assert numbers == sorted(set(numbers))
            assert numbers[-1] == 99
            assert sent < 100


async def test_a_deaf_collector_never_makes_the_sender_wait(certificates):
    async with Collector.open(certificates.collector) as collector:
        collector.reading.clear()
        async with sending(certificates, collector.port, waiting=20) as host:
            send(host, event("first"))
            await until(lambda: collector.writers)
            began = time.perf_counter()
            send(host, *(event(str(number), size=50_000) for number in range(200)))
            assert time.perf_counter() - began < 1.0
            await until(lambda: counter(host, "dropped_queue_full"))
            collector.reading.set()
            await until(lambda: collector.commands and collector.commands[-1] == "199")
