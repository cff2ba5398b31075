"""`python -m benchmarks.sip_inside [--calls N]`: what calls cost inside the host, without sockets.

A host with the proxy script of `sip_calls` gets the messages of calls by hand; what it sends is taken from it.
Printed are messages read a second, the processor time of a call (beside that of a step, one turn of
`while i < n: i = i + 1` at the same moment, which makes figures of different machines comparable), and the memory of a
dialog that is held: how much the process has grown for each of many calls that go on.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import statistics
import time
from pathlib import Path

from miscript.cli import COLLECTIONS
from miscript.sip import Message
from miscript.sip.received import Received
from miscript.sip.sockets import ListeningSocket, Target
from miscript.testing import MemoryNetwork, RunningScript

from .sip_calls import SCRIPT, SDP

CALLER, CALLEE, PROXY = ("127.0.0.1", 5070), ("127.0.0.1", 5080), ("127.0.0.1", 5060)
BODY = SDP.replace("\n", "\r\n").encode()
SETTLED = 60
"""Seconds after which transactions of a call are over."""

_COPIED = re.compile(rb"^(Via|Record-Route|From|To|Call-ID|CSeq):[^\r\n]*\r\n", re.MULTILINE)
_RECORDED = re.compile(rb"^Record-Route: ([^\r\n]*)", re.MULTILINE)


class Wire:
    """The one socket of the host: keeps what is sent."""

    def __init__(self, network: WireNetwork) -> None:
        self._network = network

    def send(self, data: bytes, target: Target) -> bool:
        self._network.sent.append(data)
        return True

    def close(self) -> None:
        self._network.sent.clear()


class WireNetwork(MemoryNetwork):
    """A network of one socket without a peer."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    async def datagrams(self, socket: ListeningSocket, receive):  # type: ignore[no-untyped-def, override]  # the socket
        self.socket, self.receive = socket, receive
        return Wire(self)

    async def give(self, data: bytes, source: tuple[str, int], answers: int) -> bytes:
        """Let the host have a message; gives the last one that it sends."""
        self.sent.clear()
        self.receive(data, Received(source, PROXY, self.socket))
        for _ in range(100):
            if len(self.sent) >= answers:
                return self.sent[-1]
            await asyncio.sleep(0)
        raise AssertionError(f"no answer to {data!r}")


def request(method: str, number: int, cseq: int, *, route: bytes = b"", body: bytes = b"") -> bytes:
    tag = f";tag=b{number}" if route else ""
    uri = "sip:bob@127.0.0.1:5080" if route else "sip:bob@127.0.0.1:5060"
    head = (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-{number}-{method}\r\n"
        f"From: <sip:alice@127.0.0.1:5070>;tag=a{number}\r\nTo: <sip:bob@127.0.0.1:5060>{tag}\r\n"
        f"Call-ID: {number}-4711@127.0.0.1\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@127.0.0.1:5070>\r\n"
        "Max-Forwards: 70\r\n"
    )
    kind = b"Content-Type: application/sdp\r\n" if body else b""
    return head.encode() + route + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body


def reply(data: bytes, number: int, status: bytes, body: bytes = b"") -> bytes:
    fields = []
    for found in _COPIED.finditer(data):
        line = found[0]
        fields.append(line if found[1] != b"To" or b"tag=" in line else line[:-2] + b";tag=b%d\r\n" % number)
    kind = b"Content-Type: application/sdp\r\n" if body else b""
    contact = b"Contact: <sip:bob@127.0.0.1:5080>\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"SIP/2.0 " + status + b"\r\n" + b"".join(fields) + contact + kind + length + body


async def play(network: WireNetwork, first: int, calls: int, *, hang_up: bool) -> float:
    """Make calls one by one; gives the processor seconds that the host took for one."""
    spent = 0.0

    async def give(data: bytes, source: tuple[str, int], answers: int = 1) -> bytes:
        nonlocal spent
        began = time.process_time()
        sent = await network.give(data, source, answers)
        spent += time.process_time() - began
        return sent

    for number in range(first, first + calls):
        invite = await give(request("INVITE", number, 1, body=BODY), CALLER, 2)
        await give(reply(invite, number, b"180 Ringing"), CALLEE)
        answered = await give(reply(invite, number, b"200 OK", BODY), CALLEE)
        recorded = _RECORDED.search(answered)
        assert recorded is not None
        route = b"Route: %s\r\n" % recorded[1]
        await give(request("ACK", number, 1, route=route), CALLER)
        if hang_up:
            bye = await give(request("BYE", number, 2, route=route), CALLER)
            await give(reply(bye, number, b"200 OK"), CALLEE)
    return spent / calls


def step() -> float:
    """Seconds of one turn."""
    turns, i = 60_000, 0
    began = time.process_time()
    while i < turns:
        i = i + 1
    return (time.process_time() - began) / turns


def memory() -> int:
    """Bytes that the process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def messages_a_second(rounds: int = 30) -> tuple[float, float]:
    """How many INVITEs are read: the start line alone, and with all that a proxy looks at."""
    texts = [request("INVITE", number, 1, body=BODY) for number in range(500)]
    best = [0.0, 0.0]
    for _ in range(rounds):
        began = time.process_time()
        for data in texts:
            Message.parse(data)
        middle = time.process_time()
        for data in texts:
            message = Message.parse(data)
            message.first_via, message.from_, message.to, message.cseq, message.call_id, message.content_length  # noqa: B018  # read
        ended = time.process_time()
        best[0] = max(best[0], len(texts) / (middle - began))
        best[1] = max(best[1], len(texts) / (ended - middle))
    return best[0], best[1]


def costs_of_calls(script: RunningScript, network: WireNetwork, calls: int) -> tuple[list[float], list[float]]:
    """Processor seconds of a call, and the same in steps, for each 20 calls."""
    costs, steps = [], []
    for turn in range(calls // 20):
        before = step()
        costs.append(script.wait(play(network, turn * 20, 20, hang_up=True)))
        steps.append(costs[-1] / ((before + step()) / 2))
        if turn % 20 == 19:
            script.advance(SETTLED)
    script.advance(SETTLED)
    return costs, steps


def held_dialog(script: RunningScript, network: WireNetwork, first: int, count: int) -> float:
    """Bytes by which the process grows for each call that goes on, after those that fill its caches."""
    grown = []
    for _ in range(2):
        gc.collect()
        before = memory()
        for _ in range(count // 100):
            script.wait(play(network, first, 100, hang_up=False))
            first += 100
            script.advance(SETTLED)
        gc.collect()
        grown.append((memory() - before) / (count // 100 * 100))
    return grown[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000)
    calls = parser.parse_known_args()[0].calls
    gc.set_threshold(*COLLECTIONS)
    line, whole = messages_a_second()
    network = WireNetwork()
    script = RunningScript(SCRIPT.format(port=5060, callee=5080, more=""), network=network)
    costs, steps = costs_of_calls(script, network, calls)
    held = held_dialog(script, network, calls, calls)
    script.close()
    print("| what | |")
    print("|---|---:|")
    print(f"| messages a second, start line and limits alone | {line:,.0f} |")
    print(f"| messages a second, with Via, From, To, CSeq, Call-ID and Content-Length | {whole:,.0f} |")
    print(f"| processor time of a call, the best 20 | {min(costs) * 1e6:,.0f} µs |")
    print(f"| processor time of a call, the middle | {statistics.median(costs) * 1e6:,.0f} µs |")
    print(f"| the same in steps | {statistics.median(steps):,.0f} |")
    print(f"| memory of a held dialog | {held:,.0f} bytes |")


if __name__ == "__main__":
    main()
