"""`mi_fifo`: the Management Interface over a FIFO.

A client makes a FIFO of its own in `reply_dir`, opens it, and writes `:NAME:` and a JSON-RPC request to `fifo_name`;
the answer comes on its FIFO, which is opened anew for every answer.  `::` in front means that no answer is wanted.
How requests are told apart is in `mi/framing.py`, how answers are written in `replies.py`.

Nothing here waits: a command that does, a client that does not read, a request that is not complete hold up nobody.
Source: OpenSIPS manual, module mi_fifo; docs/doors.md.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat

from ...errors import ConfigurationError
from ...exports import parameter, statistic
from ...mi.framing import MAX_REQUEST, Dropped, FifoReader, Framed
from ...mi.jsonrpc import PARSE_ERROR, Failure
from ...mi.origin import Backend, Identity, Origin
from ...mi_door import Answer, MiDoor
from ...owned_paths import Ownership, check_place, is_still, make_fifo, ownership, to_make, user_name
from ...trace import Address
from ...values import encode
from .replies import PAUSE, TRIES, NoReader, Opened, Replies, open_reply
from .replies import Identity as FifoIdentity

log = logging.getLogger("miscript.mi_fifo")

CHECK_SECONDS = 2.0
"""How often it is looked whether the FIFO is still there."""
READ_SIZE = 65536
MAX_REPLY_PATH = 127
"""Bytes of `reply_dir` and the reply name together."""
MAX_KNOWN_USERS = 1024
MAX_LATE = 1024
"""Requests that may wait for their client to open its FIFO."""
COMPLAINT_SECONDS = 1.0
"""Complaints about clients are logged at most so often."""

HERE: Address = ("127.0.0.1", 0)
"""Nobody has an address here; traced packets need one."""


class MiFifo(MiDoor):
    """Run MI commands that come in through a FIFO."""

    name = "mi_fifo"
    backend = Backend.FIFO

    fifo_name = parameter("/tmp/opensips_fifo", "Path of the FIFO; one of ours that is there is replaced.")
    fifo_mode = parameter(0o660, "Permissions of the FIFO.")
    fifo_group = parameter("", "Group of the FIFO, a name or a number.", kinds="string integer")
    fifo_user = parameter("", "Owner of the FIFO, a name (which brings its group) or a number.", kinds="string integer")
    reply_dir = parameter("/tmp/", "Folder of the clients' FIFOs; put in front of their names as it is.")
    max_request = parameter(MAX_REQUEST, "Largest request in bytes (ours).")

    broken_requests = statistic("broken_requests", "Requests that were no JSON or not complete in time.")
    dropped_data = statistic("dropped_data", "Times that something without a valid `:NAME:` was dropped.")
    closed_replies = statistic("closed_replies", "Requests not run: their reply FIFO cannot be opened.")
    lost_replies = statistic("lost_replies", "Answers that their client did not take.")

    _file = -1
    _timer: asyncio.TimerHandle | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def init(self) -> None:
        super().init()
        check_place(self.fifo_name, "fifo_name")
        self._ownership = self._wanted_ownership()
        self._folder = encode(self.reply_dir)
        if not os.path.isdir(self.reply_dir):
            raise ConfigurationError(
                f"'reply_dir': '{self.reply_dir}' is no folder", parameter="reply_dir", help=to_make(self.reply_dir)
            )
        room = MAX_REPLY_PATH - len(self._folder)
        if room < 1:
            raise ConfigurationError(
                f"'reply_dir': '{self.reply_dir}' is too long, at most {MAX_REPLY_PATH - 1} bytes",
                parameter="reply_dir",
            )
        if self.max_request < 1:
            raise ConfigurationError(f"'max_request' is {self.max_request}, expected bytes", parameter="max_request")
        self._reader = FifoReader(max_request=self.max_request, name_limit=room)
        self._replies = Replies(self._reply_lost)
        self._origins: dict[int | None, Origin] = {}
        self._complained = float("-inf")
        self._disturbed = False
        self._late_requests = 0

    def _wanted_ownership(self) -> Ownership:
        if self.fifo_mode == 0:
            log.warning("'fifo_mode' is 0; the FIFO gets mode 0600")
        return ownership(self.fifo_mode or 0o600, self.fifo_user, self.fifo_group, prefix="fifo_")

    def policy_changed(self) -> None:
        self._origins.clear()

    def reread(self) -> None:
        super().reread()
        if self._file >= 0:
            self._check()

    async def start(self) -> None:
        await super().start()
        _warn_of_open_folder(self.reply_dir)
        try:
            self._open()
        except OSError as error:
            raise ConfigurationError(
                f"'fifo_name': '{self.fifo_name}' cannot be made: {error.strerror or error}", parameter="fifo_name"
            ) from None
        self.services.tasks.every(CHECK_SECONDS, self._check, "mi_fifo: is the FIFO still there")

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._file >= 0:
            if is_still(self.fifo_name, self._file):
                os.unlink(self.fifo_name)
            self._close()
            self._replies.close()
        await super().stop()

    def _open(self) -> None:
        self._file = make_fifo(self.fifo_name, self._ownership)
        asyncio.get_running_loop().add_reader(self._file, self._readable)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)
        self._file = -1

    def _check(self) -> None:
        """Make the FIFO anew if somebody removed or replaced it."""
        if self._file >= 0 and is_still(self.fifo_name, self._file):
            return
        before = self._file
        try:
            self._open()
        except OSError as error:
            if not self._disturbed:
                log.error("'%s' is gone and cannot be made again: %s", self.fifo_name, error.strerror or error)
            self._disturbed = True
            return
        log.warning("'%s' was gone and is there again", self.fifo_name)
        self._disturbed = False
        if before >= 0:
            asyncio.get_running_loop().remove_reader(before)
            os.close(before)

    # -- requests ---------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Take what clients have written."""
        try:
            data = os.read(self._file, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            log.error("'%s' cannot be read: %s", self.fifo_name, error.strerror)
            self._close()  # `_check` makes it anew
            return
        self._take(self._reader.feed(data, self.services.clock.monotonic()))
        self._arm_timer()

    def _arm_timer(self) -> None:
        if self._reader.deadline is not None and self._timer is None:
            delay = max(0.0, self._reader.deadline - self.services.clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._late)

    def _late(self) -> None:
        """An unfinished request may have waited long enough; what is in the FIFO already came in time."""
        self._timer = None
        if self._file >= 0:
            self._readable()
        self._take(self._reader.expire(self.services.clock.monotonic()))
        self._arm_timer()

    def _take(self, events: list[Framed | Dropped]) -> None:
        for event in events:
            if isinstance(event, Dropped):
                self.dropped_data.add()
                self._complain("%s; dropped: %s", event.reason, _quoted(event.data))
                continue
            if isinstance(event.message, Failure) and event.message.error.code == PARSE_ERROR:
                self.broken_requests.add()
            self._serve(event)

    def _serve(self, request: Framed) -> None:
        """Run a request, unless it wants an answer and there is no way to give it."""
        if not request.name:
            answer = self.run(request.message, self._origin(None))
            if not isinstance(answer, bytes):
                self.services.tasks.spawn(answer, "mi_fifo")
            return
        path = self._folder + encode(request.name)
        try:
            reply = open_reply(path)
        except NoReader as error:
            if self._late_requests >= MAX_LATE:
                self._reply_closed(path, error)
                return
            self._late_requests += 1
            self.services.tasks.spawn(self._serve_later(request, path), "mi_fifo")
        except (OSError, ValueError) as error:
            self._reply_closed(path, error)
        else:
            self._answer(request, path, reply)

    async def _serve_later(self, request: Framed, path: bytes) -> None:
        """The client has not opened its FIFO yet: try again a few times."""
        try:
            reply = await self._open_patiently(path, TRIES - 1)
        except OSError as error:
            self._reply_closed(path, error)
            return
        finally:
            self._late_requests -= 1
        self._answer(request, path, reply)

    async def _open_patiently(self, path: bytes, tries: int) -> Opened:
        for _ in range(tries):
            await self.services.clock.sleep(PAUSE)
            try:
                return open_reply(path)
            except NoReader:
                continue
        raise NoReader(errno.ENXIO, "nobody reads it")

    def _answer(self, request: Framed, path: bytes, reply: Opened) -> None:
        answer = self.run(request.message, self._origin(reply.owner))
        if not isinstance(answer, bytes):
            reply.close()  # thousands of commands may wait; there are not so many descriptors
            self.services.tasks.spawn(self._answer_later(answer, path, reply.identity), "mi_fifo")
        elif answer:
            self._replies.send(reply, answer)
        else:
            reply.close()

    async def _answer_later(self, waiting: Answer, path: bytes, identity: FifoIdentity) -> None:
        answer = waiting if isinstance(waiting, bytes) else await waiting
        if not answer:
            return
        try:
            try:
                reply = open_reply(path)
            except NoReader:
                reply = await self._open_patiently(path, TRIES - 1)
        except OSError as error:
            self._reply_lost(error.strerror or str(error))
            return
        if reply.identity != identity:
            reply.close()
            self._reply_lost("another FIFO stands under its name now")
            return
        self._replies.send(reply, answer)

    def _origin(self, owner: int | None) -> Origin:
        """The origin of all that own their reply FIFO as user `owner`."""
        origin = self._origins.get(owner)
        if origin is None:
            if len(self._origins) >= MAX_KNOWN_USERS:
                self._origins.clear()
            user = "" if owner is None else user_name(owner)
            peer = f"user {user}" if user else "unknown"
            origin = self._origins[owner] = self.origin(HERE, HERE, peer=peer, identity=Identity(user))
        return origin

    # -- what goes wrong --------------------------------------------------------------------------------------

    def _reply_closed(self, path: bytes, error: Exception) -> None:
        self.closed_replies.add()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self._complain("reply FIFO %s cannot be opened: %s; the command is not run", _quoted(path), reason)

    def _reply_lost(self, reason: str) -> None:
        self.lost_replies.add()
        self._complain("an answer is lost: %s", reason)

    def _complain(self, text: str, *arguments: object) -> None:
        now = self.services.clock.monotonic()
        if now - self._complained >= COMPLAINT_SECONDS:
            self._complained = now
            log.warning(text, *arguments)


def _warn_of_open_folder(folder: str) -> None:
    found = os.stat(folder)
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        log.warning("'reply_dir': everyone may remove and rename files in '%s'; use a folder with mode 0770", folder)


def _quoted(data: bytes) -> str:
    """Bytes from outside, for the log."""
    return ascii(data[:80])
