"""MI commands of `tm`.

Source: OpenSIPS manual, module tm, "Exported MI Functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ...errors import MIError
from ...exports import mi_command
from ...mi.command import Unread
from ...sip.headers import header_key, scan_headers
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import decode, encode
from .engine import Engine
from .relaying import Relaying
from .requests import NotSentError, Requests

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

OK: Final = "OK"
_OURS: Final = frozenset({"via", "content-length"})
"""Header fields that a request gets from us, whatever was given."""

_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,8}")
"""The parts of both forms of a transaction's id: `hash:number`, and `number.hash` as `$T_id` tells it."""
_METHOD: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")


class TmCommands(Base):
    """The group `tm` of the Management Interface."""

    engine: Engine
    relaying: Relaying
    requests: Requests

    @mi_command(
        "uac_dlg",
        "method ruri headers",
        "method ruri headers next_hop",
        "method ruri headers socket",
        "method ruri headers body",
        "method ruri headers next_hop socket",
        "method ruri headers next_hop body",
        "method ruri headers socket body",
        "method ruri headers next_hop socket body",
        aliases=["t_uac_dlg"],
        named_only=True,
        read_first="next_hop socket body",
    )
    async def mi_uac_dlg(
        self,
        method: str,
        ruri: str,
        headers: Unread[str],
        next_hop: str | None = None,
        socket: str | None = None,
        body: str | None = None,
    ) -> object:
        """sends a request with these header fields (From and To at least) and waits for its final reply"""
        _uri(ruri, "Invalid ruri")
        hop = None if next_hop is None else _uri(next_hop, "Invalid next_hop")
        sender = self.engine.sip.socket_named(socket) if socket else None
        if socket and sender is None:
            raise MIError(404, "Local socket not found")
        given = _Headers(headers.read())
        if body:
            given.check_body()
        to, from_ = given.required("to", "To missing"), given.required("from", "From missing")
        if not _is_address(from_):
            raise MIError(400, "Error in From")
        cseq = given.cseq(method)
        if _METHOD.fullmatch(method) is None:
            raise MIError(400, "Invalid method")
        try:
            outcome = await self.requests.start(
                method,
                ruri,
                from_=from_,
                to=to,
                call_id=given.values.get("call-id"),
                cseq=cseq,
                headers=given.others,
                body=encode(body or ""),
                next_hop=hop,
                socket=sender,
            )
        except NotSentError as error:
            raise MIError(error.status, error.reason.replace("/TM)", "/MI/UAC)")) from error
        except SipSyntaxError as error:
            raise MIError(400, "Bad headers", str(error)) from error
        reply = await outcome
        answer: dict[str, object] = {"Status": f"{reply.status} {reply.reason}"}
        if reply.message is not None:
            answer["Message"] = _behind_first_line(reply.message)
        return answer

    @mi_command("uac_cancel", "callid cseq", aliases=["t_uac_cancel"])
    def mi_uac_cancel(self, callid: str, cseq: str) -> object:
        """cancels an INVITE of ours, by its Call-ID and the number of its CSeq"""
        number = cseq.strip().partition(" ")[0]
        found = self.engine.find_invite(callid, int(number), local=True) if number.isdecimal() else None
        if found is None:
            raise MIError(481, "No such transaction")
        self.relaying.cancel(found.pending)
        return OK

    @mi_command("hash", aliases=["t_hash"], read_only=True)
    def mi_hash(self) -> object:
        """tells how many transactions there are and how many there have been"""
        made = self.engine.counters["UAS_transactions"].value + self.engine.counters["UAC_transactions"].value
        return {"Entries": [{"index": 0, "Current": len(self.engine), "Total": made}]}

    @mi_command(
        "reply",
        "code reason trans_id to_tag",
        "code reason trans_id to_tag new_headers",
        "code reason trans_id to_tag body",
        "code reason trans_id to_tag new_headers body",
        aliases=["t_reply"],
        named_only=True,
    )
    def mi_reply(
        self,
        code: Unread[int],
        reason: Unread[str],
        trans_id: Unread[str],
        to_tag: Unread[str],
        new_headers: str | None = None,
        body: str | None = None,
    ) -> object:
        """answers a request that waits for it; trans_id is its hash and number with a colon between them, or `$T_id`"""
        status = code.read()
        if status >= 700:
            raise MIError(400, "Invalid reply code")
        phrase = reason.read()
        number, hash = _numbers(trans_id.read())
        tag = to_tag.read()
        transaction = self.engine.find_number(number, hash)
        if transaction is None:
            raise MIError(404, "Transaction not found")
        if status < 100 or "\r" in phrase or "\n" in phrase:
            raise MIError(400, "Invalid code or reason")
        headers = [] if not new_headers else [_Headers(new_headers + "\n").all]
        if not self.engine.reply(
            transaction, status, phrase, headers=headers, body=encode(body or ""), to_tag=tag or None
        ):
            raise MIError(500, "Failed to send reply")
        if status >= 200:
            self.relaying.cancel(transaction.pending)  # whoever still rings
        return OK


