"""Sequence numbers: an end must get higher and higher ones, also where more was sent to it than the other end knows of.

That happens when requests of ours come in between (pings, BYEs), and when a request is sent once more with changes: a
challenge is answered in place of the caller (`uac_auth()`), or a script raises the number (`uac_inc_cseq()`).  Whoever
does so only writes another CSeq; here it is seen when the request goes out, and all that follows is changed alike:
later requests to that end, the ACK of an INVITE, the RAck of a PRACK.  Replies get back the number that their request
came with.

Source: RFC 3261 sections 12.2.1.1, 13.2.2.4 and 22.2; RFC 3262 section 7.2.
"""

from __future__ import annotations

from ...sip.dialogs import MAX_LEGS, Leg
from ...sip.message import Message
from ...sip.sequence_numbers import acknowledged_cseq, renumber, renumber_acknowledged, written_cseq
from ...transaction_service import Happening
from .calls import Calls
from .here import NAME, Here


class Numbers:
    """Keeps the numbers of all dialogs in order."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def request(self, message: Message, here: Here) -> None:
        """A request of a dialog came: it is passed on with a number that fits."""
        receiver = here.receiver
        if message.cseq is None or message.method is None or receiver is None:
            return
        here.number = message.cseq[0]
        sent = receiver.passed_on(here.number, message.method)
        here.sent = [sent]
        if sent != here.number:
            renumber(message, sent)
        asked = acknowledged_cseq(message) if message.method == "PRACK" and receiver.shifts else None
        if asked is not None and asked in receiver.shifts:
            renumber_acknowledged(message, receiver.invite_sent_as(asked))

    def again(self, message: Message, here: Here) -> int | None:
        """The next number for a request that is sent once more; None where the dialog has no say in it."""
        receiver = here.receiver
        if here.begins or not here.sent or receiver is None or message.method is None:
            return None
        number = receiver.next_cseq()
        self._sent(here, receiver, number, message.method)
        return number

    def branch(self, happening: Happening) -> None:
        """A branch goes out, perhaps with a number that somebody has raised."""
        here: Here | None = happening.transaction.data.get(NAME)
        message = happening.message
        if here is None or not here.sent or message is None or message.method is None:
            return
        number = written_cseq(message)
        if number is None or number == here.sent[-1]:
            return
        receiver = None if here.begins else here.receiver
        if receiver is None:
            _note(here, number)  # which end it comes to is not known before there are replies
        else:
            self._sent(here, receiver, number, message.method)

    def answered(self, here: Here, callee: Leg, reply: Message) -> None:
        """An end has answered the request that made the dialog: from now on it goes by the number it has seen."""
        if here.sent and reply.cseq is not None:
            seen = reply.cseq[0]
            callee.sent_as(here.number, seen if seen in here.sent else here.sent[-1], "INVITE")

    def back(self, request: Message, reply: Message) -> None:
        """A reply goes to who sent the request, with the number that it came with."""
        if request.cseq is not None and reply.cseq not in (None, request.cseq):
            renumber(reply, request.cseq[0])

    def _sent(self, here: Here, receiver: Leg, number: int, method: str) -> None:
        receiver.sent_as(here.number, number, method)
        _note(here, number)
        self.calls.changed(here.dialog)


def _note(here: Here, number: int) -> None:
    if len(here.sent) >= MAX_LEGS:
        del here.sent[0]
    here.sent.append(number)
