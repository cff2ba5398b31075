"""How a module answers the request of a run: with its transaction where there is one, and without where not.

It is what `send_reply` of module signaling does, for modules that build replies of their own.
Source: OpenSIPS manual, module signaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from .sip.message import Message
from .sip.replies import wanted_headers
from .sip.syntax import SipSyntaxError
from .transaction_service import transaction_service

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services
    from .sip_service import Replier


def answer(services: Services, run: Run, status: int, reason: str, headers: Sequence[str] = ()) -> bool:
    """Answer the request of `run`; False when there is none, or nobody that could.

    `headers` are texts of header fields, each with its line end; they come behind those that the script asked for
    (`append_to_reply`), in this reply alone.
    """
    request = run.message
    if not isinstance(request, Message) or request.method in (None, "ACK"):
        return False
    asked_for = request.reply_headers
    request.reply_headers = [*asked_for, *headers]
    try:
        return _send(services, run, request, status, reason)
    except SipSyntaxError:
        return False
    finally:
        request.reply_headers = asked_for


def _send(services: Services, run: Run, request: Message, status: int, reason: str) -> bool:
    tm, sl = transaction_service(services), cast("Replier | None", services.find("sl"))
    transaction = None if tm is None else tm.current(run)
    if tm is not None and transaction is None and sl is None:
        transaction = tm.create(run)
    if tm is not None and transaction is not None:
        return tm.reply(transaction, status, reason, headers=wanted_headers(request, status), body=request.reply_body)
    return sl is not None and sl.send_reply(request, status, reason)
