"""Module uac: what a proxy does in place of the caller: another From or To, the answer to a challenge, another CSeq.

What is changed on the way out is changed back in all replies.  The requests of the dialog are changed too, in both
directions, with what Record-Route keeps (`restore_mode` auto), or when the script asks for it (manual).

A challenge is answered with a higher CSeq, so all that follows in the dialog needs another one too.  Where there is a
dialog (module dialog) it sees to that, in both directions, for any request; without one Record-Route remembers it,
which is enough for the first INVITE and for a BYE.

Not here yet: `force_dialog`.

Source: OpenSIPS manual, module uac; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final

from ...dialog_service import DialogService, dialog_service
from ...errors import ConfigurationError
from ...exports import Module, parameter, script_function
from ...record_routing import RecordRouting, record_routing
from ...script.runtime import Run
from ...services import Services
from ...sip.branch import Branch
from ...sip.digest_response import Algorithm, Challenge, Credentials, strongest
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.parameters import Parameters
from ...sip.sequence_numbers import acknowledged_cseq, renumber, renumber_acknowledged, written_cseq
from ...sip.syntax import SipSyntaxError
from ...transaction_service import Happening, Moment, SipTransaction, TransactionService, transaction_service
from ...uac_credentials import credential_store
from .addresses import Swap, renamed

__all__ = ["Uac"]

log = logging.getLogger("miscript.uac")

ROUTES = "request failure branch"
CALLED_TWICE: Final = -10
REWRITTEN: Final = ("From", "To", "CSeq")
"""Header fields that replies get back as they came."""

CHALLENGES: Final = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
CSEQ_PARAMETER: Final = "aci"
"""Parameter of Record-Route that keeps by how much the CSeq of the first INVITE was raised."""

_RAISED = re.compile(rf";{CSEQ_PARAMETER}=([0-9]{{1,10}})(?:;|$)", re.IGNORECASE)
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]+")


class Uac(Module):
    """Another From or To, answers to challenges, another CSeq."""

    name = "uac"
    needs = ("tm",)

    restore_mode = parameter("auto", "What is changed back: auto (all), manual (replies), none.")
    restore_passwd = parameter("", "Password that seals what Record-Route keeps; in the clear without.")
    rr_from_store_param = parameter("vsf", "Parameter of Record-Route that keeps the From.")
    rr_to_store_param = parameter("vst", "Parameter of Record-Route that keeps the To.")
    force_dialog = parameter(0, "Dialogs; not available, must be 0.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._rr: RecordRouting | None = None
        self._tm: TransactionService | None = None
        self._dialogs: DialogService | None = None

    def init(self) -> None:
        if self.restore_mode not in ("auto", "manual", "none"):
            raise ConfigurationError(
                f"'restore_mode' is '{self.restore_mode}', expected auto, manual or none", parameter="restore_mode"
            )
        if self.force_dialog:
            raise ConfigurationError("force_dialog: not available, must be 0", parameter="force_dialog")
        for name in ("rr_from_store_param", "rr_to_store_param"):
            if not _PARAMETER.fullmatch(getattr(self, name)):
                raise ConfigurationError(f"{name} must be the name of a parameter", parameter=name)
        self._tm = transaction_service(self.services)
        if self._tm is None:
            raise ConfigurationError("tm is not loaded")
        self._tm.watch(Moment.FAILURE, self._failed)
        self._dialogs = dialog_service(self.services)
        self._rr = record_routing(self.services)
        if self._rr is not None:
            self._rr.on_route(self._routed)
        elif self.restore_mode != "none":
            raise ConfigurationError(f"restore_mode {self.restore_mode} needs module rr", parameter="restore_mode")
        self._watch_replies({"CSeq"} if self.restore_mode == "none" else set(REWRITTEN))

    # -- another From or To -----------------------------------------------------------------------------------------

    @script_function(routes=ROUTES)
    def uac_replace_from(self, run: Run, display: str | None, uri: str) -> int:
        """Give From another display name and URI.

        Without `display` the name stays, "" removes it; with "" the URI stays.  -10 when it was changed already.
        """
        return self._replace(run, "From", self.rr_from_store_param, display, uri)

    @script_function(routes=ROUTES)
    def uac_replace_to(self, run: Run, display: str | None, uri: str) -> int:
        """The same with To."""
        return self._replace(run, "To", self.rr_to_store_param, display, uri)

    def _replace(self, run: Run, name: str, store: str, display: str | None, uri: str) -> int:
        message = run.message
        field = message.field(name) if isinstance(message, Message) else None
        if not isinstance(message, Message) or field is None:
            return -1
        if message.written_value(field) != field.value:
            log.error("uac_replace_%s: %s has been changed already", name.lower(), name)
            return CALLED_TWICE
        try:
            new, old_uri = renamed(field.value, display, uri), NameAddr.parse(field.value).uri
            message.replace_hf(field, new)
        except SipSyntaxError as error:
            log.error("uac_replace_%s: %s", name.lower(), error)
            return -1
        if self._rr is not None and self.restore_mode != "none" and uri and uri != old_uri:
            self._rr.add_parameter(message, f";{store}={Swap(old_uri, uri).kept(self.restore_passwd)}")
        return 1

    @script_function(routes=ROUTES)
    def uac_restore_from(self, run: Run) -> int:
        """Change the From of a request in a dialog as that of the first one was; needs `loose_route()` before."""
        return self._restore(run, self.rr_from_store_param)

    @script_function(routes=ROUTES)
    def uac_restore_to(self, run: Run) -> int:
        """The same with To."""
        return self._restore(run, self.rr_to_store_param)

    def _restore(self, run: Run, store: str) -> int:
        parameters = None
        if self._rr is not None and self.restore_mode != "none":
            parameters = self._rr.own_route(run)
        return 1 if parameters is not None and self._swapped(run, parameters, store) else -1

    def _routed(self, run: Run, parameters: str) -> None:
        """A request of a dialog came by our Route."""
        self._raised_again(run, parameters)
        if self.restore_mode == "auto":
            for store in (self.rr_from_store_param, self.rr_to_store_param):
                self._swapped(run, parameters, store)

    def _swapped(self, run: Run, parameters: str, store: str) -> bool:
        """Change the field of a request that Record-Route speaks of; False when there is nothing to change."""
        message = run.message
        try:
            kept = Parameters.parse(parameters.lstrip(";")).get(store)
        except SipSyntaxError:
            return False
        if not kept or not isinstance(message, Message) or self._rr is None:
            return False
        swap = Swap.read(kept, self.restore_passwd)
        if swap is None:
            log.error("the parameter '%s' of a Route of ours cannot be read", store)
            return False
        downstream = self._rr.is_downstream(run)
        is_from = (store == self.rr_from_store_param) is downstream  # upstream, From and To have changed places
        field = message.field("From" if is_from else "To")
        try:
            if field is None:
                return False
            message.replace_hf(field, renamed(field.value, None, swap.after if downstream else swap.before))
        except SipSyntaxError as error:
            log.error("%s cannot be changed back: %s", "From" if is_from else "To", error)
            return False
        return True

    # -- replies ----------------------------------------------------------------------------------------------------

    def _watch_replies(self, names: set[str]) -> None:
        assert self._tm is not None, "init() sees to it"

        def sent(happening: Happening) -> None:
            """A branch goes out: note what is not as it came."""
            message = happening.message
            for name in names if message is not None else ():
                field = message.field(name) if message is not None else None
                if message is not None and field is not None and message.written_value(field) != field.value:
                    happening.transaction.data.setdefault("uac", set()).add(name)

        def answered(happening: Happening) -> None:
            changed = happening.transaction.data.get("uac")
            if happening.message is not None and changed:
                _put_back(happening.transaction.request, happening.message, changed)

        self._tm.watch(Moment.BRANCH, sent)
        self._tm.watch(Moment.REPLY_OUT, answered)

    # -- challenges ---------------------------------------------------------------------------------------------------

    def _failed(self, happening: Happening) -> None:
        """All branches failed: keep the reply for the failure route, and where it came from."""
        happening.transaction.data["uac reply"] = happening.message
        happening.transaction.data["uac asked"] = None if happening.branch is None else happening.branch.where

    @script_function(routes=ROUTES)
    def uac_auth(self, run: Run, algorithms: str | None = None) -> int:
        """Answer the 401 or 407 that a failure route is about: adds credentials to the request and raises its CSeq.

        The script then sends it again; it goes where it went, unless the script names another place.  `algorithms`
        with commas between limits what is answered to.  -1 when there is no challenge, no password for it, or when it
        is asked again after an answer.  Inside a dialog it needs module dialog, except for a BYE: the numbers of later
        requests follow.
        """
        message, transaction = run.message, self._transaction(run)
        reply = None if transaction is None else transaction.data.get("uac reply")
        if (
            transaction is None
            or not isinstance(message, Message)
            or not isinstance(reply, Message)
            or reply.status not in CHALLENGES
        ):
            log.error("uac_auth: there is no 401 or 407 to answer")
            return -1
        allowed = None
        if algorithms is not None:
            allowed = [a for word in algorithms.split(",") if (a := Algorithm.named(word)) is not None]
        asks_with, answers_with = CHALLENGES[reply.status]
        answered: set[str] = transaction.data.setdefault("uac realms", set())
        credentials = self._credentials(run, message, _challenges(reply, asks_with, allowed), answered)
        if credentials is None:
            return -1
        try:
            message.append_hf(f"{answers_with}: {credentials}")
        except SipSyntaxError as error:
            log.error("uac_auth: %s", error)
            return -1
        answered.add(credentials.realm)
        _back_to(transaction.data.get("uac asked"), message.branch)
        if not self._number_again(run, message):
            log.error("uac_auth: the CSeq cannot be raised")
            return -1
        return 1

    def _number_again(self, run: Run, message: Message) -> bool:
        """Give a request that is sent once more the next CSeq, and let what follows in its dialog know; False when it
        cannot be raised."""
        number = None if self._dialogs is None else self._dialogs.number_again(run)
        if number is not None:
            return renumber(message, number)
        if not _raise_cseq(message, 1):
            return False
        if self._dialogs is None or self._dialogs.current(run) is None:
            self._remember(message)
        return True

    def _remember(self, message: Message) -> None:
        """Let Record-Route tell later requests by how much the CSeq of this one was raised."""
        if _in_dialog(message):
            if message.method != "BYE":
                log.warning("uac_auth: without a dialog, later requests keep their numbers")
            return
        before, now = message.cseq, written_cseq(message)
        if self._rr is None or before is None or now is None:
            return
        if not self._rr.tells_direction:
            log.warning("uac_auth: with append_fromtag 0 and no dialog, later requests keep their numbers")
            return
        self._rr.put_parameter(message, CSEQ_PARAMETER, str(now - before[0]))

    def _raised_again(self, run: Run, parameters: str) -> None:
        """Raise the number of a request as that of the first one was, when it goes the same way."""
        message = run.message
        found = _RAISED.search(f";{parameters}")
        if found is None or self._rr is None or not isinstance(message, Message) or not self._rr.is_downstream(run):
            return
        amount = int(found[1])
        if not _raise_cseq(message, amount):
            log.error("a Route of ours raises the CSeq by %d, which cannot be", amount)
            return
        if message.method == "PRACK" and (asked := acknowledged_cseq(message)) is not None:
            renumber_acknowledged(message, asked + amount)

    def _credentials(
        self, run: Run, message: Message, challenges: list[Challenge], answered: set[str]
    ) -> Credentials | None:
        """The answer to the strongest challenge that we have a password for; each realm gets one answer."""
        store = credential_store(self.services)
        known = {
            challenge.realm: found
            for challenge in challenges
            if store is not None and (found := store.credentials_for(run, challenge.realm)) is not None
        }
        challenge = strongest(c for c in challenges if c.realm in known)
        if challenge is None or challenge.realm in answered:
            log.error("uac_auth: %s", "no password for a realm that asks" if challenge is None else "asked again")
            return None
        user, password = known[challenge.realm]
        return challenge.answered(
            user, password, message.method or "", message.uri or "", cnonce=secrets.token_hex(8), body=message.body
        )

    def _transaction(self, run: Run) -> SipTransaction | None:
        return None if self._tm is None else self._tm.current(run)

    @script_function(routes=ROUTES)
    def uac_inc_cseq(self, run: Run, cseq: int) -> int:
        """Raise the CSeq of the request by a number; -1 without a transaction."""
        message = run.message
        if not isinstance(message, Message) or self._transaction(run) is None:
            log.error("uac_inc_cseq: there is no transaction")
            return -1
        return 1 if _raise_cseq(message, cseq) else -1


def _back_to(asked: Branch | None, where: Branch) -> None:
    """Send to the same place again, when the failure route did not choose another."""
    if asked is not None and where.destination is None and where.path is None and where.uri == asked.uri:
        where.destination, where.path = asked.destination, asked.path


def _challenges(reply: Message, header: str, allowed: list[Algorithm] | None) -> list[Challenge]:
    """The challenges of a reply that can be read and answered."""
    found = []
    for value in reply.headers(header):
        try:
            challenge = Challenge.parse(value)
        except SipSyntaxError as error:
            log.info("a challenge cannot be read: %s", error)
            continue
        if challenge.can_be_answered and (allowed is None or challenge.algorithm in allowed):
            found.append(challenge)
    return found


def _raise_cseq(message: Message, amount: int) -> bool:
    """Give a request a higher CSeq; False when it has none, or it would be no CSeq any more."""
    number = written_cseq(message)
    return number is not None and renumber(message, number + amount)


def _in_dialog(message: Message) -> bool:
    try:
        to = message.to
    except SipSyntaxError:
        return False
    return to is not None and bool(to.tag)


def _put_back(request: Message, reply: Message, names: set[str]) -> None:
    """Give a reply the header fields as they came in the request; To keeps the tag of the reply."""
    for name in names:
        field, came = reply.field(name), request.header(name)
        if field is None or came is None:
            continue
        if name == "To":
            came = _with_tag(came, field.value)
        try:
            reply.replace_hf(field, came)
        except SipSyntaxError as error:
            log.error("%s of a reply cannot be changed back: %s", name, error)


def _with_tag(came: str, answered: str) -> str:
    """To as it came, with the tag that the reply gave it."""
    try:
        tag = NameAddr.parse(answered).tag
        return came if tag is None or NameAddr.parse(came).tag else f"{came};tag={tag}"
    except SipSyntaxError:
        return came
