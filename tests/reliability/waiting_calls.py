"""Thousands of commands that wait at one door: the command, the host, and the senders.

`Waiting` is a module whose command `waiting:hold` is answered when the test lets it go, in any order.  `Crowd` is many
senders at one door that share the calls.  They are paced, so that what the kernel throws away stays small, and what it
does throw away is counted for itself (`kernel_drops`).
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from extra_module import offered
from miscript.errors import MIError
from miscript.exports import Module, mi_command
from miscript.host.host import Host
from miscript.host.loading import Source

CALLS = 10_000
SENDERS = 50
"""Who share the calls: 200 each, whose answers fit into one socket or pipe."""
AT_ONCE = 64
"""Calls sent, and commands let go, before the other side gets its turn."""

DOORS = {
    "fifo": 'loadmodule "mi_fifo.so"\nmodparam("mi_fifo", "fifo_name", "{folder}/fifo")\n'
    'modparam("mi_fifo", "reply_dir", "{folder}/reply/")\nmodparam("mi_fifo", "max_commands", 20000)\n',
    "udp": 'loadmodule "mi_datagram.so"\nmodparam("mi_datagram", "socket_name", "udp:127.0.0.1:{port}")\n'
    'modparam("mi_datagram", "max_commands", 20000)\n',
    "unix": 'loadmodule "mi_datagram.so"\nmodparam("mi_datagram", "socket_name", "{folder}/mi.sock")\n'
    'modparam("mi_datagram", "max_commands", 20000)\nmodparam("mi_datagram", "socket_timeout", 10000)\n',
    "http": 'loadmodule "httpd.so"\nmodparam("httpd", "port", {port})\nloadmodule "mi_http.so"\n'
    'modparam("mi_http", "max_commands", 20000)\n',
}
MODULE_OF = {"fifo": "mi_fifo", "udp": "mi_datagram", "unix": "mi_datagram", "http": "mi_http"}


class Waiting(Module):
    """A command whose answers come when the test says so."""

    name = "waiting"

    def init(self) -> None:
        self.held: dict[str, asyncio.Future[None]] = {}
        self.begun: Counter[str] = Counter()

    @mi_command("hold", "key")
    async def hold(self, key: str) -> object:
        """waits, then says its key, or fails with it"""
        self.begun[key] += 1
        self.held[key] = asyncio.get_running_loop().create_future()
        try:
            await self.held[key]
        finally:
            del self.held[key]
        if refuses(key):
            raise MIError(500, key)
        return {"key": key, "sum": checksum(key)}

    async def let_all_go(self) -> None:
        """Answer everything that waits, in an order that nobody expects."""
        keys = list(self.held)
        random.Random(len(keys)).shuffle(keys)
        for number, key in enumerate(keys):
            self.held[key].set_result(None)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def wait_for(self, count: int) -> None:
        """Return when so many calls have begun, or no more come for a second: the kernel may have dropped some."""
        while (seen := len(self.begun)) < count:
            try:
                async with asyncio.timeout(1):
                    while len(self.begun) == seen:  # noqa: ASYNC110  # the loop turns until requests have been read
                        await asyncio.sleep(0)
            except TimeoutError:
                return


def refuses(key: str) -> bool:
    return key.endswith("7")


def checksum(key: str) -> str:
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


def key_of(id_: str) -> str:
    """The key that a call with this id asks for: not the id itself, so that a crossed id would be seen."""
    return f"{checksum('of ' + id_)[:6]}-{id_}"


def request(id_: str) -> bytes:
    message = {"jsonrpc": "2.0", "method": "waiting:hold", "params": [key_of(id_)], "id": id_}
    return json.dumps(message, separators=(",", ":")).encode()


def is_right(answer: dict[str, object]) -> bool:
    """Whether the content of an answer belongs to its id."""
    key = key_of(str(answer["id"]))
    if refuses(key):
        return answer.get("error") == {"code": 500, "message": key}
    return answer.get("result") == {"key": key, "sum": checksum(key)}


def text(folder: Path, door: str, port: int, more: str = "") -> str:
    (folder / "reply").mkdir(exist_ok=True)
    loaded = DOORS[door].format(folder=folder, port=port)
    return f'log_level=1\n{loaded}loadmodule "waiting.so"\n{more}\nroute {{ exit; }}\n'


@asynccontextmanager
async def waiting_host(folder: Path, door: str, more: str = "") -> AsyncIterator[Host]:
    """A host with one door and `waiting:hold`; `more` are lines of its script.  It may be stopped by the test."""
    with offered(Waiting):
        host = Host(Source("test.cfg", text(folder, door, free_port(door), more)), lambda text: None)
        host.load()
        try:
            await host.start()
            yield host
        finally:
            await host.stop()


def free_port(door: str) -> int:
    with socket.socket(type=socket.SOCK_STREAM if door == "http" else socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kernel_drops(port: int) -> int:
    """Datagrams that the kernel threw away because the UDP socket at `port` was full."""
    with suppress(OSError), open("/proc/net/udp") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                return int(fields[-1])
    return 0


class Sender:
    """One client of a door: `send` raises BlockingIOError when the door has no room now."""

    def __init__(self) -> None:
        self.answers: list[dict[str, object]] = []
        self._data = b""
        self._file = -1

    def _watch(self, file: int) -> None:
        self._file = file
        asyncio.get_running_loop().add_reader(file, self._readable)

    def _readable(self) -> None:
        raise NotImplementedError

    def send(self, id_: str) -> None:
        raise NotImplementedError

    def pause(self) -> None:
        """Read no more, and have room for few answers."""
        asyncio.get_running_loop().remove_reader(self._file)

    def read_what_is_there(self) -> None:
        """Read once more after `pause`."""
        with suppress(BlockingIOError):
            self._readable()

    def close(self) -> None:
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            self._file = -1

    @property
    def drops(self) -> int:
        """Answers that the kernel threw away."""
        return 0


class FifoSender(Sender):
    """Has a reply FIFO of its own, open all the time."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__()
        self.name = f"sender{number}"
        self.path = folder / "reply" / self.name
        os.mkfifo(self.path, 0o600)
        self._server = os.open(folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)
        self._watch(os.open(self.path, os.O_RDWR | os.O_NONBLOCK))

    def send(self, id_: str) -> None:
        os.write(self._server, f":{self.name}:".encode() + request(id_))

    def _readable(self) -> None:
        text = (self._data + os.read(self._file, 1 << 20)).decode()
        at = 0
        while at < len(text):
            try:
                found, at = json.JSONDecoder().raw_decode(text, at)
            except ValueError:
                break
            self.answers.append(found)
        self._data = text[at:].encode()

    def pause(self) -> None:
        super().pause()
        fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, 4096)

    def close(self) -> None:
        file = self._file
        super().close()
        if file >= 0:
            os.close(file)
            os.close(self._server)
            self.path.unlink()


