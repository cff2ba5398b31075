"""Attacks on the SIP doors of a running host, from outside, while its `mi()` and its MI door are used.

A host runs as a process of its own with UDP and TCP sockets.  Five attackers work at once: any bytes, torture messages
(RFC 4475) with mutations, connections with half a message, senders of single bytes, floods.  Beside them a phone asks
OPTIONS over both transports, which the script answers only when `mi()` works, and somebody calls MI commands.
`attack` gives a `Report`: what was sent, answered and counted, how long MI took, how much memory the host had.

`make fuzz TARGETS="doors --seconds 300"` runs it for five minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from miscript.client import Client, ClientError, connect

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "sip"))

from torture_messages import NAMES, torture  # noqa: E402  # the messages belong to the tests

LOOPBACK = "127.0.0.1"
HALF_OPEN = 400
SLOW_SENDERS = 40
BURST = 3_000
PHONE_PAUSE = 0.1
MI_PAUSE = 0.1
READING = 0.1
BETWEEN_BURSTS = 2.5
PATIENCE = 10.0
"""Seconds that a call of MI may take."""
TIMER_F = 32.0
"""Seconds that a phone waits for an answer with all its repetitions (RFC 3261 section 17.1.2.2)."""
REPEAT_AFTER = 0.3
MOST_GROWTH_MB = 96
"""Megabytes that the host may need more than at the start."""
COUNTERS = (
    "rcv_requests",
    "rcv_replies",
    "drop_requests",
    "drop_replies",
    "bad_msg_hdr",
    "err_requests",
    "err_replies",
)

SCRIPT = """
log_level=1
xlog_level=2
socket=udp:127.0.0.1:{port}
socket=tcp:127.0.0.1:{port}
tcp_max_connections=256
tcp_max_msg_time=2
disable_stateless_fwd=no
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "signaling.so"
loadmodule "sipmsgops.so"
loadmodule "textops.so"
loadmodule "maxfwd.so"
loadmodule "mi_script.so"
loadmodule "mi_datagram.so"
modparam("mi_datagram", "socket_name", "udp:127.0.0.1:{mi_port}")
startup_route {{ xlog("up\\n"); }}
route {{
    if ($hdr(X-Phone) != NULL) {{
        if (!mi("uptime", $var(told))) {{ sl_send_reply(500, "mi() failed"); exit; }}
        sl_send_reply(200, "OK");
        exit;
    }}
    sipmsg_validate("shrftc", $var(why));
    codec_delete("speex");
    replace_body_all("a", "b");
    subst('/^(Subject|s):(.*)$/Subject: $ci\\2/ig');
    remove_body_part("text/plain");
    $sdp.line(a=) = "a=x";
    sip_to_json($var(json));
    if (is_method("INVITE")) {{ t_newtran(); t_reply(486, "Busy $rU"); exit; }}
    send_reply(404, "Not here");
}}
onreply_route {{ change_reply_status(480, "Changed"); }}
"""


@dataclass
class Report:
    """What an attack came to.  Times are seconds, memory is megabytes."""

    sent: Counter[str] = field(default_factory=Counter)
    phone_asked: int = 0
    phone_answered: int = 0
    phone_repeated: int = 0
    mi_calls: int = 0
    mi_failed: int = 0
    mi_slowest: float = 0.0
    memory_before: float = 0.0
    memory_half: float = 0.0
    memory_most: float = 0.0
    memory_after: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    kernel_drops: int = 0
    tracebacks: int = 0
    exit_status: int | None = None

    @property
    def complaints(self) -> list[str]:
        """What should not be; empty for a host that held."""
        found = []
        if self.exit_status is not None:
            found.append(f"the host ended with {self.exit_status}")
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in the log")
        if self.phone_answered < self.phone_asked:
            found.append(f"{self.phone_asked - self.phone_answered} of {self.phone_asked} OPTIONS had no 200")
        if self.mi_failed or not self.mi_calls:
            found.append(f"{self.mi_failed} of {self.mi_calls} MI commands failed")
        if self.memory_most - self.memory_before > MOST_GROWTH_MB:
            found.append(f"memory grew from {self.memory_before:.0f} to {self.memory_most:.0f} MB")
        return found

    def lines(self) -> list[str]:
        """The report for people."""
        return [
            "sent: " + ", ".join(f"{name} {count:,}" for name, count in sorted(self.sent.items())),
            f"OPTIONS of the phone: {self.phone_asked:,}, answered {self.phone_answered:,}, "
            f"after {self.phone_repeated:,} repetitions",
            f"MI commands: {self.mi_calls:,}, failed {self.mi_failed:,}, slowest {self.mi_slowest:.2f} s",
            f"memory: {self.memory_before:.0f} MB before, {self.memory_half:.0f} MB after half of the time, "
            f"{self.memory_most:.0f} MB at most, "
            f"{self.memory_after:.0f} MB behind",
            "counted: "
            + ", ".join(f"{name} {value:,}" for name, value in self.counters.items())
            + f", dropped by the kernel {self.kernel_drops:,}",
            *(f"WRONG: {text}" for text in self.complaints),
        ]


@dataclass
class Doors:
    """The host that is attacked."""

    port: int
    node: Client
    process: asyncio.subprocess.Process
    report: Report
    chance: random.Random
    half: float
    until: float
    burst: int

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until and self.process.returncode is None

    @property
    def address(self) -> tuple[str, int]:
        return (LOOPBACK, self.port)

    def kernel_drops(self) -> int:
        """Datagrams that the kernel threw away because the host had not taken those before."""
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            words = line.split()
            if words[1].endswith(f":{self.port:04X}"):
                return int(words[-1])
        return 0

    def memory(self) -> float:
        """The resident memory of the host in megabytes."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# -- what is sent ---------------------------------------------------------------------------------------------------


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A message with a few pieces cut, doubled, changed or put in."""
    for _ in range(chance.randint(0, 4)):
        at = chance.randint(0, len(data))
        size = chance.randint(0, 40)
        match chance.randint(0, 4):
            case 0:
                data = data[:at] + data[at + size :]
            case 1:
                data = data[:at] + data[max(0, at - size) :]
            case 2:
                data = data[:at] + chance.randbytes(size) + data[at + size :]
            case 3:
                data = data[:at] + chance.choice((b"\r\n", b"\r\n\r\n", b";", b",", b"<", b'"', b":", b" ")) + data[at:]
            case _:
                data = data[:at] + b"x" * (size * 50) + data[at:]
    return data


def message(number: int, method: str = "OPTIONS", transport: str = "UDP", more: str = "") -> bytes:
    """A request that is in order."""
    return (
        f"{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/{transport} {LOOPBACK}:9"
        f";branch=z9hG4bK{number};rport\r\n"
        f"From: <sip:a@example.com>;tag={number}\r\nTo: <sip:bob@example.com>\r\nCall-ID: {number}@flood\r\n"
        f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n"
    ).encode()


# -- attackers ------------------------------------------------------------------------------------------------------


def datagrams() -> socket.socket:
    """A UDP socket that never waits."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setblocking(False)
    return found


