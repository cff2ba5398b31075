"""Contacts, and Request-URIs that were made from them, with the address that a message really came from.

Source: OpenSIPS manual, module nathelper; observed Contacts of OpenSIPS 4.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.sockets import split_host
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri

ORIGINAL: Final = "org"
"""URI parameter that keeps host and port of a Contact as they were, in base64 without padding."""

PRESERVE: Final = "preserve-uri"


def source_uri(message: Message) -> str:
    """The URI that a message came from."""
    back = message.received.back()
    transport = "" if back.transport == "udp" else f";transport={back.transport}"
    return f"sip:{back.host}:{back.port}{transport}"


def each_contact(message: Message, change: Callable[[NameAddr], str]) -> None:
    """Replace every Contact by what `change` makes of it.  Raises `SipSyntaxError`; nothing is changed then."""
    new = []
    for field in message.all_fields("Contact"):
        if field.value.strip() != "*":
            new.append((field, ", ".join(change(contact) for contact in NameAddr.parse_many(field.value))))
    for field, value in new:
        message.replace_hf(field, value)


def are_changed(message: Message) -> bool:
    """Whether a Contact will not be written as it came."""
    return any(message.written_value(field) != field.value for field in message.all_fields("Contact"))


def from_source(message: Message, more: str, preserve: bool) -> Callable[[NameAddr], str]:
    """What puts the source of a message into a Contact; `more` are URI parameters with their semicolons."""
    back = message.received.back()

    def change(contact: NameAddr) -> str:
        uri = contact.sip_uri()
        params = more.lstrip(";")
        if preserve:
            port = "" if not uri.port_text else f":{uri.port_text}"
            params = _joined(params, f"{ORIGINAL}={_packed(f'{uri.host}{port}')}")
        new = replace(uri, host=back.host, port_text=str(back.port), params=_joined(params, uri.params or "") or None)
        return with_uri(contact, str(SipUri.parse(str(new))))

    return change


def with_uri(contact: NameAddr, uri: str) -> str:
    """A name-addr with another URI, in angle brackets."""
    name = "" if contact.name is None else f"{contact.name} "
    params = "" if contact.params is None else f";{contact.params}"
    return f"{name}<{uri}>{params}"


def received_in_field(message: Message) -> Callable[[NameAddr], str]:
    """What adds `received` to a Contact."""
    source = source_uri(message)
    return lambda contact: f'{contact};received="{source}"'


def received_in_uri(message: Message) -> Callable[[NameAddr], str]:
    """What adds `received` to the URI of a Contact, escaped as a parameter of a URI wants it."""
    source = quote(source_uri(message), safe=":[]")

    def change(contact: NameAddr) -> str:
        uri = contact.sip_uri()
        return with_uri(contact, str(replace(uri, params=_joined(uri.params or "", f"received={source}"))))

    return change


def restored(text: str) -> tuple[str, str] | None:
    """A Request-URI with the host and port that its `org` keeps, and the one without `org`, to send to.

    None when there is no `org`.  Raises `SipSyntaxError` when it cannot be read.
    """
    uri = SipUri.parse(text)
    items = (uri.params or "").split(";")
    kept = next((item.partition("=")[2] for item in items if item.partition("=")[0].lower() == ORIGINAL), None)
    if kept is None:
        return None
    params = ";".join(item for item in items if item.partition("=")[0].lower() != ORIGINAL) or None
    host, port = _unpacked(kept)
    plain = replace(uri, params=params)
    new = replace(plain, host=host, port_text=None if port is None else str(port))
    if SipUri.parse(str(new)) != new:
        raise SipSyntaxError(f"'{ORIGINAL}' of '{text}' holds no host", 0)
    return str(new), str(plain)


def _joined(first: str, second: str) -> str:
    return ";".join(text for text in (first, second) if text)


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogateescape")).decode().rstrip("=")


def _unpacked(text: str) -> tuple[str, int | None]:
    """Host, with its brackets, and port."""
    word = text.rstrip("=-").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(word + "=" * (-len(word) % 4), validate=True).decode("ascii")
        bracketed = found.startswith("[")
        host, port = split_host(found)
    except (binascii.Error, ValueError):
        raise SipSyntaxError(f"'{ORIGINAL}={text}' is no host in base64", 0) from None
    return (f"[{host}]" if bracketed else host), port
