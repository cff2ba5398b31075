"""Recorded exchanges with the doors of OpenSIPS 4.1, and how they are played against a host of ours.

One file is one server: its configuration (`cfg`), files in its folder, and exchanges in order.  An exchange names a
door (`http`, `fifo`, `udp`, `unix`; `stat`: the mode of a file; `alive`: is the server there; `start`: does a server
with this configuration start) with what is sent and what must come back (`recv`, None for nothing).  Placeholders in
`@`s stand for ports and folders; `expand` makes long texts; `mask` and `match` are regular expressions; with
`subsequence` the list in the result must hold the wanted items in their order.

Hosts run inside the test, so that a hundred exchanges take a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from miscript.catalog import module_class
from miscript.errors import MiscriptError
from miscript.host.host import Host
from miscript.host.loading import Source

HERE = Path(__file__).parent / "mi"
MPATH = "/usr/lib/opensips/modules"
SOON = 5.0
NEVER = 0.4
"""Seconds in which nothing must come where nothing is wanted."""
ALWAYS_THERE = frozenset({"proto_udp"})
"""Can be loaded, and that is all that these recordings want of it."""


@dataclass(frozen=True)
class Recording:
    """One file; `str` of it is its name."""

    path: Path

    def __str__(self) -> str:
        return self.path.stem

    @cached_property
    def data(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @cached_property
    def missing(self) -> list[str]:
        """The modules that it loads and that are not there."""
        starts = [e["send"] for e in self.data["exchanges"] if e["door"] == "start"]
        texts = [self.data.get("cfg", ""), *self.data.get("good", ()), *starts]
        loaded = set(re.findall(r'^loadmodule\s+"(\w+)\.so"', "\n".join(texts), re.MULTILINE))
        return sorted(name for name in loaded - ALWAYS_THERE if module_class(name) is None)


def recordings() -> list[Recording]:
    return [Recording(path) for path in sorted(HERE.glob("*.json"))]


class Played:
    """A host with one recording's configuration, and the clients of its doors."""

    def __init__(self, recording: Recording, folder: Path) -> None:
        self.data = recording.data
        self.folder = folder
        self.host: Host | None = None
        self.http: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.ports = _free_ports(4)
        self.names = {
            "@MPATH@": MPATH,
            "@DIR@": str(folder),
            "@SOCKET@": f"udp:127.0.0.1:{self.ports[3]}",
            "@SIP@": str(self.ports[3]),
            "@PORT@": str(self.ports[0]),
            "@PORT2@": str(self.ports[1]),
            "@PORT3@": str(self.ports[2]),
        }

    def fill(self, text: str, exchange: dict[str, Any] | None = None) -> str:
        for name, value in self.names.items():
            text = text.replace(name, value)
        for name, unit, count in (exchange or {}).get("expand", ()):
            text = text.replace(name, unit * count)
        return text

    async def start(self) -> None:
        (self.folder / "reply").mkdir()
        for name, text in self.data.get("files", {}).items() if self.data.get("files") else ():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(self.fill(text))
        if "cfg" in self.data:
            self.host = await self._started(self.data["cfg"])
        for text in self.data.get("good", ()):
            await _stopped(await self._started(text))

    async def _started(self, text: str) -> Host:
        host = Host(Source("opensips.cfg", self.fill(text)), lambda text: None)
        try:
            host.load()
            await host.start()
        except BaseException:
            with contextlib.suppress(AssertionError):  # it was never loaded
                await host.stop()
            raise
        return host

    async def stop(self) -> None:
        self._hang_up()
        if self.host is not None:
            await self.host.stop()

    # -- exchanges ----------------------------------------------------------------------------------------------

    async def play(self, exchange: dict[str, Any]) -> object:
        """What comes back."""
        await asyncio.sleep(exchange.get("pause", 0))
        match exchange["door"]:
            case "http":
                return await self._play_http(exchange)
            case "fifo":
                return await self._play_fifo(exchange)
            case "udp" | "unix":
                return await self._play_datagram(exchange)
            case "stat":
                return stat.filemode(os.lstat(self.fill(exchange["send"])).st_mode)
            case "alive":
                assert self.host is not None
                return not self.host.stopping.is_set()
            case "start":
                return await self._play_start(exchange)
        raise AssertionError(f"unknown door {exchange['door']}")

    async def _play_start(self, exchange: dict[str, Any]) -> bool:
        try:
            host = await self._started(exchange["send"])
        except MiscriptError as error:
            found = getattr(error, "diagnostics", ())
            said = "\n".join([str(error), *(diagnostic.one_line() for diagnostic in found)])
            assert any(self.fill(name) in said for name in exchange["names"]), said
            return False
        await _stopped(host)
        return True

    async def _play_datagram(self, exchange: dict[str, Any]) -> str | None:
        family = socket.AF_INET if exchange["door"] == "udp" else socket.AF_UNIX
        own = self.folder / "client.sock"
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                client.setsockopt(socket.SOL_SOCKET, option, 300_000)
            if not exchange.get("unbound"):
                client.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(own))
            server = ("127.0.0.1", self.ports[1]) if family == socket.AF_INET else str(self.folder / "mi.sock")
            client.sendto(_bytes(self.fill(exchange["send"], exchange)), server)
            try:
                async with asyncio.timeout(NEVER if exchange["recv"] is None else SOON):
                    return _text(await asyncio.get_running_loop().sock_recv(client, 1 << 18))
            except TimeoutError:
                return None
            finally:
                own.unlink(missing_ok=True)

    async def _play_fifo(self, exchange: dict[str, Any]) -> object:
        names = exchange.get("reply", ["r"])
        wanted = exchange["recv"] if isinstance(exchange["recv"], dict) else {names[0]: exchange["recv"]}
        files = {}
        for name in names:
            os.mkfifo(self.folder / "reply" / name)
            files[name] = os.open(self.folder / "reply" / name, os.O_RDWR | os.O_NONBLOCK)
        sent = exchange["send"] if isinstance(exchange["send"], list) else [exchange["send"]]
        try:
            for number, text in enumerate(sent):
                await asyncio.sleep(exchange.get("between", 0.15) if number else 0)
                await asyncio.to_thread(self._write_fifo, _bytes(self.fill(text, exchange)))
            got = {name: await self._read_fifo(files[name], wanted[name], exchange) for name in names}
        finally:
            for name, file in files.items():
                os.close(file)
                (self.folder / "reply" / name).unlink()
        return got if isinstance(exchange["recv"], dict) else got[names[0]]

    def _write_fifo(self, data: bytes) -> None:
        with open(self.folder / "fifo", "wb", buffering=0) as fifo:
            while data:
                data = data[fifo.write(data) :]

    async def _read_fifo(self, file: int, wanted: str | None, exchange: dict[str, Any]) -> str | None:
        """What comes until as much is there as is wanted."""
        size = len(_bytes(self.fill(wanted, exchange))) if wanted is not None else 1
        data = b""
        try:
            async with asyncio.timeout(NEVER if wanted is None else SOON):
                while len(data) < size:
                    try:
                        data += os.read(file, 1 << 16)
                    except BlockingIOError:
                        await asyncio.sleep(0.001)
        except TimeoutError:
            pass
        return _text(data) if data else None

    # -- HTTP ---------------------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        if self.http is not None:
            self.http[1].transport.abort()
            self.http = None

    async def _play_http(self, exchange: dict[str, Any]) -> object:
        if not exchange.get("keep"):
            self._hang_up()
        if self.http is None:
            self.http = await asyncio.open_connection("127.0.0.1", self.ports[0], limit=1 << 24)
        reader, writer = self.http
        writer.write(self._http_request(exchange))
        try:
            async with asyncio.timeout(SOON):
                answers = [await _response(reader, exchange) for _ in range(exchange.get("answers", 1))]
        except (asyncio.IncompleteReadError, ConnectionError):
            self._hang_up()
            return {"closed": True}
        return answers if "answers" in exchange else answers[0]

    def _http_request(self, exchange: dict[str, Any]) -> bytes:
        send = exchange["send"]
        if "raw" in send:
            return _bytes(self.fill(send["raw"], exchange))
        headers = send.get("headers", {"Content-Type": "application/json"})
        body = _bytes(self.fill(send.get("body", ""), exchange))
        lines = [f"{send.get('method', 'POST')} {send.get('path', '/mi')} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if "body" in send and not {"content-length", "transfer-encoding"} & {name.lower() for name in headers}:
            lines.append(f"Content-Length: {len(body)}")
        return _bytes(self.fill("\r\n".join(lines))) + b"\r\n\r\n" + body

    # -- comparing ----------------------------------------------------------------------------------------------

    def agrees(self, exchange: dict[str, Any], got: object) -> bool:
        """Whether `got` is what the recording wants."""
        return exchange.get("any") is True or self._same(exchange["recv"], got, exchange)

    def _same(self, wanted: Any, got: Any, exchange: dict[str, Any]) -> bool:
        if isinstance(wanted, list):
            return len(wanted) == len(got) and all(self._same(w, g, exchange) for w, g in zip(wanted, got, strict=True))
        if not isinstance(wanted, dict):
            return self._same_text(wanted, got, exchange) if isinstance(wanted, str) else wanted == got
        if "status" not in wanted:
            return isinstance(got, dict) and all(self._same(w, got.get(k), exchange) for k, w in wanted.items())
        return (
            got.get("status") == wanted["status"]
            and all(
                got["headers"].get(name) == self.fill(value, exchange)
                for name, value in wanted.get("headers", {}).items()
                if name != "transfer-encoding"
            )
            and self._same_text(wanted["body"], got["body"], exchange)
        )

    def _same_text(self, wanted: str, got: object, exchange: dict[str, Any]) -> bool:
        wanted = self.fill(wanted, exchange)
        if not isinstance(got, str):
            return False
        if exchange.get("match"):
            return re.fullmatch(wanted, got, re.DOTALL) is not None
        masks = exchange.get("mask", ())
        if exchange.get("subsequence"):
            return _holds(wanted, got, masks)
        return _masked(wanted, masks) == _masked(got, masks)


async def _stopped(host: Host) -> None:
    await host.stop()
    await asyncio.sleep(0.01)  # a transport's socket is closed in the next turns of the loop


async def _response(reader: asyncio.StreamReader, exchange: dict[str, Any]) -> dict[str, Any]:
    """One answer; it must have a length, because everything here has."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100 "):
        head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    is_head = exchange["send"].get("method") == "HEAD"
    body = b"" if is_head else await reader.readexactly(int(headers["content-length"]))
    return {"status": int(lines[0].split()[1]), "headers": headers, "body": _text(body)}


def _holds(wanted: str, got: str, masks: list[str]) -> bool:
    """The list in the result (or the result object) of `got` has the items of `wanted` in their order."""
    try:
        (start, end, items), (got_start, got_end, got_items) = _items(wanted), _items(got)
    except ValueError:
        return False
    rest = iter([_masked(item, masks) for item in got_items])
    around = _masked(wanted[:start] + wanted[end:], masks) == _masked(got[:got_start] + got[got_end:], masks)
    return around and all(_masked(item, masks) in rest for item in items)


def _items(text: str) -> tuple[int, int, list[str]]:
    found = re.search(r'"result":\s*', text)
    if found is None:
        raise ValueError("there is no result")
    reader = json.JSONDecoder(object_pairs_hook=_Members)
    value, end = reader.raw_decode(text, found.end())
    start = text.find("[", found.end(), end)
    if start >= 0:
        value, end = reader.raw_decode(text, start)
        return start, end, [_compact(item) for item in value]
    return found.end(), end, [f"{_compact(name)}:{_compact(item)}" for name, item in value]


class _Members(list[Any]):
    """An object as its members in their order, equal names kept."""


def _compact(value: Any) -> str:
    if isinstance(value, _Members):
        return "{" + ",".join(f"{_compact(name)}:{_compact(item)}" for name, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _masked(text: str, masks: list[str]) -> str:
    for mask in masks:
        text = re.sub(mask, "*", text)
    return text


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses for TCP or UDP."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in _candidates(stack):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            found.append(port)
            if len(found) == count:
                break
        return found


def _candidates(stack: contextlib.ExitStack) -> Iterator[int]:
    while True:
        held = stack.enter_context(socket.socket())
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
