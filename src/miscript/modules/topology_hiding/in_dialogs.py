"""Hiding with the help of dialogs: they know both ends, and their id in a Contact of ours finds them again.

Source: OpenSIPS manual, module topology_hiding; observed Contacts of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from ...dialog_service import DialogService
from ...script.runtime import Run
from ...services import Services
from ...sip.dialogs import Dialog, Direction, Leg, MatchMode
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...transaction_service import Happening
from .call_ids import CallIds
from .hidden_calls import HiddenCall, HiddenCalls
from .messages import (
    Hidden,
    Passed,
    Telling,
    first_contact,
    follow,
    hide,
    own_uri,
    routes_to_answerer,
    user_of,
)

log = logging.getLogger("miscript.topology_hiding")

NAME: Final = "topology_hiding"
"""Where dialogs keep their `HiddenCall`."""

NO_USER: Final = "X"
"""Stands in front of the id of a dialog in the user of a Contact, where nobody's name does."""


@dataclass(frozen=True, slots=True)
class Names:
    """The users to be told to caller and callee, None for that of the Contact that is hidden."""

    to_caller: str | None = None
    to_callee: str | None = None

    @classmethod
    def of(cls, text: str) -> Names:
        """Read `name` or `/to_caller[/to_callee]`.  Raises `SipSyntaxError` for what cannot be a user."""
        if text.startswith("/"):
            first, _, second = text[1:].partition("/")
        else:
            first = second = text
        for name in (first, second):
            if name and SipUri.parse(f"sip:{name}@host").user != name:
                raise SipSyntaxError(f"'{name}' is no user of a URI", 0)
        return cls(first or None, second or None)


