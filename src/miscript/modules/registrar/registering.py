"""`save()`: a REGISTER from its headers to its reply.

Source: RFC 3261 section 10.3; RFC 3327 section 5.3; OpenSIPS manual, module registrar.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...answering import answer
from ...location_service import LocationService
from ...script.runtime import Run
from ...services import Counter, Services
from ...sip.branch import NO_Q
from ...sip.location import Contact, LocationTable
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.registration import (
    AorRules,
    Lifetimes,
    Registration,
    RegistrationRefused,
    bad_request,
    contact_value,
    path_value,
    read_registration,
    received_of_path,
    supports,
)
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...transaction_service import transaction_service
from ...values import Value, plain_text
from ...variable_spec import VariableSpec
from .flags import PathMode, SaveOptions
from .gruu import Gruus
from .saving import Policy, carry_out, plan

log = logging.getLogger("miscript.registrar")

SAVED, REFUSED, FAILED = 1, -2, -1
MEMORY_ONLY = 1
"""The flag of contacts that are kept in memory alone."""


@dataclass(frozen=True, slots=True)
class SaveSettings:
    """What the module's parameters say about registrations."""

    lifetimes: Lifetimes
    default_q: int = NO_Q
    max_contacts: int = 0
    max_contact_length: int = 255
    duplicate_cseq: bool = True
    deviation: int = 0
    retry_after: int = 0
    received_parameter: str = "received"
    socket_header: str = ""
    received: VariableSpec | None = None
    attributes: VariableSpec | None = None
    forwarded_contact: VariableSpec | None = None
    persistent_flag: str = ""
    gruus: Gruus | None = None


