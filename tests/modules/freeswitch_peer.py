"""An event socket server of our own, in the place of a FreeSWITCH server that no test here can have.

Written from FreeSWITCH's documentation of mod_event_socket; `test_freeswitch_peer.py` sets three clients on it that
no one here wrote.  It shares no code with miscript.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import Callable
from urllib.parse import quote

PASSWORD = "ClueCon"
GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
REJECTION = "Access Denied, go away.\n"
KNOWN_EVENTS = frozenset(
    "ALL CUSTOM HEARTBEAT BACKGROUND_JOB DTMF CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_STATE CHANNEL_HANGUP "
    "CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE_COMPLETE RE_SCHEDULE MESSAGE API RELOADXML".split()
)
STATUS = "UP 0 years, 0 days, 1 hour\nFreeSWITCH (Version 1.10.0) is ready\n0 session(s) since startup\n"


class Connection:
    """One client."""

    def __init__(self, peer: FreeswitchPeer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer
        self.form = "plain"
        self.names: set[str] = set()
        self.subclasses: set[str] = set()
        self.filters: list[tuple[str, str]] = []
        self.authorised = False
        self.closing = False

    # -- what goes out -----------------------------------------------------------------------------------------

    def message(self, kind: str, body: str | bytes | None = None, **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        data = body.encode() if isinstance(body, str) else body
        if data is not None:
            lines.append(f"Content-Length: {len(data)}")
        self.writer.write("\n".join([f"Content-Type: {kind}", *lines]).encode() + b"\n\n" + (data or b""))

    def reply(self, text: str, **headers: str) -> None:
        self.message("command/reply", Reply_Text=text, **headers)

    def wants(self, event: dict[str, str]) -> bool:
        name = event["Event-Name"]
        if not (
            "ALL" in self.names
            or name in self.names
            or (name == "CUSTOM" and event.get("Event-Subclass") in self.subclasses)
        ):
            return False
        return not self.filters or any(event.get(name) == value for name, value in self.filters)

    def send_event(self, event: dict[str, str], body: str | None) -> None:
        if self.form == "json":
            whole = {**event, **({} if body is None else {"Content-Length": str(len(body)), "_body": body})}
            self.message("text/event-json", json.dumps(whole))
            return
        lines = "".join(f"{name}: {quote(value)}\n" for name, value in event.items())
        lines += "\n" if body is None else f"Content-Length: {len(body.encode())}\n\n{body}"
        self.message("text/event-plain", lines)

    # -- what comes in -----------------------------------------------------------------------------------------

    async def serve(self) -> None:
        if self.peer.rejects:
            self.message("text/rude-rejection", REJECTION)
            return
        self.message("auth/request")
        while not self.closing:
            await self.writer.drain()
            lines = await self.command_lines()
            if lines is None:
                return
            self.peer.commands.append("\n".join(lines))
            self.peer.news.set()
            await self.peer.may_answer.wait()
            self.answer(lines)

    async def command_lines(self) -> list[str] | None:
        """A command and its headers; None at the end of the connection."""
        lines: list[str] = []
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                return None
            text = line.decode().rstrip("\r\n")
            if text:
                lines.append(text)
            elif lines:
                return lines

    def answer(self, lines: list[str]) -> None:
        word, _, rest = lines[0].partition(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines[1:])
        }
        if not self.authorised:
            self.log_in(word, rest)
        elif (handler := HANDLERS.get(word)) is None:
            self.reply("-ERR command not found")
        else:
            handler(self, rest.strip(), headers)

    def log_in(self, word: str, rest: str) -> None:
        if (word, rest) in (("auth", self.peer.password), ("userauth", f"{self.peer.user}:{self.peer.password}")):
            self.authorised = True
            self.peer.ready.append(self)
            self.peer.news.set()
            self.reply("+OK accepted")
        else:
            self.reply("-ERR invalid")
            self.say_goodbye()

    def api(self, rest: str, headers: dict[str, str]) -> None:
        self.message("api/response", self.peer.run(rest))

    def bgapi(self, rest: str, headers: dict[str, str]) -> None:
        job = headers.get("job-uuid") or str(uuid.uuid4())
        self.reply(f"+OK Job-UUID: {job}", Job_UUID=job)
        if self.peer.finishes_jobs:
            command, _, argument = rest.partition(" ")
            event = {"Job-UUID": job, "Job-Command": command, "Job-Command-Arg": argument}
            self.peer.raise_event("BACKGROUND_JOB", event, self.peer.run(rest))

    def event(self, rest: str, headers: dict[str, str]) -> None:
        words = re.split(r"[ ,]+", rest)
        if words[0].lower() in ("plain", "json", "xml"):
            self.form = words.pop(0).lower()
        names = [word if word.lower() != "all" else "ALL" for word in words if word]
        if not names or self.peer.refuses.intersection(names):
            self.reply("-ERR no keywords supplied")
            return
        if "CUSTOM" in names:
            place = names.index("CUSTOM")
            names, classes = names[: place + 1], names[place + 1 :]
            self.subclasses.update(classes)
            if classes:
                names.remove("CUSTOM")
        self.names.update(name for name in names if name in KNOWN_EVENTS)
        self.reply(f"+OK event listener enabled {self.form}")

    def nixevent(self, rest: str, headers: dict[str, str]) -> None:
        words = rest.split()
        if words and words[0].upper() == "CUSTOM":
            self.subclasses.difference_update(words[1:])
            words = words[:1] if len(words) == 1 else []
        for word in words:
            if word.upper() == "ALL":
                self.names.clear()
            elif "ALL" in self.names:
                self.names = set(KNOWN_EVENTS - {"ALL", word})
            self.names.discard(word)
        self.reply("+OK events nixed")

    def noevents(self, rest: str, headers: dict[str, str]) -> None:
        self.names.clear()
        self.subclasses.clear()
        self.reply("+OK no longer listening for events")

    def filter(self, rest: str, headers: dict[str, str]) -> None:
        name, _, value = rest.partition(" ")
        self.filters.append((name, value))
        self.reply(f"+OK filter added. [{name}]=[{value}]")

    def fine(self, rest: str, headers: dict[str, str]) -> None:
        self.reply("+OK")

    def exit(self, rest: str, headers: dict[str, str]) -> None:
        self.reply("+OK bye")
        self.say_goodbye()

    def say_goodbye(self) -> None:
        self.message("text/disconnect-notice", GOODBYE)
        self.closing = True


Handler = Callable[[Connection, str, dict[str, str]], None]

HANDLERS: dict[str, Handler] = {
    "api": Connection.api,
    "bgapi": Connection.bgapi,
    "event": Connection.event,
    "events": Connection.event,
    "nixevent": Connection.nixevent,
    "noevents": Connection.noevents,
    "filter": Connection.filter,
    "log": Connection.fine,
    "nolog": Connection.fine,
    "linger": Connection.fine,
    "sendmsg": Connection.fine,
    "exit": Connection.exit,
}


class FreeswitchPeer:
    """The server: `async with FreeswitchPeer() as peer`, then `peer.port`."""

    def __init__(self, password: str = PASSWORD, user: str = "") -> None:
        self.password = password
        self.user = user
        self.port = 0
        self.rejects = False
        """Whether new clients are sent away, as an access list does it."""
        self.refuses: set[str] = set()
        """Events that nobody may subscribe to."""
        self.finishes_jobs = True
        self.commands: list[str] = []
        """All commands of all clients, in the order in which they came."""
        self.ready: list[Connection] = []
        """Clients that have logged in, and are there."""
        self.connections = 0
        """Clients that ever came."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0

    async def __aenter__(self) -> FreeswitchPeer:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; at the same port as before when there was one."""
        self._server = await asyncio.start_server(self._client, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections and listen no more."""
        if self._server is not None:
            self._server.close()
        self.drop()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def url(self) -> str:
        login = f"{self.user}:{self.password}"
        return f"fs://{login}@127.0.0.1:{self.port}"

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        connection = Connection(self, reader, writer)
        try:
            with contextlib.suppress(ConnectionError):
                await connection.serve()
                await writer.drain()
        except asyncio.CancelledError:
            pass  # the server ends
        finally:
            self._tasks.discard(task)
            if connection in self.ready:
                self.ready.remove(connection)
            self.news.set()
            writer.close()

    # -- what a test does --------------------------------------------------------------------------------------

    def run(self, command: str) -> str:
        """What an `api` command says."""
        word, _, rest = command.partition(" ")
        match word:
            case "status":
                return STATUS
            case "echo":
                return rest
            case "originate":
                return f"+OK {uuid.uuid4()}\n"
            case "reloadxml":
                return "+OK [Success]\n"
        return f"-ERR {word} Command not found!\n"

    def raise_event(self, name: str, headers: dict[str, str] | None = None, body: str | None = None) -> int:
        """Tell all clients that want it of an event; how many there were."""
        self._number += 1
        event = {"Event-Name": name, "Event-Sequence": str(self._number), **(headers or {})}
        told = [connection for connection in self.ready if connection.wants(event)]
        for connection in told:
            connection.send_event(event, body)
        return len(told)

    def heartbeat(self, idle_cpu: float = 97.5, sessions: int = 3, most: int = 1000) -> int:
        figures = {"Idle-CPU": f"{idle_cpu:.6f}", "Session-Count": str(sessions), "Max-Sessions": str(most)}
        return self.raise_event("HEARTBEAT", figures)

    def raw(self, data: bytes) -> None:
        """Send bytes to all clients that have logged in."""
        for connection in self.ready:
            connection.writer.write(data)

    def drop(self) -> None:
        """Break all connections."""
        for connection in list(self.ready):
            connection.writer.transport.abort()

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until something is so that a command or a client may change."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.news.clear()
                await self.news.wait()
