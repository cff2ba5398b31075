"""A trace destination that sends HEP packets to one collector."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ...hep.errors import HepError
from ...hep.mi_frame import MiFrames
from ...trace import Address, Fields, TraceEvent, Whole
from .backlog import Drop
from .senders import Sender

log = logging.getLogger("miscript.proto_hep")

Dropped = Callable[[Drop, int], None]


class HepDestination:
    """Turns traced halves of MI exchanges into frames and sends them."""

    def __init__(self, frames: MiFrames, sender: Sender, dropped: Dropped) -> None:
        self.sender: Final = sender
        self._frame = frames.frame
        self._pairs = frames.pairs
        self._send = sender.send
        self._dropped = dropped

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
    """A destination that is known, but gets no MI packet: they are counted for `reason`."""

    def __init__(self, reason: Drop, dropped: Dropped) -> None:
        self._reason = reason
        self._dropped = dropped

    def send(self, event: TraceEvent) -> None:
        self._dropped(self._reason, 1)