class Saver:
    """Takes registrations and answers them."""

    def __init__(
        self,
        services: Services,
        location: LocationService,
        aors: AorRules,
        settings: SaveSettings,
        counters: tuple[Counter, Counter],
    ) -> None:
        self._services = services
        self._location = location
        self._aors = aors
        self._settings = settings
        self._accepted, self._rejected = counters

    def save(self, run: Run, table: LocationTable, options: SaveOptions, aor: str | None) -> int:
        """Take the registration of a run and answer it."""
        message = run.message
        if not isinstance(message, Message):
            return FAILED
        key: str | None = None
        try:
            registration = self._registration(run, message, options)
            key = self._aor(aor, message)
            contacts, headers = self._carried_out(run, message, table, key, registration, options)
        except RegistrationRefused as refused:
            log.info("a registration of '%s' is refused: %s", key or "?", refused.what)
            self._rejected.add()
            if message.is_request and not options.no_reply:
                bound = table.valid(key, self._location.now()) if key else ()
                self._refuse(run, message, refused, self._listing(bound, message, key or "", aor))
            return REFUSED
        self._accepted.add()
        if message.is_request and not options.no_reply:
            answer(self._services, run, 200, "OK", [*self._listing(contacts, message, key, aor), *headers])
        return SAVED

    # -- reading --------------------------------------------------------------------------------------------------

    def _registration(self, run: Run, message: Message, options: SaveOptions) -> Registration:
        lifetimes = self._lifetimes(options)
        if message.is_request:
            return self._read(message, lifetimes)
        tm = transaction_service(self._services)
        transaction = None if tm is None else tm.current(run)
        if transaction is None:
            raise RegistrationRefused(500, "Server Internal Error", "save in a reply route without a transaction")
        registration = self._read(transaction.request, lifetimes)
        forwarded = self._settings.forwarded_contact
        sent = None if forwarded is None else forwarded.get(run)
        return _as_granted(registration, self._read(message, lifetimes), sent)

    def _read(self, message: Message, lifetimes: Lifetimes) -> Registration:
        settings = self._settings
        return read_registration(
            message, lifetimes, default_q=settings.default_q, longest_contact=settings.max_contact_length
        )

    def _lifetimes(self, options: SaveOptions) -> Lifetimes:
        own = self._settings.lifetimes
        shortest = own.shortest if options.min_expires is None else options.min_expires
        longest = own.longest if options.max_expires is None else options.max_expires
        return Lifetimes(shortest, longest, own.default)

    def _aor(self, given: str | None, message: Message) -> str:
        try:
            text = (message.header("To") or "") if given is None else given
            uri = NameAddr.parse(text).uri if given is None else text
            return self._aors.aor_of(uri)
        except SipSyntaxError as error:
            raise bad_request(f"Failed to extract Address Of Record: {error.message}") from error
        except ValueError as error:
            raise RegistrationRefused(500, "Server Internal Error", str(error)) from error

    # -- doing ----------------------------------------------------------------------------------------------------

    def _carried_out(
        self,
        run: Run,
        message: Message,
        table: LocationTable,
        aor: str,
        registration: Registration,
        options: SaveOptions,
    ) -> tuple[Sequence[Contact], list[str]]:
        """Change the table; gives the contacts and the other header fields that the reply has."""
        now = self._location.now()
        path, headers = _path(message, options)
        if registration.removes_all:
            table.remove_all(aor)
            return (), headers
        changed: list[Contact] = []
        if registration.wishes:
            if self._settings.gruus is not None:
                self._settings.gruus.check((wish.uri for wish in registration.wishes), aor, self._aors)
            policy = self._policy(self._template(run, message, registration, path, options), options)
            steps = plan(table.record(aor), registration.wishes, policy, now)
            changed = carry_out(table, aor, steps)
            if self._settings.persistent_flag in run.flags:
                self._keep_connection(message, changed, now)
        return changed if options.only_request_contacts else table.valid(aor, now), headers

    def _keep_connection(self, message: Message, contacts: Sequence[Contact], now: float) -> None:
        """Let the connection of a REGISTER live as long as its contacts."""
        lifetime = max((contact.expires - now for contact in contacts), default=0)
        if lifetime > 0:
            sip_service(self._services).keep_connection(message, lifetime)

    def _policy(self, template: Contact, options: SaveOptions) -> Policy:
        settings = self._settings
        return Policy(
            template,
            self._location.matching if options.matching is None else options.matching,
            settings.max_contacts if options.max_contacts is None else options.max_contacts,
            options.force,
            settings.duplicate_cseq,
            self._location.cseq_delay,
            settings.deviation,
        )

    def _template(
        self, run: Run, message: Message, registration: Registration, path: str | None, options: SaveOptions
    ) -> Contact:
        """What all contacts of the request have in common."""
        received, flags = self._received(run), frozenset(message.branch.flags)
        if options.path_received and path and (behind := received_of_path(path)) is not None:
            received = behind
            flags |= {self._location.nat_bflag} if self._location.nat_bflag else set()
        attributes = None if self._settings.attributes is None else self._settings.attributes.get(run)
        return Contact(
            uri="",
            expires=0,
            call_id=registration.call_id,
            cseq=registration.cseq,
            user_agent=registration.user_agent,
            received=received,
            path=path,
            socket=self._socket(message, options),
            flags=MEMORY_ONLY if options.memory_only else 0,
            branch_flags=flags,
            attributes=None if attributes is None else plain_text(attributes),
        )

    def _received(self, run: Run) -> str | None:
        spec = self._settings.received
        value = None if spec is None else spec.get(run)
        if value is None or spec is None:
            return None
        try:
            return str(SipUri.parse(plain_text(value)))
        except SipSyntaxError as error:
            log.error("%s holds no URI: %s", spec.text, error)
            return None

    def _socket(self, message: Message, options: SaveOptions) -> ListeningSocket | None:
        name = self._settings.socket_header
        text = message.header(name) if options.socket_header and name else None
        if text is not None:
            found = sip_service(self._services).socket_named(text)
            if found is not None:
                return found
            log.error("%s: '%s' is none of our sockets", name, text)
        return message.received.socket

    # -- answering ------------------------------------------------------------------------------------------------

    def _listing(self, contacts: Sequence[Contact], message: Message, key: str, aor: str | None) -> list[str]:
        now, gruus, socket = self._location.now(), self._settings.gruus, message.received.socket
        more = {}
        if gruus is not None and contacts and socket is not None and supports(message, "gruu"):
            address = NameAddr.parse(message.header("To") or "").sip_uri() if aor is None else SipUri.parse(aor)
            more = {contact.id: gruus.parameters(contact, key, address, socket, now) for contact in contacts}
        value = contact_value(contacts, now, self._settings.received_parameter, more)
        return [f"Contact: {value}\r\n"] if value else []

    def _refuse(self, run: Run, message: Message, refused: RegistrationRefused, headers: list[str]) -> None:
        if refused.status == 420:
            headers.append("Unsupported: path\r\n")
            headers.append(f"Path: {path_value(message)}\r\n")
        headers.append(f"P-Registrar-Error: {refused.what}\r\n")
        if refused.status >= 500 and self._settings.retry_after > 0:
            headers.append(f"Retry-After: {self._settings.retry_after}\r\n")
        answer(self._services, run, refused.status, refused.reason, headers)


def _path(message: Message, options: SaveOptions) -> tuple[str | None, list[str]]:
    """The path to keep with the contacts, and the header field that tells it back."""
    path = path_value(message)
    if options.path is None or path is None or not message.is_request:
        return None, []
    try:
        for hop in NameAddr.parse_many(path):
            hop.sip_uri()
    except SipSyntaxError as error:
        raise bad_request("Path parse error") from error
    told = [f"Path: {path}\r\n"]
    match options.path:
        case PathMode.OFF:
            return path, []
        case PathMode.LAZY:
            return path, told if supports(message, "path") else []
        case PathMode.STRICT:
            if not supports(message, "path"):
                raise RegistrationRefused(420, "Bad Extension", "No support for found Path indicated")
            return path, told


def _as_granted(asked: Registration, granted: Registration, sent: Value) -> Registration:
    """What was asked with the lifetimes that another registrar granted; a contact that it does not list goes.

    `sent` is the contact under which that registrar knows a single one.
    """
    seconds = {wish.uri: wish.seconds for wish in granted.wishes}
    known = plain_text(sent) if sent is not None and len(asked.wishes) == 1 else None
    wishes = tuple(replace(wish, seconds=seconds.get(known or wish.uri, 0)) for wish in asked.wishes)
    return replace(asked, wishes=wishes)
