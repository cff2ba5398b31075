"""`t_write_req` and `t_write_unix`: telling a program on this machine of a request that it is to answer.

What is written are twenty parts, each with a line feed: version, action, method, user and host of the Request-URI,
address and port that the request came to, Request-URI, URI for later requests, From, To, Call-ID, tags of From and
To, number of CSeq, id of the transaction (as `t_reply` over MI wants it), routes, next hop, header fields up to a line
with a dot, body.  A dot stands for what is not there.

Source: OpenSIPS manual, module tm (`t_write_req`, `tw_append`); observed output of OpenSIPS 4.1.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...errors import ConfigurationError
from ...exports import Constant, script_function
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import decode, encode, plain_text
from ...variable_spec import VariableSpec
from .engine import context
from .transaction import ProxyTransaction

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.tm")

VERSION: Final = "0.3"
NOTHING: Final = "."
BODY: Final = "$rb"
_RETRY_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Append:
    """What one `tw_append` adds: header fields by name and variable, and the body."""

    fields: tuple[tuple[str, VariableSpec], ...]
    body: bool


def appends_of(texts: Iterable[str]) -> dict[str, Append]:
    """The values of `tw_append` by their names in small letters.  Raises ConfigurationError."""
    found: dict[str, Append] = {}
    for text in texts:
        name, colon, elements = text.partition(":")
        name = name.strip().lower()
        if not colon or not name or name in found:
            raise ConfigurationError(f"'{text}' is not NAME:ELEMENT;…, or comes twice", parameter="tw_append")
        fields, body = [], False
        for element in filter(None, (part.strip() for part in elements.split(";"))):
            if element == BODY:
                body = True
                continue
            field, equals, variable = (part.strip() for part in element.partition("="))
            try:
                if not equals or not field:
                    raise ValueError(f"only {BODY} has no name")
                fields.append((field, VariableSpec.parse(variable)))
            except ValueError as error:
                raise ConfigurationError(f"'{element}': {error}", parameter="tw_append") from error
        found[name] = Append(tuple(fields), body)
    return found


class TmWriting(Base):
    """What scripts call."""

    appends: Mapping[str, Append]
    unix_tx_timeout: int

    @script_function(routes="request failure branch")
    async def t_write_req(self, run: Run, info: Constant[str], fifo: str) -> int:
        """Write the request to a FIFO.  `info` is ACTION or ACTION/NAME, NAME that of a `tw_append`.

        The program answers with t_reply over MI; a transaction that nobody answers gets a 408.
        """
        return await self._write(run, info, lambda data: _to_fifo(fifo, data))

    @script_function(routes="request failure branch")
    async def t_write_unix(self, run: Run, info: Constant[str], sock: str) -> int:
        """Write the request to a UNIX datagram socket; see t_write_req()."""
        return await self._write(run, info, lambda data: _to_socket(sock, data))

    async def _write(self, run: Run, info: str, write: Callable[[bytes], None]) -> int:
        action, slash, name = info.partition("/")
        append = self.appends.get(name.lower()) if slash else Append((), False)
        transaction, message = context(run).transaction, run.message
        if append is None or not action or transaction is None or not isinstance(message, Message):
            log.error("t_write: there is no transaction, no action, or no tw_append '%s'", name)
            return -1
        try:
            data = encode("".join(f"{part}\n" for part in _parts(run, message, transaction, action, append)))
        except SipSyntaxError as error:
            log.error("t_write: the request cannot be read: %s", error)
            return -1
        clock = self.services.clock
        end = clock.monotonic() + self.unix_tx_timeout
        while True:
            try:
                write(data)
                return 1
            except BlockingIOError:
                if clock.monotonic() >= end:
                    log.error("t_write: the reader takes nothing for %d s", self.unix_tx_timeout)
                    return -1
                await clock.sleep(_RETRY_SECONDS)
            except (OSError, ValueError) as error:
                log.error("t_write: %s", error)
                return -1


def _parts(run: Run, message: Message, transaction: ProxyTransaction, action: str, append: Append) -> list[str]:
    uri = SipUri.parse(message.uri or "")
    from_, to, cseq, here = message.from_, message.to, message.cseq, message.received.socket
    if from_ is None or to is None or cseq is None or here is None:
        raise SipSyntaxError("From, To or CSeq is missing", 0)
    later, routes, next_hop = _way_back(message, from_)
    fields = ["P-MsgFlags: 0\n"]
    for name, variable in append.fields:
        value = variable.get(run)
        if value is not None:
            fields.append(f"{name}: {plain_text(value)}\n")
    return [
        VERSION,
        f"sip_request.{action}",
        message.method or NOTHING,
        uri.user or "",
        uri.host,
        here.host,
        NOTHING if here.port == 5060 else str(here.port),
        message.uri or NOTHING,
        later,
        message.header("From") or "",
        message.header("To") or "",
        message.call_id or "",
        from_.tag or "",
        to.tag or "",
        str(cseq[0]),
        f"{transaction.hash}:{transaction.number}",
        ",".join(f"<{route}>" for route in routes) or NOTHING,
        next_hop,
        "".join(fields) + NOTHING,
        decode(message.body) if append.body or message.method == "INVITE" else NOTHING,
    ]


def _way_back(message: Message, from_: NameAddr) -> tuple[str, list[str], str]:
    """URI, routes and next hop of requests to who sent this one (RFC 3261 section 12.1.1)."""
    contact = message.header("Contact")
    target = NameAddr.parse_many(contact)[0].uri if contact else from_.uri
    recorded = [route.uri for text in message.headers("Record-Route") for route in NameAddr.parse_many(text)]
    if not recorded:
        return target, [], NOTHING
    if "lr" in SipUri.parse(recorded[0]).parameters:
        return target, recorded, recorded[0]
    return recorded[0], [*recorded[1:], target], NOTHING


def _to_fifo(path: str, data: bytes) -> None:
    """Write to a FIFO that somebody reads.  Raises OSError, ValueError when it is none."""
    pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            raise ValueError(f"'{path}' is no FIFO")
        if os.write(pipe, data) != len(data):
            raise OSError(errno.EMSGSIZE, f"the request does not fit into '{path}'")
    finally:
        os.close(pipe)


def _to_socket(path: str, data: bytes) -> None:
    """Send to a UNIX datagram socket.  Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(path)
        sender.send(data)
