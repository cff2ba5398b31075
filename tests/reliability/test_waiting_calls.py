"""Ten thousand commands that wait at one door: none is lost, none is crossed, and nothing hangs when a side goes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from miscript.client import ClientError, connect
from miscript.hep.framing import FrameReader
from miscript.hep.packet import ProtocolType
from miscript.hep.v3 import decode
from miscript.modules.proto_hep.backlog import Drop
from waiting_calls import CALLS, DOORS, MODULE_OF, Crowd, free_port, is_right, key_of, text, waiting_host

pytestmark = pytest.mark.e2e

SOME = 2_000
"""Calls where it is not their number that counts."""
PROGRAM = Path(__file__).with_name("waiting_program.py")
STOPPING = {"code": -32000, "message": "Server error", "data": "the host is stopping"}


@pytest.fixture(params=DOORS)
def door(request):
    return request.param


def ids(sender):
    return sorted(answer["id"] for answer in sender.answers)


# -- ten thousand at once -------------------------------------------------------------------------------------


async def test_of_10000_calls_that_wait_none_is_lost_and_none_is_crossed(door, tmp_path, record_property):
    async with waiting_host(tmp_path, door) as host:
        crowd = Crowd(tmp_path, door, host)
        await crowd.send(CALLS)
        begun = len(crowd.module.begun)
        assert begun + crowd.request_drops == CALLS, "every request has begun, but for those that the kernel dropped"
        assert crowd.waiting == len(crowd.module.held) == begun
        assert set(crowd.module.begun.values()) == {1}, "no command runs twice"
        await crowd.module.let_all_go()
        with contextlib.suppress(TimeoutError):
            await crowd.answered(begun)
        answer_drops = sum(sender.drops for sender in crowd.senders)
        record_property("kernel_drops", crowd.request_drops + answer_drops)
        assert sum(len(sender.answers) for sender in crowd.senders) + answer_drops == begun
        for sender, sent in zip(crowd.senders, crowd.sent, strict=True):
            wanted = sorted(id_ for id_ in sent if crowd.module.begun[key_of(id_)])
            assert ids(sender) == wanted or sender.drops, "each sender has its own answers, each once"
            assert set(ids(sender)) <= set(wanted)
            assert all(map(is_right, sender.answers)), "what an answer says belongs to its id"
        assert crowd.waiting == 0
        assert crowd.counted() == begun
        crowd.close()


# -- the clients go -------------------------------------------------------------------------------------------


async def test_clients_that_close_while_their_calls_wait_disturb_nobody(door, tmp_path):
    async with waiting_host(tmp_path, door) as host:
        crowd = Crowd(tmp_path, door, host)
        await crowd.send(SOME)
        begun = len(crowd.module.begun)
        gone, there = crowd.senders[::2], crowd.senders[1::2]
        for sender in gone:
            sender.close()
        await crowd.module.let_all_go()
        answers = sum(crowd.module.begun[key_of(id_)] for sent in crowd.sent[1::2] for id_ in sent)
        drops = sum(sender.drops for sender in there)
        await crowd.answered(answers - drops)
        assert all(map(is_right, (answer for sender in there for answer in sender.answers)))
        async with asyncio.timeout(5):
            while host.tasks.busy():  # noqa: ASYNC110  # a door tries for a third of a second to reach who is gone
                await asyncio.sleep(0.01)
        assert crowd.waiting == 0
        assert crowd.counted() == begun, "a command that nobody waits for any more ends like the others"
        if door in ("fifo", "unix"):  # the only ones where the system says that a client is gone
            assert crowd.counter("lost_replies") == begun - answers
        crowd.close()


# -- the host goes --------------------------------------------------------------------------------------------


async def test_a_host_that_stops_answers_all_that_wait(door, tmp_path):
    async with waiting_host(tmp_path, door) as host:
        crowd = Crowd(tmp_path, door, host)
        await crowd.send(CALLS)
        begun = len(crowd.module.begun)
        started = time.monotonic()
        await host.stop()
        assert time.monotonic() - started < 5
        with contextlib.suppress(TimeoutError):
            await crowd.answered(begun, seconds=2)
        answers = [answer for sender in crowd.senders for answer in sender.answers]
        assert len(answers) + sum(sender.drops for sender in crowd.senders) == begun
        assert all(answer["error"] == STOPPING for answer in answers)
        assert crowd.waiting == 0
        assert crowd.counted() == begun
        assert not host.tasks.busy()
        crowd.close()


@pytest.mark.parametrize("door", ["fifo", "unix"])
async def test_a_host_that_stops_counts_the_answers_that_nobody_takes(door, tmp_path):
    async with waiting_host(tmp_path, door) as host:
        crowd = Crowd(tmp_path, door, host)
        await crowd.send(SOME)
        for sender in crowd.senders:
            sender.pause()
        await host.stop()
        for sender in crowd.senders:
            sender.read_what_is_there()
        taken = sum(len(sender.answers) for sender in crowd.senders)
        assert 0 < taken < SOME
        assert taken + crowd.counter("lost_replies") == SOME
        crowd.close()


@contextlib.asynccontextmanager
async def program(folder, door, port):
    """The host as a process of its own."""
    (folder / "host.cfg").write_text(text(folder, door, port, 'startup_route { xlog("up\\n"); }'))
    process = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, "run", folder / "host.cfg", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(15):
            assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def url(folder, door, port):
    return {
        "fifo": f"fifo:{folder}/fifo?reply_dir={folder}/reply/",
        "udp": f"udp:127.0.0.1:{port}",
        "unix": f"unix:{folder}/mi.sock",
        "http": f"http://127.0.0.1:{port}/mi",
    }[door]


async def test_a_host_that_is_killed_leaves_no_client_hanging_and_can_be_started_again(door, tmp_path):
    port = free_port(door)
    async with connect(url(tmp_path, door, port), deadline=2, connections=101) as node:
        async with program(tmp_path, door, port) as process:
            calls = [asyncio.ensure_future(node.call("waiting:hold", [f"key{number}"])) for number in range(100)]
            await node.call("uptime", deadline=5)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            started = time.monotonic()
            done, pending = await asyncio.wait(calls, timeout=5)
            assert not pending, "a call never outlives its deadline"
            assert time.monotonic() - started < 3
            assert all(isinstance(call.exception(), ClientError) for call in done)
        async with program(tmp_path, door, port):
            assert "Up time" in await node.call("uptime", deadline=5)


# -- the collector goes ---------------------------------------------------------------------------------------

TRACED = """
socket=hep_tcp:127.0.0.1:0
loadmodule "proto_hep.so"
modparam("proto_hep", "hep_id", "[homer]127.0.0.1:{collector};transport=tcp;version=3")
modparam("{door}", "trace_destination", "homer")
"""


class Collector:
    """Takes packets over TCP; `frames` are those that came whole."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        frames = FrameReader()
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(65536):
                frames.receive(data)
                while (frame := frames.next_frame()) is not None:
                    self.frames.append(frame)

    async def open(self, port):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port)

    async def kill(self):
        """Close the port, and all connections without a word of farewell."""
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
        await asyncio.sleep(0)


