"""MI commands of `tm`.

Source: OpenSIPS manual, module tm, "Exported MI Functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ...errors import MIError
from ...exports import mi_command
from ...sip.headers import header_key, scan_headers
from ...sip.message import Message
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

_TRANS_ID: Final = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")
_VARIABLE_ID: Final = re.compile(r"([0-9a-f]{1,8})\.([0-9a-f]{1,8})")
"""Both forms of the id of a transaction: hash and number, and what `$T_id` tells."""
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
    )
    async def mi_uac_dlg(
        self,
        method: str,
        ruri: str,
        headers: str,
        next_hop: str | None = None,
        socket: str | None = None,
        body: str | None = None,
    ) -> object:
        """sends a request with these header fields (From and To at least) and waits for its final reply"""
        if _METHOD.fullmatch(method) is None:
            raise MIError(400, "Invalid method")
        _uri(ruri, "Invalid ruri")
        hop = None if next_hop is None else _uri(next_hop, "Invalid next_hop")
        sender = None if socket is None else self.engine.sip.socket_named(socket)
        if socket is not None and sender is None:
            raise MIError(404, "Local socket not found")
        given = _Headers(headers)
        if body is not None and "content-type" not in given.values:
            raise MIError(400, "Content-Type missing")
        try:
            outcome = await self.requests.start(
                method,
                ruri,
                from_=given.required("from", "From missing"),
                to=given.required("to", "To missing"),
                call_id=given.values.get("call-id"),
                cseq=given.cseq(method),
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
        code: int,
        reason: str,
        trans_id: str,
        to_tag: str,
        new_headers: str | None = None,
        body: str | None = None,
    ) -> object:
        """answers a request that waits for it; trans_id is its hash and number with a colon between them, or `$T_id`"""
        transaction = self.engine.find_number(*_numbers(trans_id))
        if transaction is None:
            raise MIError(404, "Transaction not found")
        if not 100 <= code < 700 or "\r" in reason or "\n" in reason:
            raise MIError(400, "Invalid code or reason")
        headers = [] if not new_headers else [_Headers(new_headers).all]
        if not self.engine.reply(
            transaction, code, reason, headers=headers, body=encode(body or ""), to_tag=to_tag or None
        ):
            raise MIError(500, "Failed to send reply")
        if code >= 200:
            self.relaying.cancel(transaction.pending)  # whoever still rings
        return OK


def _numbers(trans_id: str) -> tuple[int, int]:
    """Number and hash of a transaction."""
    if (found := _TRANS_ID.fullmatch(trans_id)) is not None:
        return int(found[2]), int(found[1])
    if (found := _VARIABLE_ID.fullmatch(trans_id)) is not None:
        return int(found[1], 16), int(found[2], 16)
    raise MIError(400, "Invalid trans_id")


def _uri(text: str, complaint: str) -> SipUri:
    try:
        return SipUri.parse(text)
    except SipSyntaxError as error:
        raise MIError(400, complaint) from error


def _behind_first_line(message: Message) -> str:
    return decode(message.data.split(b"\n", 1)[1])


class _Headers:
    """Header fields as an MI client gives them.  Raises MIError (400) when they are none."""

    def __init__(self, text: str) -> None:
        data = encode(text.replace("\r\n", "\n").strip("\n").replace("\n", "\r\n") + "\r\n")
        fields = list(scan_headers(data, 0, len(data)))
        if not fields or b"\r\n\r\n" in data or sum(field.end - field.start for field in fields) != len(data):
            raise MIError(400, "Bad headers")
        self.values = {field.key: field.value for field in fields}
        self.all = "".join(f"{field.name}: {field.value}\r\n" for field in fields)
        taken = _OURS | {"from", "to", "call-id", "cseq"}
        self.others = "".join(f"{field.name}: {field.value}\r\n" for field in fields if field.key not in taken)

    def required(self, name: str, complaint: str) -> str:
        """The value of a field that must be there."""
        value = self.values.get(header_key(name))
        if value is None:
            raise MIError(400, complaint)
        return value

    def cseq(self, method: str) -> int | None:
        """The number of CSeq; None when it is not given."""
        value = self.values.get("cseq")
        if value is None:
            return None
        number, _, named = value.partition(" ")
        if not number.isdecimal() or len(number) > 10 or named.strip() != method:
            raise MIError(400, "Bad headers")
        return int(number)