def throw(sender: socket.socket, data: bytes, doors: Doors, kind: str) -> None:
    """Send a datagram, and forget what came back."""
    with contextlib.suppress(OSError):
        sender.sendto(data[:60_000], doors.address)
        doors.report.sent[kind] += 1
    with contextlib.suppress(OSError):
        while True:
            sender.recv(65536)


async def stream(data: bytes, doors: Doors, kind: str) -> None:
    """One connection that sends something and reads for a moment."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(*doors.address)
        try:
            writer.write(data)
            doors.report.sent[kind] += 1
            async with asyncio.timeout(READING):
                await reader.read(4096)
        finally:
            writer.transport.abort()


async def any_bytes(doors: Doors) -> None:
    """Bytes without any sense."""
    with contextlib.closing(datagrams()) as sender:
        while doors.goes_on:
            for _ in range(20):
                throw(sender, doors.chance.randbytes(doors.chance.randint(0, 1500)), doors, "any bytes, UDP")
            await stream(doors.chance.randbytes(doors.chance.randint(1, 20_000)), doors, "any bytes, TCP")


async def mutations(doors: Doors) -> None:
    """Torture messages, changed a little."""
    seeds = [torture(name) for name in NAMES]
    with contextlib.closing(datagrams()) as sender:
        while doors.goes_on:
            for _ in range(20):
                throw(sender, mutated(doors.chance.choice(seeds), doors.chance), doors, "mutated messages, UDP")
            several = b"".join(mutated(doors.chance.choice(seeds), doors.chance) for _ in range(3))
            await stream(several, doors, "mutated messages, TCP")


async def half_open(doors: Doors) -> None:
    """Connections that begin a message and say nothing more; those that the host ends are opened anew."""
    held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    half = message(1, "INVITE", "TCP")[:-20]
    try:
        while doors.goes_on:
            for ended in [one for one in held if one[0].at_eof() or one[1].transport.is_closing()]:
                held.remove(ended)
                ended[1].transport.abort()
            if len(held) < HALF_OPEN:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(1):
                        reader, writer = await asyncio.open_connection(*doors.address)
                    held.append((reader, writer))
                    writer.write(half[: doors.chance.randint(0, len(half))])
                    doors.report.sent["half-open connections"] += 1
            await asyncio.sleep(0.005)
    finally:
        for _, writer in held:
            writer.transport.abort()


async def slow_sender(doors: Doors) -> None:
    """A message byte by byte, slower than any host should wait for."""
    while doors.goes_on:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(*doors.address)
            doors.report.sent["slow senders"] += 1
            try:
                for byte in message(2, "INVITE", "TCP"):
                    if not doors.goes_on or writer.transport.is_closing():
                        break
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0.05)
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.05)


async def flood(doors: Doors) -> None:
    """More datagrams at once than the host, or the kernel for it, can keep."""
    numbers = itertools.count(1)
    with contextlib.closing(datagrams()) as sender:
        while doors.goes_on:
            for _ in range(doors.burst):
                throw(sender, message(next(numbers)), doors, "flood, UDP")
            await asyncio.sleep(BETWEEN_BURSTS)


# -- those that must be served --------------------------------------------------------------------------------------


class Phone(asyncio.DatagramProtocol):
    """What has come for the phone."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.came.put_nowait(data)


