"""Whether a message is what RFC 3261 asks for, with a number and a text for what is not.

The numbers are those of OpenSIPS' `sipmsg_validate`.  What is looked at beyond the mandatory header fields is chosen
by flags.  Source: OpenSIPS manual, module sipmsgops; RFC 3261 sections 8.1.1, 20 and 21; observed codes of
OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..late_pattern import late_pattern
from .message import Message
from .name_addr import NameAddr
from .sdp import Sdp
from .sdp_body import sdp_part
from .sockets import ip_address
from .syntax import SipSyntaxError
from .uri import SipUri
from .via import Via


class Finding(NamedTuple):
    """What is wrong: a return code of `sipmsg_validate` and a text."""

    code: int
    text: str


_HOST_NAME = late_pattern(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.?")
_NUMBER = late_pattern(r"[0-9]{1,10}")
_HOST_PART = late_pattern(r"(sips?:(?:[^@]*@)?)[^;:?@]+", re.IGNORECASE)
_USER_PART = late_pattern(r"(sips?:)[^@]*@", re.IGNORECASE)

_MANDATORY: Final = (("Call-ID", -3), ("CSeq", -7), ("From", -8), ("To", -9), ("Via", -10))
_IN_REPLIES: Final = {
    405: ("Allow", -16), 423: ("Min-Expires", -17), 407: ("Proxy-Authenticate", -18), 420: ("Unsupported", -19),
    401: ("WWW-Authenticate", -20),
}  # fmt: skip
"""Header fields without which a reply of that status is of no use."""

_WITH_CONTACT: Final = frozenset({"INVITE", "SUBSCRIBE", "REGISTER"})
_ADDRESS_LISTS: Final = ("Contact", "Route", "Record-Route", "Path")
_NUMBERS: Final = ("Max-Forwards", "Content-Length", "Expires", "Min-Expires")


def first_finding(message: Message, flags: str = "") -> Finding | None:
    """The first thing that is wrong with a message; None when nothing is.

    Flags: `h` header fields of known form, `s` description of media, `r`, `f`, `t` the URIs of request line, From and
    To, `c` Contact, `m` no look at Max-Forwards.
    """
    return next(_findings(message, frozenset(flags)), None)


def _findings(message: Message, flags: frozenset[str]) -> Iterator[Finding]:
    if "h" in flags:
        yield from _forms(message)
    yield from _mandatory(message)
    yield from _length(message)
    if message.is_request:
        yield from _in_request(message, flags)
    elif message.status in _IN_REPLIES:
        name, code = _IN_REPLIES[message.status]
        if message.header(name) is None:
            yield Finding(code, f"a reply {message.status} without '{name}'")
    if message.original_body and message.header("Content-Type") is None:
        yield Finding(-21, "a body without 'Content-Type'")
    if "f" in flags:
        yield from _address("From", lambda: message.from_, (-24, -25, -28))
    if "t" in flags:
        yield from _address("To", lambda: message.to, (-22, -23, -29))
    if "c" in flags:
        yield from _contacts(message)
    if "s" in flags:
        part = sdp_part(message.header("Content-Type"), message.original_body)
        if part is not None and not Sdp.parse(part.data).is_valid:
            yield Finding(-6, "the description of media cannot be read")


def _forms(message: Message) -> Iterator[Finding]:
    for name in _NUMBERS:
        wrong = next((value for value in message.headers(name) if not _NUMBER.fullmatch(value)), None)
        if wrong is not None:
            yield Finding(-2, f"'{name}' is '{wrong[:20]}', expected a number")
    if message.header("CSeq") is not None and message.cseq is None:
        yield Finding(-2, "'CSeq' is no number and method")
    for name in _ADDRESS_LISTS:
        for value in message.headers(name):
            if not (name == "Contact" and value == "*"):
                yield from _readable(name, value, NameAddr.parse_many)
    for value in message.headers("Via"):
        yield from _readable("Via", value, Via.parse_many)


def _readable(name: str, value: str, read: Callable[[str], object]) -> Iterator[Finding]:
    try:
        read(value)
    except SipSyntaxError as error:
        yield Finding(-2, f"'{name}' cannot be read: {error.message}")


def _mandatory(message: Message) -> Iterator[Finding]:
    for name, code in _MANDATORY:
        if message.header(name) is None:
            yield Finding(code, f"no '{name}'")


def _length(message: Message) -> Iterator[Finding]:
    there = message.bytes_behind_headers
    told = message.content_length
    if told is None:
        if message.received.transport != "udp":
            yield Finding(-4, "no 'Content-Length', which is needed here")
    elif told != there:
        yield Finding(-5, f"'Content-Length' is {told}, the body has {there} bytes")


def _in_request(message: Message, flags: frozenset[str]) -> Iterator[Finding]:
    if "r" in flags:
        yield from _uri("the Request-URI", message.uri or "", (-11, -12, -27))
    if "m" not in flags and message.header("Max-Forwards") is None:
        yield Finding(-13, "no 'Max-Forwards'")
    if message.method != "REGISTER" and message.header("Path") is not None:
        yield Finding(-15, "'Path' in a request that is no REGISTER")


def _contacts(message: Message) -> Iterator[Finding]:
    method = message.method or (message.cseq or (0, ""))[1]
    values = message.headers("Contact")
    success = message.status is None or 200 <= message.status < 300
    if not values:
        if method in _WITH_CONTACT and success:
            yield Finding(-14, "no 'Contact'")
    elif "*" in values:
        if message.method != "REGISTER":
            yield Finding(-30, "'Contact' is '*', which only a REGISTER may have")
        elif message.header("Expires") != "0":
            yield Finding(-30, "'Contact' is '*', and 'Expires' is not 0")
    else:
        try:
            for value in values:
                for contact in NameAddr.parse_many(value):
                    SipUri.parse(contact.uri)
                    if "?" in contact.uri and f"<{contact.uri}>" not in value:  # RFC 3261 section 20.10
                        raise SipSyntaxError("a URI with '?' stands without brackets", 0)
        except SipSyntaxError as error:
            yield Finding(-26, f"'Contact' cannot be read: {error.message}")


def _address(name: str, read: Callable[[], NameAddr | None], codes: tuple[int, int, int]) -> Iterator[Finding]:
    try:
        address = read()
    except SipSyntaxError as error:
        yield Finding(codes[0], f"'{name}' cannot be read: {error.message}")
        return
    if address is not None:
        yield from _uri(f"'{name}'", address.uri, codes)


def _uri(what: str, text: str, codes: tuple[int, int, int]) -> Iterator[Finding]:
    """`codes`: for what is no URI, for a host that is none, for a user that is none."""
    try:
        uri = SipUri.parse(text)
    except SipSyntaxError as error:
        code = codes[0]
        if _is_uri(_USER_PART.sub(r"\1", text, count=1)):
            code = codes[2]
        elif _is_uri(_HOST_PART.sub(r"\1host", text, count=1)):
            code = codes[1]
        yield Finding(code, f"the URI of {what} cannot be read: {error.message}")
        return
    if uri.host and not _HOST_NAME.fullmatch(uri.host) and ip_address(uri.host) is None:
        yield Finding(codes[1], f"'{uri.host}' in {what} is no host")


def _is_uri(text: str) -> bool:
    try:
        SipUri.parse(text)
    except SipSyntaxError:
        return False
    return True