class DialogHiding:
    """Hides the ends of dialogs.  `names_in` are the values of a dialog that keep names: to the caller, the callee."""

    def __init__(self, services: Services, dialogs: DialogService, call_ids: CallIds) -> None:
        self.services = services
        self.dialogs = dialogs
        self.call_ids = call_ids
        self.calls = HiddenCalls()
        self.passed = Passed()
        self.names_in = ("", "")
        self._sip = sip_service(services)

    # -- requests -------------------------------------------------------------------------------------------------

    def begin(self, run: Run, dialog: Dialog, flags: frozenset[str], names: Names) -> None:
        """Hide the ends of a call that begins with the request of `run`."""
        message: Message = run.message
        call = HiddenCall(dialog, flags)
        if "C" in flags and message.call_id:
            call.coded = self.call_ids.hidden(message.call_id, dialog.caller.tag)
        for variable, name in zip(self.names_in, (names.to_caller, names.to_callee), strict=True):
            if name is not None:
                dialog.values[variable] = name
        dialog.data[NAME] = call
        self.calls.add(call, self.services.clock.time())
        contact = first_contact(message)

        def answer(reply: Message, socket: ListeningSocket) -> str:
            self._learn(dialog, reply)
            return self._contact(call, True, first_contact(reply), socket)

        hide(message, Hidden(self._telling(call, False, contact), answer))

    def match(self, run: Run, mode: MatchMode) -> bool:
        """Find the dialog of a request that came to a Contact of ours, and send it on to the other end."""
        message: Message = run.message
        did = self._did(message)
        if not self.dialogs.match(run, mode, did):
            return False
        dialog, direction = self.dialogs.current(run), self.dialogs.direction(run)
        if dialog is None or direction is None:
            return False
        call = dialog.data.get(NAME)
        if not isinstance(call, HiddenCall):
            if did is None:
                return False
            call = dialog.data[NAME] = HiddenCall(dialog)  # it comes from a database; its id was in our Contact
        receiver = _receiver(dialog, message, direction)
        if receiver is None or not receiver.contact:
            log.error("the other end of dialog %s has told no Contact", dialog.did)
            return False
        try:
            follow(message, receiver.contact, receiver.routes)
        except SipSyntaxError as error:
            log.error("the way to the other end of dialog %s cannot be read: %s", dialog.did, error)
            return False
        if receiver.socket is not None:
            message.branch.socket = receiver.socket
        to_caller = direction is Direction.UPSTREAM
        hide(
            message,
            Hidden(
                self._telling(call, to_caller, first_contact(message)),
                lambda reply, socket: self._contact(call, not to_caller, first_contact(reply), socket),
            ),
        )
        return True

    def _did(self, message: Message) -> str | None:
        """The id of a dialog in the Request-URI of a request that came to us."""
        try:
            uri = SipUri.parse(message.uri or "")
            if not self._sip.is_myself(uri.host, uri.port):
                return None
            did = uri.parameters.get(self.dialogs.parameter)
        except SipSyntaxError:
            return None
        if did:
            return did
        _, mark, did = (uri.user or "").rpartition(f".{self.dialogs.parameter}.")
        return did if mark else None

    def _learn(self, dialog: Dialog, reply: Message) -> None:
        """Note the way to an end that rings or has answered: what it recorded has nothing of the caller's side."""
        try:
            to = reply.to
            leg = dialog.leg_of(to.tag or "") if to is not None else None
            contact = first_contact(reply)
            if leg is not None and contact is not None:
                leg.routes = routes_to_answerer(reply, self._is_own)
                leg.contact = contact.uri
        except SipSyntaxError as error:
            log.error("the way to the callee of dialog %s cannot be read: %s", dialog.did, error)

    def _is_own(self, uri: SipUri) -> bool:
        return self._sip.is_myself(uri.host, uri.port)

    # -- Contacts of ours -------------------------------------------------------------------------------------------

    def _telling(self, call: HiddenCall, to_caller: bool, contact: NameAddr | None) -> Telling:
        if contact is None:
            return lambda socket: ""
        return lambda socket: self._contact(call, to_caller, contact, socket)

    def _contact(self, call: HiddenCall, to_caller: bool, contact: NameAddr | None, socket: ListeningSocket) -> str:
        """The field that tells one end where the other can be reached: with us."""
        if (kept := call.advertised.get(to_caller)) is not None:
            return kept
        user = self._user(call, to_caller, contact)
        parameter, did = self.dialogs.parameter, call.dialog.did
        mark = f";{parameter}={did}"
        if "D" in call.flags:
            user, mark = f"{user or NO_USER}.{parameter}.{did}", ""
        uri = own_uri(socket, user, mark + self.passed.uri_part(contact))
        text = f"Contact: <{uri}>{self.passed.field_part(contact)}"
        if ("a" if to_caller else "A") in call.flags:
            call.advertised[to_caller] = text
        return text

    def _user(self, call: HiddenCall, to_caller: bool, contact: NameAddr | None) -> str:
        if "U" not in call.flags:
            return ""
        name = call.dialog.values.get(self.names_in[0 if to_caller else 1])
        return name if isinstance(name, str) else user_of(contact)

    # -- requests of our own, and the Call-ID of the callee ---------------------------------------------------------

    def created_here(self, happening: Happening) -> None:
        """The dialog module sends a request: who gets it sees our Contact, as in all others."""
        message = happening.message
        call, to_caller = (None, False) if message is None else self._call_of(message)
        if call is None or message is None or message.field("Contact") is None:
            return
        via = message.first_via
        socket = via and self._sip.socket_named(f"{via.transport.lower()}:{via.host}:{via.port or 5060}")
        receiver = call.dialog.caller if to_caller else call.dialog.callee
        socket = socket or (None if receiver is None else receiver.socket)
        if socket is not None:
            text = self._contact(call, to_caller, first_contact(message), socket)
            message.remove_hf("Contact")
            message.append_hf(text)

    def _call_of(self, message: Message) -> tuple[HiddenCall | None, bool]:
        """The hidden call of a message, and whether its request goes to the caller."""
        try:
            from_, to = message.from_, message.to
        except SipSyntaxError:
            return None, False
        if from_ is None or to is None or not len(self.calls):
            return None, False
        call = self.calls.find(message.call_id or "", from_.tag or "", to.tag or "")
        return call, call is not None and to.tag == call.dialog.caller.tag

    def incoming(self, data: bytes) -> bytes:
        """A message as it came: from here on it has the Call-ID of the caller."""
        if self.call_ids.prefix.encode() not in data:
            return data
        message = _read(data)
        found = None if message is None else self.call_ids.shown(message.call_id or "")
        if message is None or found is None or self._is_looped(message, found[1]):
            return data
        return _with_call_id(message, found[0])

    def _is_looped(self, message: Message, tag: str | None) -> bool:
        """Whether a message comes as it went to the callee: he sends requests to the caller, replies for him."""
        try:
            from_ = message.from_
        except SipSyntaxError:
            return False
        own = from_ is not None and from_.tag == tag
        return tag is not None and own is message.is_request

    def outgoing(self, data: bytes) -> bytes:
        """A message as it will go: the callee gets his own Call-ID."""
        message = _read(data) if len(self.calls) else None
        call, to_caller = (None, False) if message is None else self._call_of(message)
        if message is None or call is None or call.coded is None or to_caller is message.is_request:
            return data
        return _with_call_id(message, call.coded)


def _receiver(dialog: Dialog, message: Message, direction: Direction) -> Leg | None:
    if direction is Direction.UPSTREAM:
        return dialog.caller
    to = message.to
    return dialog.leg_of((to.tag if to is not None else None) or "") or dialog.callee


def _read(data: bytes) -> Message | None:
    try:
        return Message.parse(data)
    except SipSyntaxError:
        return None


def _with_call_id(message: Message, call_id: str) -> bytes:
    field = message.field("Call-ID")
    if field is not None:
        message.replace_hf(field, call_id)
    return message.to_bytes()
