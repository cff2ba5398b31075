"""REGISTER requests: whom they are about, what they want bound, and the Contact of the reply.

Source: RFC 3261 section 10.3; RFC 3327 (Path); OpenSIPS manual, module registrar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from ..errors import MiscriptError
from ..late_pattern import late_pattern
from ..values import decode, encode
from .branch import MAX_Q, NO_Q
from .location import ALL_METHODS, PERMANENT, Contact, method_mask
from .message import Message
from .name_addr import NameAddr
from .syntax import SipSyntaxError
from .uri import SipUri

MAX_SECONDS: Final = 10 * 366 * 24 * 3600
"""Longest lifetime that is kept, in seconds: ten years."""

_Q = late_pattern(r"[01]?(?:\.[0-9]{0,10})?", re.ASCII)
_SECONDS = late_pattern(r"[0-9]+", re.ASCII)


class RegistrationRefused(MiscriptError):
    """A registration that is not taken: status and reason of the reply, and what is wrong in words."""

    def __init__(self, status: int, reason: str, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.reason = reason
        self.what = what


def bad_request(what: str) -> RegistrationRefused:
    """A request that is not as it has to be."""
    return RegistrationRefused(400, "Bad Request", what)


@dataclass(frozen=True, slots=True)
class AorRules:
    """How an address of record is made of a URI.

    `realm_prefix` is taken off its host; `lengths` are the most bytes of user, domain and URI.
    """

    use_domain: bool = True
    case_sensitive: bool = True
    realm_prefix: str = ""
    lengths: tuple[int, int, int] = (64, 64, 256)

    def aor_of(self, text: str) -> str:
        """The AOR of a URI, with or without angle brackets.  Raises `SipSyntaxError`, ValueError when too long."""
        uri = SipUri.parse(NameAddr.parse(text).uri if "<" in text else text)
        user = unescaped(uri.user or "")
        domain = uri.host
        if self.realm_prefix and domain.lower().startswith(self.realm_prefix.lower()):
            domain = domain[len(self.realm_prefix) :]
        sizes = (len(encode(user)), len(encode(domain)), len(encode(text)))
        if any(size > most for size, most in zip(sizes, self.lengths, strict=True)):
            raise ValueError("Address Of Record too long")
        aor = user if not self.use_domain else f"{user}@{domain}" if user else domain
        return aor if self.case_sensitive else aor.lower()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds: the shortest and the longest lifetime (0: no limit), and that of who asks for none."""

    shortest: int = 60
    longest: int = 0
    default: int = 3600

    def granted(self, wanted: int | None) -> int:
        """What is given to who wants so many; 0 (to be removed) stays 0."""
        seconds = self.default if wanted is None else wanted
        if seconds == 0:
            return 0
        seconds = max(seconds, self.shortest)
        return min(seconds, self.longest or MAX_SECONDS, MAX_SECONDS)


@dataclass(frozen=True, slots=True)
class Wish:
    """One contact that a REGISTER names: 0 `seconds` remove it."""

    uri: str
    seconds: int
    q: int = NO_Q
    methods: int = ALL_METHODS
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What a REGISTER wants.

    `removes_all` is `Contact: *`; without it and without `wishes` it asks what is bound.
    """

    call_id: str
    cseq: int
    user_agent: str
    wishes: tuple[Wish, ...] = ()
    removes_all: bool = False


def read_registration(
    request: Message, lifetimes: Lifetimes, *, default_q: int = NO_Q, longest_contact: int = 255
) -> Registration:
    """What a REGISTER (or the 200 that another registrar gave to it) wants.

    Raises `RegistrationRefused`.
    """
    cseq = request.cseq
    if cseq is None or request.call_id is None:
        raise bad_request("CSeq or Call-ID missing or wrong")
    values = request.headers("Contact")
    header_seconds = _header_expires(request)
    agent = request.header("User-Agent") or "n/a"
    if any(value.strip() == "*" for value in values):
        if len(values) > 1:
            raise bad_request("* used in contact and there are more contacts")
        if header_seconds != 0:
            raise bad_request("* used in contact and expires is not zero")
        return Registration(request.call_id, cseq[0], agent, removes_all=True)
    try:
        addresses = [address for value in values for address in NameAddr.parse_many(value)]
    except SipSyntaxError as error:
        raise bad_request("Contact parse error") from error
    methods = method_mask(",".join(request.headers("Allow"))) or ALL_METHODS
    wishes = tuple(_wish(a, header_seconds, lifetimes, default_q, methods, longest_contact) for a in addresses)
    return Registration(request.call_id, cseq[0], agent, wishes)


def _header_expires(request: Message) -> int | None:
    value = request.header("Expires")
    if value is None:
        return None
    found = _SECONDS.match(value)
    if found is None:
        raise bad_request("Expires parse error")
    return _number(found[0])


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= 10 else MAX_SECONDS


def _wish(
    address: NameAddr, header: int | None, lifetimes: Lifetimes, default_q: int, methods: int, longest: int
) -> Wish:
    try:
        SipUri.parse(address.uri)
    except SipSyntaxError as error:
        raise bad_request("Contact parse error") from error
    if len(encode(address.uri)) > longest:
        raise bad_request("Contact URI too long")
    parameters = address.parameters
    own = parameters.get("expires")
    wanted = header if own is None else _number(own) if _SECONDS.fullmatch(own) else None
    own_methods = parameters.get("methods")
    return Wish(
        address.uri,
        lifetimes.granted(wanted),
        _q(parameters.get("q"), default_q),
        methods if own_methods is None else method_mask(own_methods),
        parameters.get("+sip.instance") or None,
    )


def _q(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text or not _Q.fullmatch(text) or text == "." or float(text) > 1:
        raise bad_request("Invalid q param in contact")
    return round(float(text) * MAX_Q)


def contact_value(
    contacts: Iterable[Contact], now: float, received_parameter: str = "", more: Mapping[int, str] | None = None
) -> str:
    """The value of Contact that lists bindings; "" when there are none.

    `more` has parameters for contacts, by their ids.
    """
    told = more or {}
    return ", ".join(_listed(contact, now, received_parameter) + told.get(contact.id, "") for contact in contacts)


def _listed(contact: Contact, now: float, received_parameter: str) -> str:
    q = "" if contact.q < 0 else f";q={contact.q / MAX_Q:g}"
    seconds = MAX_SECONDS if contact.expires == PERMANENT else contact.left(now)
    received = ""
    if contact.received and received_parameter:
        received = ';{}="{}"'.format(received_parameter, contact.received.replace('"', "%22"))
    return f"<{contact.uri}>{q};expires={seconds}{received}"


def path_value(request: Message) -> str | None:
    """All Path fields as one line; None without any."""
    return ",".join(request.headers("Path")) or None


def supports(request: Message, option: str) -> bool:
    """Whether Supported names an option."""
    names = ",".join(request.headers("Supported")).lower().split(",")
    return option in (name.strip() for name in names)


def received_of_path(path: str) -> str | None:
    """The `received` parameter of the first URI of a path, as module path writes it; None when it is no URI."""
    try:
        escaped = NameAddr.parse_at(path, 0)[0].sip_uri().parameters.get("received")
        return None if not escaped else str(SipUri.parse(unescaped(escaped)))
    except SipSyntaxError:
        return None


def unescaped(text: str) -> str:
    """A text with its `%41` as characters."""
    return decode(unquote_to_bytes(encode(text)))
