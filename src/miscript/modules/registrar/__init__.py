"""Module registrar: what a registrar does with REGISTER, and finding those who registered.

A registration is taken as a whole or not at all.  Its reply lists what is bound; one that is refused says why in
`P-Registrar-Error`.

Not here yet: push notifications (RFC 8599), ownership tags of clusters.

Source: OpenSIPS manual, module registrar; RFC 3261 section 10, RFC 3327; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, TypeVar

from ...errors import ConfigurationError
from ...exports import (
    BoundConstant,
    BoundNumber,
    BoundText,
    BoundVariable,
    Module,
    bound_function,
    parameter,
    script_function,
    statistic,
)
from ...location_service import LocationService, location_service
from ...read_arguments import mistake_of
from ...script.access import AvpAccess
from ...script.operations import number_argument, text_argument
from ...script.runtime import Run
from ...script.signatures import Argument
from ...services import Services
from ...sip.branch import NO_Q, Branch
from ...sip.location import Contact, LocationTable
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.registration import AorRules, Lifetimes
from ...sip.requests import new_token
from ...sip.sealing import Sealing
from ...sip.syntax import SipSyntaxError
from ...sip_service import sip_service
from ...values import plain_text
from ...variable_spec import VariableSpec
from .flags import LookupOptions, SaveOptions
from .gruu import Gruus
from .hosts import addresses_of, behind, registered_place
from .looking_up import NOT_FOUND, branch_to, send_to, wanted
from .registering import FAILED, Saver, SaveSettings

__all__ = ["Registrar"]

log = logging.getLogger("miscript.registrar")

T = TypeVar("T")

INTERNAL_ERROR = -3
QUESTION_ROUTES = "request failure reply branch local"


SaveFlags = Annotated[BoundText, mistake_of(SaveOptions.parse)]
LookupFlags = Annotated[BoundText, mistake_of(LookupOptions.parse)]


class Registrar(Module):
    """REGISTER, and who registered."""

    name = "registrar"
    needs = ("usrloc", "signaling")

    default_expires = parameter(3600, "Seconds for contacts that ask for no lifetime.")
    min_expires = parameter(60, "Shortest lifetime in seconds; shorter ones are raised to it.  0: no limit.")
    max_expires = parameter(0, "Longest lifetime in seconds; longer ones are cut.  0: no limit.")
    expires_max_deviation = parameter(0, "Lifetimes are varied by up to so many seconds, so that phones spread.")
    default_q = parameter(NO_Q, "q of contacts that have none, in thousandths; -1 for none.")
    case_sensitive = parameter(1, "Whether AORs are compared with regard to case.")
    realm_prefix = parameter("", "Taken off the front of the domain of AORs.")
    received_avp = parameter("", "AVP with the URI that the REGISTER came from; kept with its contacts.")
    received_param = parameter("received", "Parameter in which the reply tells that URI.")
    allow_dup_cseq = parameter(1, "Whether the CSeq that is known already may change a contact again.")
    max_contacts = parameter(0, "Most contacts of one AOR; 0: no limit of the script.")
    max_username_len = parameter(64, "Most bytes of the user of an AOR.")
    max_domain_len = parameter(64, "Most bytes of the domain of an AOR.")
    max_aor_len = parameter(256, "Most bytes of the URI of an AOR.")
    max_contact_len = parameter(255, "Most bytes of the URI of a contact.")
    retry_after = parameter(0, "Seconds for Retry-After in replies 5xx; 0: no such field.")
    sock_hdr_name = parameter("", "Header field with the socket to keep, for the flag socket-header.")
    mcontact_avp = parameter("", "AVP with the contact that was forwarded, for save() in a reply route.")
    attr_avp = parameter("", "AVP with a text to keep with contacts; lookup() gives it to the branches by its name.")
    tcp_persistent_flag = parameter(
        "",
        "Message flag: the connection of a REGISTER by TCP or TLS lives as long as its contacts, though it be silent.",
    )
    gruu_secret = parameter("", "Password of temporary GRUUs; without one they are good until the host ends.")
    disable_gruu = parameter(1, "0: phones that know GRUUs (RFC 5627) get some, and `lookup` finds them by these.")
    pn_enable = parameter(0, "Push notifications; not available, must be 0.")
    pn_enable_purr = parameter(0, "Push notifications; not available, must be 0.")
    pn_providers = parameter("", "Push notifications; not available.")
    pn_ct_match_params = parameter("", "Push notifications; not available.")
    pn_pnsreg_interval = parameter(130, "Push notifications; not available.")
    pn_trigger_interval = parameter(120, "Push notifications; not available.")
    pn_skip_pn_interval = parameter(0, "Push notifications; not available.")
    pn_refresh_timeout = parameter(6, "Push notifications; not available.")

    accepted = statistic("accepted_regs", "Registrations taken.")
    rejected = statistic("rejected_regs", "Registrations refused.")

    def __init__(self, services: Services) -> None:
        register = services.statistics.register
        register("registrar", "max_expires", False, lambda: self.max_expires)
        register("registrar", "max_contacts", False, lambda: self.max_contacts)
        register("registrar", "default_expire", False, lambda: self.default_expires)
        super().__init__(services)
        self.aors = AorRules()
        self._location: LocationService | None = None
        self._saver: Saver | None = None
        self._attribute = ""
        self._gruus: Gruus | None = None

    def init(self) -> None:
        for name, only in (("pn_enable", 0), ("pn_enable_purr", 0)):
            if getattr(self, name) != only:
                raise ConfigurationError(f"{name}: not available, must be {only}", parameter=name)
        if not NO_Q <= self.default_q <= 1000:
            raise ConfigurationError("default_q must be 0 to 1000", parameter="default_q")
        if self.max_expires and self.default_expires > self.max_expires:
            log.warning("default_expires is above max_expires; %d is used for both", self.max_expires)
            self.default_expires = self.max_expires
        location = location_service(self.services)
        if location is None:
            raise ConfigurationError("usrloc is not loaded")
        attributes = self._avp("attr_avp")
        self._attribute = "" if attributes is None else attributes.name
        lengths = (self.max_username_len, self.max_domain_len, self.max_aor_len)
        self.aors = AorRules(bool(location.use_domain), bool(self.case_sensitive), self.realm_prefix, lengths)
        settings = SaveSettings(
            Lifetimes(self.min_expires, self.max_expires, self.default_expires),
            self.default_q,
            self.max_contacts,
            self.max_contact_len,
            bool(self.allow_dup_cseq),
            self.expires_max_deviation,
            self.retry_after,
            self.received_param,
            self.sock_hdr_name,
            self._avp("received_avp"),
            attributes,
            self._avp("mcontact_avp"),
            self.tcp_persistent_flag,
            None if self.disable_gruu else Gruus(Sealing(self.gruu_secret or new_token())),
        )
        self._gruus = settings.gruus
        self._location = location
        self._saver = Saver(self.services, location, self.aors, settings, (self.accepted, self.rejected))

    def _avp(self, name: str) -> VariableSpec | None:
        text = getattr(self, name)
        if not text:
            return None
        try:
            return VariableSpec.parse_avp(text)
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}", parameter=name) from error

    @property
    def location(self) -> LocationService:
        assert self._location is not None, "init() comes first"
        return self._location

    def _table(self, domain: Argument) -> LocationTable:
        return self.location.table(text_argument(domain.constant))

    # -- registering ----------------------------------------------------------------------------------------------

    @bound_function(routes="request reply")
    def save(
        self,
        domain: BoundConstant,
        flags: SaveFlags | None = None,
        aor: BoundText | None = None,
        ownership_tag: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Take the REGISTER and answer it: 1, or -2 when it was refused.

        `aor` is a URI in place of that of To.  Flags, separated by commas: memory-only, no-reply, max-contacts=N,
        force-registration, matching-mode=0|1|<parameter>, path-off, path-lazy, path-strict, path-received,
        only-request-contacts, socket-header, min-expires=N, max-expires=N.
        """
        table, options = self._table(domain), _options("save", flags, SaveOptions.parse)

        def save(run: Run) -> int:
            chosen = options(run)
            if chosen is None or self._saver is None:
                return FAILED
            return self._saver.save(run, table, chosen, _text(run, aor))

        return save

    @script_function(routes=QUESTION_ROUTES)
    def add_sock_hdr(self, run: Run, hdr_name: str) -> int:
        """Add a header field of that name with the socket that the REGISTER came to, for another registrar."""
        message = run.message
        if not isinstance(message, Message) or message.received.socket is None:
            return -1
        try:
            message.append_hf(f"{hdr_name}: {message.received.socket}")
        except SipSyntaxError as error:
            log.error("add_sock_hdr: %s", error)
            return -1
        return 1

    # -- finding --------------------------------------------------------------------------------------------------

    @bound_function(routes="request failure reply")
    def lookup(
        self, domain: BoundConstant, flags: LookupFlags | None = None, aor: BoundText | None = None
    ) -> Callable[[Run], int]:
        """Send the request to the contacts of the AOR in the Request-URI, or of `aor`: the best in its place, the
        others as branches.

        1 found, -1 nobody is there, -2 nobody takes the method, -3 the AOR is no URI.  Flags, separated by commas:
        no-branches, to-branches-only, branch (expand the branches too), method-filtering, ua-filtering=/pattern/,
        case-insensitive, extended-regexp (all patterns are), max-ping-latency=N (contacts whose last ping took no
        more microseconds), sort-by-latency (the fastest first).
        """
        table, options = self._table(domain), _options("lookup", flags, LookupOptions.parse)

        def look_up(run: Run) -> int:
            chosen = options(run)
            return INTERNAL_ERROR if chosen is None else self._look_up(run, table, chosen, _text(run, aor))

        return look_up

    def _look_up(self, run: Run, table: LocationTable, options: LookupOptions, given: str | None) -> int:
        message = run.message
        if not isinstance(message, Message):
            return INTERNAL_ERROR
        uri = message.uri if given is None else given
        phone = None if self._gruus is None else self._gruus.phone(uri or "")
        aor = self._aor("lookup", uri) if phone is None or phone.aor is None else phone.aor
        if aor is None:
            return INTERNAL_ERROR
        contacts = table.valid(aor, self.location.now())
        found, code = wanted(contacts if phone is None else phone.chosen(contacts), options, message.method)
        if options.branches_too and not options.no_branches:
            found += self._expanded(message.branches, table, options, message.method)
            message.branches.clear()
        if not found:
            return code
        send_to(message, [branch_to(contact, self._attribute) for contact in found], options)
        return 1

    def _expanded(
        self, branches: Iterable[Branch], table: LocationTable, options: LookupOptions, method: str | None
    ) -> list[Contact]:
        """The contacts of the AORs that stand in branches."""
        now, found = self.location.now(), list[Contact]()
        for branch in branches:
            aor = self._aor("lookup", branch.uri)
            if aor is not None:
                found += wanted(table.valid(aor, now), options, method)[0]
        return found

    def _aor(self, function: str, uri: str | None) -> str | None:
        """The AOR of a URI; None, with a line in the log, when it is none."""
        try:
            return self.aors.aor_of(uri or "")
        except ValueError as error:
            log.error("%s: '%s' is no address of record: %s", function, uri, error)
            return None

    def _contacts(self, function: str, run: Run, table: LocationTable, given: str | None) -> list[Contact]:
        """The contacts of an AOR that is given, or of the one that the request speaks of."""
        uri = _speaker(run) if given is None else given
        aor = self._aor(function, uri)
        return [] if aor is None else table.valid(aor, self.location.now())

    @bound_function(routes=QUESTION_ROUTES)
    def is_registered(self, domain: BoundConstant, aor: BoundText | None = None) -> Callable[[Run], int]:
        """Whether an AOR is registered: that of To in a REGISTER, else that of From, or `aor` (a URI)."""
        table = self._table(domain)
        return lambda run: 1 if self._contacts("is_registered", run, table, _text(run, aor)) else -1

    @bound_function(routes=QUESTION_ROUTES)
    def is_contact_registered(
        self,
        domain: BoundConstant,
        aor: BoundText | None = None,
        contact: BoundText | None = None,
        callid: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Whether an AOR has that contact (a URI), one of that Call-ID, or one that is both.

        Without both it is asked for the contacts of the message.
        """
        table = self._table(domain)

        def ask(run: Run) -> int:
            uri, call_id = _text(run, contact), _text(run, callid)
            uris = None if uri is None else {uri}
            if uri is None and call_id is None:
                uris = _contact_uris(run)
            found = self._contacts("is_contact_registered", run, table, _text(run, aor))
            same = (c for c in found if (uris is None or c.uri in uris) and call_id in (None, c.call_id))
            return NOT_FOUND if next(same, None) is None else 1

        return ask

    @bound_function(routes=QUESTION_ROUTES)
    def is_ip_registered(
        self, domain: BoundConstant, aor: BoundText | None, ip: BoundVariable, port: BoundVariable | None = None
    ) -> Callable[[Run], int]:
        """Whether an AOR has a contact that registered from an address, or one of several in an AVP.

        With `port`, an AVP of as many ports, the ports must be the same too.
        """
        table = self._table(domain)

        def ask(run: Run) -> int:
            found = self._contacts("is_ip_registered", run, table, _text(run, aor))
            places = {place for contact in found if (place := registered_place(contact)) is not None}
            wanted_ips = _values(run, ip)
            if port is None:
                return 1 if {host for host, _ in places}.intersection(wanted_ips) else -1
            ports = [_port(text) for text in _values(run, port)]
            return 1 if places.intersection(zip(wanted_ips, ports, strict=False)) else -1

        return ask

    # -- removing -------------------------------------------------------------------------------------------------

    @bound_function(routes="request reply")
    def remove(
        self,
        domain: BoundConstant,
        aor: BoundText,
        contact: BoundText | None = None,
        next_hop: BoundText | None = None,
        sip_instance: BoundText | None = None,
        bflag: BoundText | None = None,
    ) -> Callable[[Run], int | Awaitable[int]]:
        """Remove the contacts of an AOR (a URI): all, or those that every condition holds for.

        The conditions: the URI of the contact, the host or address of its next hop, its `+sip.instance`, a branch
        flag.
        """
        table = self._table(domain)

        async def do(run: Run) -> int:
            key = self._aor("remove", text_argument(aor.get(run)))
            record = None if key is None else table.record(key)
            if key is None or record is None:
                return -1 if key is None else 1
            uri, instance, flag = _text(run, contact), _text(run, sip_instance), _text(run, bflag)
            found = [
                c
                for c in record.contacts
                if uri in (None, c.uri)
                and (instance is None or instance == c.instance)
                and (flag is None or flag in c.branch_flags)
            ]
            host = _text(run, next_hop)
            if host is not None:
                sip = sip_service(self.services)
                found = await behind(found, await addresses_of(host, sip), None, sip)
            _remove(table, key, found)
            return 1

        return do

    @bound_function()
    def remove_ip_port(
        self, ip: BoundText, port: BoundNumber, domain: BoundConstant, aor: BoundText | None = None
    ) -> Callable[[Run], int | Awaitable[int]]:
        """Remove the contacts whose next hop is an address and a port: those of one AOR (a URI), or of all."""
        table = self._table(domain)

        async def do(run: Run) -> int:
            host, number, given = text_argument(ip.get(run)), number_argument(port.get(run)), _text(run, aor)
            key = None if given is None else self._aor("remove_ip_port", given)
            if given is not None and key is None:
                return -1
            records = list(table) if key is None else [r for r in [table.record(key)] if r is not None]
            sip = sip_service(self.services)
            addresses = await addresses_of(host, sip)
            for record in records:
                _remove(table, record.aor, await behind(list(record.contacts), addresses, number, sip))
            return 1

        return do


def _options(function: str, flags: Argument | None, parse: Callable[[str], T]) -> Callable[[Run], T | None]:
    """The options of a call, read once where they are written out; None, with a line in the log, for wrong ones."""

    def checked(text: str) -> T | None:
        try:
            return parse(text)
        except ValueError as error:
            log.error("%s: %s", function, error)
            return None

    if flags is None or flags.is_constant:
        options = checked("" if flags is None else text_argument(flags.constant))
        return lambda run: options
    return lambda run: checked(text_argument(flags.get(run)))


def _text(run: Run, argument: Argument | None) -> str | None:
    """The text of an argument that may be left out."""
    return None if argument is None else text_argument(argument.get(run))


def _values(run: Run, argument: Argument) -> list[str]:
    """All values of an AVP as texts, or the one of another variable."""
    variable = argument.variable
    if isinstance(variable, AvpAccess) and variable.index is None:
        values = variable.all(run)
    else:
        values = [argument.get(run)]
    return [plain_text(value) for value in values if value is not None]


def _port(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else -1


def _speaker(run: Run) -> str | None:
    """The URI of the AOR that a request speaks of: that of To in a REGISTER, else that of From."""
    message = run.message
    if not isinstance(message, Message) or not message.is_request:
        return None
    try:
        address = message.to if message.method == "REGISTER" else message.from_
    except SipSyntaxError:
        return None
    return None if address is None else address.uri


def _contact_uris(run: Run) -> set[str]:
    """The URIs in the Contact fields of the message."""
    message = run.message
    if not isinstance(message, Message):
        return set()
    try:
        return {address.uri for value in message.headers("Contact") for address in NameAddr.parse_many(value)}
    except SipSyntaxError:
        return set()


def _remove(table: LocationTable, aor: str, contacts: Iterable[Contact]) -> None:
    """Remove contacts that are still bound: while a name was looked up, others may have removed or changed them."""
    for contact in contacts:
        record = table.record(aor)
        if record is not None and contact in record.contacts:
            table.remove(aor, contact)