def waiting_packets(host):
    return len(host.catalog.modules["proto_hep"]._senders[0].backlog)


async def until(condition, seconds):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what the other side does sets no event here
            await asyncio.sleep(0.002)


async def test_a_collector_that_goes_and_comes_back_costs_no_call_and_is_served_within_a_second(door, tmp_path):
    port = free_port("http")
    collector = Collector()
    await collector.open(port)
    more = TRACED.format(collector=port, door=MODULE_OF[door])
    async with waiting_host(tmp_path, door, more) as host:
        hep = host.catalog.modules["proto_hep"]
        crowd = Crowd(tmp_path, door, host)
        await crowd.send(SOME)
        requests = len(crowd.module.begun)
        await until(lambda: len(collector.frames) == requests, 5)
        await collector.kill()
        await crowd.module.let_all_go()
        drops = crowd.request_drops + sum(sender.drops for sender in crowd.senders)
        await crowd.answered(SOME - drops)
        assert crowd.counted() == requests, "no command waits for the collector"
        waiting = waiting_packets(host)
        assert waiting + hep.sent.value == 2 * requests
        await asyncio.sleep(1.2)  # longer than the longest pause between two attempts
        before = len(collector.frames)
        await collector.open(port)
        await until(lambda: waiting_packets(host) == 0, 1)
        await until(lambda: len(collector.frames) == before + waiting, 1)
        dropped = sum(getattr(hep, f"dropped_{reason}").value for reason in Drop)
        assert (hep.sent.value, dropped) == (2 * requests, 0)
        packets = [decode(frame) for frame in collector.frames]
        assert {packet.protocol_type for packet in packets} == {ProtocolType.MI}
        correlations = Counter(packet.correlation_id for packet in packets)
        assert (len(correlations), set(correlations.values())) == (requests, {2}), "each request has its reply"
        crowd.close()
        await collector.kill()
