"""Trace destinations that send HEP packets to one collector."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ...hep.codec import encode
from ...hep.errors import HepError
from ...hep.message_packet import MessageForm, message_packet
from ...hep.mi_frame import MiFrames
from ...trace import Address, Fields, MessageEvent, TraceEvent, Whole
from .backlog import Drop
from .senders import Sender

log = logging.getLogger("miscript.proto_hep")

Dropped = Callable[[Drop, int], None]


class SipDestination:
    """Turns traced SIP messages into packets of versions 1 and 2, which have room for nothing else.

    `address` is for people; `largest` is the size of the largest frame that the transport takes.
    """

    def __init__(self, address: str, form: MessageForm, sender: Sender, dropped: Dropped, largest: int) -> None:
        self.address: Final = address
        self.sender: Final = sender
        self._form = form
        self._largest = largest
        self._send = sender.send
        self._dropped = dropped

    def send(self, event: TraceEvent) -> None:
        self._dropped(Drop.OLD_VERSION, 1)

    def send_message(self, event: MessageEvent) -> None:
        if self._form.version < 3 and event.kind != "sip":
            self._dropped(Drop.OLD_VERSION, 1)
            return
        try:
            frame = encode(message_packet(event, self._form))
            if len(frame) > self._largest:
                raise HepError(f"a packet of {len(frame)} bytes, expected at most {self._largest}")
            self._send(frame)
        except HepError as error:
            self._dropped(Drop.TOO_LARGE, 1)
            log.debug("a packet that no frame can hold: %s", error)
        except Exception:  # tracing must not break what is traced
            self._dropped(Drop.UNREACHABLE, 1)
            log.exception("a packet could not be sent")


class HepDestination(SipDestination):
    """Turns halves of MI exchanges too into packets, of version 3."""

    def __init__(
        self, address: str, frames: MiFrames, form: MessageForm, sender: Sender, dropped: Dropped, largest: int
    ) -> None:
        super().__init__(address, form, sender, dropped, largest)
        self._frame = frames.frame
        self._pairs = frames.pairs

    def send(self, event: TraceEvent) -> None:
        try:
            self._send(self._frame(event))
        except HepError as error:
            self._dropped(Drop.TOO_LARGE, 1)
            log.debug("a packet that no frame can hold: %s", error)
        except Exception:  # tracing must not break what is traced
            self._dropped(Drop.UNREACHABLE, 1)
            log.exception("a packet could not be sent")

    def rehearse(self, fields: Fields, source: Address, destination: Address) -> Whole:
        pair, send = self._pairs(fields, source, destination), self._send

        def send_both(correlation: str, began: float, reply: str, ended: float) -> None:
            try:
                request, answer = pair(correlation, began, reply, ended)
                send(request)
                send(answer)
            except HepError as error:
                self._dropped(Drop.TOO_LARGE, 2)
                log.debug("packets that no frame can hold: %s", error)
            except Exception:  # tracing must not break what is traced
                self._dropped(Drop.UNREACHABLE, 2)
                log.exception("packets could not be sent")

        return send_both


class Unsendable:
    """A destination that is known, but gets nothing: packets are counted for `reason`."""

    def __init__(self, address: str, reason: Drop, dropped: Dropped) -> None:
        self.address: Final = address
        self._reason = reason
        self._dropped = dropped

    def send(self, event: TraceEvent) -> None:
        self._dropped(self._reason, 1)

    def send_message(self, event: MessageEvent) -> None:
        self._dropped(self._reason, 1)
