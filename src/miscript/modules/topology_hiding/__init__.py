"""Module topology_hiding: the two ends of a call do not see each other's addresses, nor the routers in between.

With a dialog (`create_dialog()`, or `force_dialog`) what is hidden is kept there (`in_dialogs`); without one it stands,
encrypted, in the Contact that the other end gets (`in_contacts`).  Requests inside are recognised by that Contact with
`topology_hiding_match()`, which is to be asked before `loose_route()` where trusted sockets are used.

Source: OpenSIPS manual, module topology_hiding; observed messages of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from typing import Final

from ...dialog_service import dialog_service
from ...errors import ConfigurationError
from ...exports import Module, parameter, script_function, variable
from ...script.runtime import Run
from ...services import Services
from ...sip.dialogs import MatchMode
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...transaction_service import Happening, Moment, transaction_service
from ...values import Value
from .call_ids import CallIds
from .contact_info import Way, hiding_parameters
from .hidden_calls import HiddenCall, HiddenPart
from .in_contacts import DECODED, ContactHiding, Trust
from .in_dialogs import NAME, DialogHiding, Names
from .messages import Passed, give_back, hidden_in

__all__ = ["TopologyHiding"]

log = logging.getLogger("miscript.topology_hiding")

FLAGS: Final = frozenset("UDaAC")


class TopologyHiding(Module):
    """Ends of calls that do not see each other."""

    name = "topology_hiding"
    needs = ("tm",)

    force_dialog = parameter(0, "1: topology_hiding() makes the dialog of an INVITE that has none.")
    th_passed_contact_uri_params = parameter("", "URI parameters of Contact that the other end gets, `;` between.")
    th_passed_contact_params = parameter("", "Parameters of Contact that the other end gets, `;` between.")
    th_callid_passwd = parameter("OpenSIPS", "What makes Call-IDs unreadable for the callee (flag C).")
    th_callid_prefix = parameter("DLGCH_", "What such Call-IDs begin with; each node in a row needs its own.")
    th_callid_loop_protection = parameter(
        0, "1: such a Call-ID holds the From tag too, so that a call may pass this node twice."
    )
    th_contact_encode_param_password = parameter(
        (),
        "Parameter of Contact that holds what is hidden without a dialog: NAME[:PASSWORD[:LAYOUT]], LAYOUT C (made "
        "smaller) or L.  Twice for two of them, `thinfo` without any.",
        kinds="string",
        repeatable=True,
    )
    th_use_param = parameter("", "The one of these that is written; all of them are read.  The first without a name.")
    th_contact_encode_scheme = parameter("base64", "How what is hidden becomes text: base64 or base32.")
    th_contact_caller_username_var = parameter(
        "_th_contact_caller_username_var_", "Value of the dialog that keeps the user told to the caller."
    )
    th_contact_callee_username_var = parameter(
        "_th_contact_callee_username_var_", "Value of the dialog that keeps the user told to the callee."
    )
    th_internal_trusted_tag = parameter("", "Tag of sockets behind which nothing is hidden, without dialogs.")
    th_external_socket_tag = parameter("", "Tag of the socket to leave by when the right one is none of ours.")
    th_auto_route_on_trusted_socket = parameter(
        1, "Whether requests that leave by a trusted socket get a Record-Route that leads back."
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._sip = sip_service(services)
        self._in_contacts = ContactHiding(services)
        self._in_dialogs: DialogHiding | None = None

    def init(self) -> None:
        passed = Passed.of(self.th_passed_contact_uri_params, self.th_passed_contact_params)
        written, known = hiding_parameters(
            self.th_contact_encode_param_password, self.th_use_param, self.th_contact_encode_scheme
        )
        self._in_contacts.parameter, self._in_contacts.known = written, known
        self._in_contacts.passed = passed
        self._in_contacts.trust = Trust(
            self.th_internal_trusted_tag, self.th_external_socket_tag, bool(self.th_auto_route_on_trusted_socket)
        )
        dialogs = dialog_service(self.services)
        if dialogs is None:
            if self.force_dialog:
                raise ConfigurationError("force_dialog needs module dialog", parameter="force_dialog")
            return
        for name in ("th_callid_prefix", "th_callid_passwd"):
            if not getattr(self, name):
                raise ConfigurationError(f"{name} is empty, expected a text", parameter=name)
        call_ids = CallIds(self.th_callid_prefix, self.th_callid_passwd, bool(self.th_callid_loop_protection))
        hiding = self._in_dialogs = DialogHiding(self.services, dialogs, call_ids)
        hiding.passed = passed
        hiding.names_in = (self.th_contact_caller_username_var, self.th_contact_callee_username_var)
        dialogs.keep_with(self.name, HiddenPart(NAME, hiding.calls, self.services.clock.time))
        self._sip.hooks.incoming.append(hiding.incoming)
        self._sip.hooks.outgoing.append(hiding.outgoing)

    async def start(self) -> None:
        tm = transaction_service(self.services)
        assert tm is not None, "the module needs tm"
        tm.watch(Moment.REPLY_OUT, self._replied)  # behind the dialog module, which watches since its init()
        if self._in_dialogs is not None:
            tm.watch(Moment.CREATED_HERE, self._in_dialogs.created_here)

    def _replied(self, happening: Happening) -> None:
        """A reply goes to who sent a request."""
        request, reply = happening.transaction.request, happening.message
        hidden = hidden_in(request)
        if hidden is None or reply is None:
            return
        try:
            give_back(reply, request, hidden, request.received.socket)
        except SipSyntaxError as error:
            log.error("a reply cannot be given what was hidden: %s", error)

    # -- script functions -----------------------------------------------------------------------------------------

    @script_function(routes="request")
    def topology_hiding(self, run: Run, flags: str | None = None, names: str | None = None) -> int:
        """Hide the ends of the dialog that a request begins from each other.

        `flags`: `U` (the user of Contact is passed on), `D` (the dialog's id stands in the user of Contact), `a`, `A`
        (caller, callee see one Contact all the time), `C` (the callee gets another Call-ID).  All but `U` need a
        dialog.  With `U`, `names` is the user that both ends see, or `/for_the_caller[/for_the_callee]`.
        """
        message = run.message
        if not isinstance(message, Message) or not message.is_request:
            return -1
        if hidden_in(message) is not None:
            log.warning("topology_hiding: the request has its sender hidden already")
            return -1
        chosen = frozenset(flags or "") & FLAGS
        if unknown := "".join(sorted(frozenset(flags or "") - FLAGS - frozenset(" ,"))):
            log.warning("topology_hiding: unknown flags '%s'", unknown)
        try:
            to, told = message.to, Names.of(names or "")
        except SipSyntaxError as error:
            log.error("topology_hiding: %s", error)
            return -1
        if to is not None and to.tag:
            log.error("topology_hiding: the request is in a dialog; topology_hiding_match() is for those")
            return -1
        return self._begin(run, chosen, told)

    def _begin(self, run: Run, flags: frozenset[str], names: Names) -> int:
        dialogs = dialog_service(self.services)
        if dialogs is not None and self._in_dialogs is not None:
            dialog = dialogs.current(run)
            if dialog is None and self.force_dialog and run.message.method == "INVITE":
                dialog = dialogs.create(run)
                if dialog is None:
                    log.error("topology_hiding: no dialog can be made")
                    return -1
            if dialog is not None:
                self._in_dialogs.begin(run, dialog, flags, names)
                return 1
        if "C" in flags:
            log.warning("topology_hiding: flag C needs a dialog, the Call-ID stays as it is")
        return 1 if self._in_contacts.begin(run, flags, names) else -1

    @script_function(routes="request")
    def topology_hiding_match(self, run: Run, mode: str | None = None) -> int:
        """Send a request in a hidden dialog on to the other end; -1 when it is in none.

        `mode` is DID_ONLY, DID_FALLBACK or DID_NONE, as for match_dialog().
        """
        message = run.message
        if not isinstance(message, Message) or not message.is_request:
            return -1
        if mode is not None and mode not in MatchMode.__members__:
            log.error("topology_hiding_match: '%s' is no mode", mode)
            return -1
        try:
            to = message.to
        except SipSyntaxError:
            return -1
        if to is None or not to.tag:
            return -1
        if hidden_in(message) is not None:
            return 1
        if self._in_contacts.match(run):
            return 1
        chosen = MatchMode.DID_FALLBACK if mode is None else MatchMode[mode]
        return 1 if self._in_dialogs is not None and self._in_dialogs.match(run, chosen) else -1

    # -- variables ------------------------------------------------------------------------------------------------

    @variable("TH_callee_callid")
    def callee_call_id(self, run: Run) -> Value:
        """The Call-ID that the callee has; NULL when it is the caller's, or without a hidden dialog."""
        dialogs = dialog_service(self.services)
        dialog = None if dialogs is None else dialogs.current(run)
        call = None if dialog is None else dialog.data.get(NAME)
        return call.coded if isinstance(call, HiddenCall) else None

    @variable("TH_decoded_contact", inner="optional")
    def decoded_contact(self, run: Run, part: str | None) -> Value:
        """What the Contact of ours stood for that a request came to, or its `user`, `host`, `port` or `params`.

        NULL before topology_hiding_match(), and with a dialog.
        """
        way: Way | None = run.data.get(DECODED)
        return None if way is None or not way.contact else _part(f"<{way.contact}>", part)

    @variable("TH_decoded_routes", inner="optional", index=True)
    def decoded_routes(self, run: Run, part: str | None, index: Value) -> Value:
        """The same of the routers in front, the nearest one without an index."""
        way: Way | None = run.data.get(DECODED)
        routes = () if way is None else way.routes
        place = index if isinstance(index, int) else 0
        return _part(routes[place], part) if -len(routes) <= place < len(routes) else None

    @variable("TH_decoded_routes_count")
    def decoded_routes_count(self, run: Run) -> Value:
        """How many routers there were in front."""
        way: Way | None = run.data.get(DECODED)
        return 0 if way is None else len(way.routes)


def _part(text: str, part: str | None) -> Value:
    """A name-addr or a part of its URI; NULL for one that is not there."""
    if part is None:
        return text
    try:
        uri: SipUri = NameAddr.parse(text).sip_uri()
    except SipSyntaxError:
        return None
    match part:
        case "user":
            return uri.user
        case "host":
            return uri.host
        case "port":
            return uri.port
        case "params":
            return uri.params
    log.error("'%s' is no part of a URI; there are user, host, port, params", part)
    return None