class DatagramSender(Sender):
    """A datagram socket, connected so that nobody else's answers come in."""

    def __init__(self, family: int, own: object, server: object) -> None:
        super().__init__()
        self.socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(own)
        self.server = server
        self._watch(self.socket.fileno())

    def send(self, id_: str) -> None:
        self.socket.sendto(request(id_), self.server)

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.answers.append(json.loads(self.socket.recv(65536)))

    @property
    def drops(self) -> int:
        return kernel_drops(self.socket.getsockname()[1]) if self.socket.family == socket.AF_INET else 0

    def close(self) -> None:
        super().close()
        self.socket.close()


class HttpSender(Sender):
    """One connection on which all requests are pipelined; its answers come in the order of the requests."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self.socket = socket.create_connection(address)
        self.socket.setblocking(False)
        self._watch(self.socket.fileno())
        self.ended = False

    def send(self, id_: str) -> None:
        body = request(id_)
        head = f"POST /mi HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        data = head.encode() + body
        assert self.socket.send(data) == len(data), "the socket took half a request"

    def _readable(self) -> None:
        try:
            new = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionResetError:
            new = b""
        if not new:
            self.ended = True
            super().close()
            return
        self._data += new
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = int(self._data[:end].lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self.answers.append(json.loads(self._data[end + 4 : end + 4 + length]))
            self._data = self._data[end + 4 + length :]

    def close(self) -> None:
        super().close()
        self.socket.close()


class Crowd:
    """All senders at one door, and which ids each of them has sent."""

    def __init__(self, folder: Path, door: str, host: Host) -> None:
        self.door = door
        self.host = host
        self.module: Waiting = host.catalog.modules["waiting"]
        self.senders = [self._sender(folder, number) for number in range(SENDERS)]
        self.sent: list[list[str]] = [[] for _ in self.senders]

    def _sender(self, folder: Path, number: int) -> Sender:
        match self.door:
            case "fifo":
                return FifoSender(folder, number)
            case "udp":
                server = self.host.catalog.modules["mi_datagram"].address
                return DatagramSender(socket.AF_INET, ("127.0.0.1", 0), server)
            case "unix":
                own, server = str(folder / f"own{number}.sock"), str(folder / "mi.sock")
                return DatagramSender(socket.AF_UNIX, own, server)
            case _:
                return HttpSender(self.host.services.find("httpd").address)

    async def send(self, count: int) -> None:
        """Send so many calls, the senders in turn, and return when they wait at the door."""
        before = sum(map(len, self.sent))
        for number in range(before, before + count):
            sender = number % len(self.senders)
            id_ = f"{sender}.{number}"
            self.sent[sender].append(id_)
            while True:
                try:
                    self.senders[sender].send(id_)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        await self.module.wait_for(before + count)

    @property
    def request_drops(self) -> int:
        """Requests that the kernel threw away."""
        return kernel_drops(self.host.catalog.modules["mi_datagram"].address[1]) if self.door == "udp" else 0

    @property
    def waiting(self) -> int:
        return int(self.host.catalog.modules[MODULE_OF[self.door]].waiting)

    def counter(self, name: str) -> int:
        """A statistic of the door's module."""
        return int(getattr(self.host.catalog.modules[MODULE_OF[self.door]], name).value)

    def counted(self) -> int:
        """Calls of the command that have ended."""
        command = self.host.services.mi.find("waiting:hold")
        assert command is not None
        return command.counters.calls

    async def answered(self, count: int, seconds: float = 10.0) -> None:
        """Wait until so many answers are there."""
        async with asyncio.timeout(seconds):
            while sum(len(sender.answers) for sender in self.senders) < count:  # noqa: ASYNC110  # the senders read
                await asyncio.sleep(0.001)

    def close(self) -> None:
        for sender in self.senders:
            sender.close()