def _numbers(trans_id: str) -> tuple[int, int]:
    """Number and hash of a transaction.  Raises MIError (400), which tells the part that is wrong as OpenSIPS does."""
    index, colon, label = trans_id.partition(":")
    if colon:
        hash = _part(index, _NUMBER, 10, "Invalid index in old trans_id")
        return _part(label, _NUMBER, 10, "Invalid label in old trans_id"), hash
    label, point, index = trans_id.partition(".")
    if point:
        number = _part(label, _HEX, 16, "Invalid label in trans_id")
        return number, _part(index, _HEX, 16, "Invalid label in old trans_id")
    raise MIError(400, "Invalid trans_id")


def _part(text: str, form: re.Pattern[str], base: int, complaint: str) -> int:
    if form.fullmatch(text) is None:
        raise MIError(400, complaint)
    return int(text, base)


def _uri(text: str, complaint: str) -> SipUri:
    try:
        return SipUri.parse(text)
    except SipSyntaxError as error:
        raise MIError(400, complaint) from error


def _behind_first_line(message: Message) -> str:
    return decode(message.data.split(b"\n", 1)[1])


def _is_address(text: str | None) -> bool:
    """Whether a value of To or From can be read; one that is not there is another matter."""
    try:
        return text is None or bool(NameAddr.parse(text).uri)
    except SipSyntaxError:
        return False


class _Headers:
    """Header fields as an MI client gives them, their line ends as CR LF, LF or the letters `\\r` and `\\n`.

    Raises MIError (400) when they are none, or the last one has no end.
    """

    def __init__(self, text: str) -> None:
        plain = text.replace("\\r", "\r").replace("\\n", "\n").replace("\r\n", "\n")
        lines, end, _ = plain.partition("\n\n")  # a body has a parameter of its own
        lines = lines.strip("\n")
        data = encode(f"{lines}\n".replace("\n", "\r\n")) if lines else b""
        fields = list(scan_headers(data, 0, len(data)))
        if not (end or plain[-1:] in ("", "\n")) or sum(field.end - field.start for field in fields) != len(data):
            raise MIError(400, "Bad headers")
        self.values = {field.key: field.value for field in fields}
        if not _is_address(self.values.get("to")) or " " not in self.values.get("cseq", " "):
            raise MIError(400, "Bad headers")
        self.all = "".join(f"{field.name}: {field.value}\r\n" for field in fields)
        taken = _OURS | {"from", "to", "call-id", "cseq"}
        self.others = "".join(f"{field.name}: {field.value}\r\n" for field in fields if field.key not in taken)

    def required(self, name: str, complaint: str) -> str:
        """The value of a field that must be there."""
        value = self.values.get(header_key(name))
        if value is None:
            raise MIError(400, complaint)
        return value

    def check_body(self) -> None:
        """A body needs its type; its length is counted here."""
        if "content-type" not in self.values:
            raise MIError(400, "Content-Type missing")
        if "content-length" in self.values:
            raise MIError(400, "Content-Length disallowed")

    def cseq(self, method: str) -> int | None:
        """The number of CSeq; None when it is not given."""
        value = self.values.get("cseq")
        if value is None:
            return None
        number, _, named = value.partition(" ")
        if _NUMBER.fullmatch(number) is None:
            raise MIError(400, "Bad CSeq number")
        if named.strip() != method:
            raise MIError(400, "CSeq method mismatch")
        return int(number)