async def phone(doors: Doors) -> None:
    """OPTIONS over UDP, repeated until answered."""
    loop = asyncio.get_running_loop()
    transport, own = await loop.create_datagram_endpoint(Phone, remote_addr=doors.address)
    try:
        for number in itertools.count(1):
            if not doors.goes_on:
                break
            data = message(0, more="X-Phone: 1\r\n").replace(b"0@flood", b"p%d@phone" % number)
            doors.report.phone_asked += 1
            doors.report.phone_answered += await _asked(transport, own, data, b"p%d@phone" % number, doors)
            await asyncio.sleep(PHONE_PAUSE)
    finally:
        transport.close()


async def _asked(transport: asyncio.DatagramTransport, own: Phone, data: bytes, call_id: bytes, doors: Doors) -> bool:
    give_up = time.monotonic() + TIMER_F
    while time.monotonic() < give_up and doors.process.returncode is None:
        transport.sendto(data)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPEAT_AFTER):
                while True:
                    answer = await own.came.get()
                    if call_id in answer:
                        return answer.startswith(b"SIP/2.0 200")
        doors.report.phone_repeated += 1
    return False


async def caller(doors: Doors) -> None:
    """MI commands, one behind the other."""
    report = doors.report
    while doors.goes_on:
        started = time.monotonic()
        report.mi_calls += 1
        try:
            await doors.node.call("get_statistics", [["core:"]], deadline=PATIENCE)
        except ClientError:
            report.mi_failed += 1
        report.mi_slowest = max(report.mi_slowest, time.monotonic() - started)
        report.memory_most = max(report.memory_most, doors.memory())
        if not report.memory_half and time.monotonic() > doors.half:
            report.memory_half = doors.memory()
        await asyncio.sleep(MI_PAUSE)


ATTACKERS: tuple[Callable[[Doors], object], ...] = (any_bytes, mutations, half_open, flood, phone, caller)


# -- the host -------------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port that neither UDP nor TCP uses."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket() as other:
            one.bind((LOOPBACK, 0))
            with contextlib.suppress(OSError):
                other.bind(one.getsockname())
                return int(one.getsockname()[1])


@contextlib.asynccontextmanager
async def running(folder: Path, seconds: float, seed: int, burst: int) -> AsyncIterator[Doors]:
    """A host that is up."""
    port, mi_port = free_port(), free_port()
    (folder / "doors.cfg").write_text(SCRIPT.format(port=port, mi_port=mi_port))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from miscript.cli import main; main()",
            "run",
            folder / "doors.cfg",
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(30):
                assert await process.stdout.readline() == b"up\n", (folder / "log").read_text()
            async with connect(f"udp:{LOOPBACK}:{mi_port}", deadline=PATIENCE) as node:
                now = time.monotonic()
                half, until = now + seconds / 2, now + seconds
                yield Doors(port, node, process, Report(), random.Random(seed), half, until, burst)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def attack(seconds: float, folder: Path, *, seed: int = 1, burst: int = BURST) -> Report:
    """Attack a host for a while; `folder` gets its script and its log.  `burst` is the size of a flood."""
    async with running(folder, seconds, seed, burst) as doors:
        report = doors.report
        report.memory_before = report.memory_most = doors.memory()
        async with asyncio.TaskGroup() as group:
            for attacker in ATTACKERS:
                group.create_task(attacker(doors))  # type: ignore[arg-type]  # all are coroutine functions
            for _ in range(SLOW_SENDERS):
                group.create_task(slow_sender(doors))
        report.memory_after = doors.memory()
        report.kernel_drops = doors.kernel_drops()
        report.exit_status = doors.process.returncode
        if report.exit_status is None:
            told = await doors.node.call("get_statistics", [["core:"]], deadline=2 * PATIENCE)
            assert isinstance(told, dict)
            report.counters = {name: int(told[f"core:{name}"]) for name in COUNTERS}
    report.tracebacks = (folder / "log").read_text(errors="replace").count("Traceback (most recent call last)")
    return report


def main(seconds: float, seed: int = 1) -> int:
    """Attack and tell; the exit status is 1 when something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(attack(seconds, Path(folder), seed=seed))
        print("\n".join(report.lines()), flush=True)
        if report.complaints:
            print((Path(folder) / "log").read_text(errors="replace")[-4000:], flush=True)
    return 1 if report.complaints else 0
