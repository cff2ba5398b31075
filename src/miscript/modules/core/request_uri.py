"""Where a script sends a message: the Request-URI, the destination URI, and the changes scripts make to them.

A change writes the new text, whether it is a URI or not: the assignment succeeds, as on the server, and as long as
the text is no URI the variables made of it are NULL and changes fail.  Such a message cannot be sent
(`Message.to_bytes` refuses).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from ...sip import Message, SipUri
from ...sip.branch import NO_Q
from ...values import NumberWithText, Value, decode, encode, given_text
from .message_parts import sip_uri

log = logging.getLogger("miscript.script")

Change: TypeAlias = Callable[[SipUri], SipUri | None]
"""Gives the changed URI, None when this change cannot be made."""

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "sctp": 5060, "tls": 5061, "ws": 80, "wss": 443}


# -- reading --------------------------------------------------------------------------------------------------------


def request_uri(message: Message) -> SipUri | None:
    """The Request-URI as it is now; None in a response, and when it is no URI."""
    text = message.uri
    return None if text is None else sip_uri(text)


def original_uri(message: Message) -> SipUri | None:
    """The Request-URI that came."""
    text = message.original_uri
    return None if text is None else sip_uri(text)


def destination(message: Message) -> SipUri | None:
    """The destination URI."""
    text = message.branch.destination
    return None if text is None else sip_uri(text)


def host_of(uri: SipUri | None) -> Value:
    """The host, NULL in a `tel` URI."""
    return None if uri is None else uri.host or None


def user_of(uri: SipUri | None) -> Value:
    """The user, of a `tel` URI the number."""
    return None if uri is None else uri.user


def transport_of(uri: SipUri | None) -> str | None:
    """The `transport` parameter as written; without one `tls` for `sips` and `udp` for the rest."""
    if uri is None:
        return None
    named = _transport_parameter(uri)
    return named or ("tls" if named is None and uri.is_secure else "udp")


def _transport_parameter(uri: SipUri) -> str | None:
    """Its value, "" when it has none, None when it is not there; the other parameters may be wrong."""
    for parameter in (uri.params or "").split(";"):
        name, _, value = parameter.partition("=")
        if name.lower() == "transport":
            return value
    return None


def port_of(uri: SipUri | None) -> Value:
    """The port, a number that prints as it is written; without one that of the transport, 0 for unknown ones."""
    if uri is None:
        return None
    text = uri.port_text
    if text:
        return NumberWithText(int(text), text) if text[0] == "0" else int(text)
    return DEFAULT_PORTS.get((transport_of(uri) or "").lower(), 0)


# -- changes --------------------------------------------------------------------------------------------------------


def set_request_uri(message: Message, value: Value) -> bool:
    """Another Request-URI, without a preference; an empty text brings back the one that came."""
    text = given_text(value)
    if text is None:
        return False
    if text:
        message.branch.q = NO_Q
    return _write_request_uri(message, text)


def _write_request_uri(message: Message, text: str) -> bool:
    message.branch.uri = text or None
    if text and sip_uri(text) is None:
        log.error("'%s' is no SIP URI; $ru is NULL until it is set again", text)
    return True


def set_destination(message: Message, value: Value) -> bool:
    """Another destination URI; NULL or an empty text for none."""
    text = given_text(value)
    if text is None and value is not None:
        return False
    message.branch.destination = text or None
    if text and sip_uri(text) is None:
        log.error("'%s' is no SIP URI and cannot be the destination", text)
    return True


def change_request_uri(message: Message | None, change: Change) -> bool:
    """Change the Request-URI; False when there is none or it cannot be changed so."""
    uri = None if message is None else request_uri(message)
    changed = None if uri is None else change(uri)
    if message is None or changed is None:
        log.error("the Request-URI '%s' cannot be changed like this", "" if message is None else message.uri)
        return False
    return _write_request_uri(message, str(changed))


def change_destination(message: Message, change: Change) -> bool:
    """Change the destination URI; False when there is none or it cannot be changed so."""
    uri = destination(message)
    changed = None if uri is None else change(uri)
    if changed is None:
        log.error("the destination URI '%s' cannot be changed like this", message.branch.destination)
        return False
    return set_destination(message, str(changed))


def with_user(uri: SipUri, user: str | None) -> SipUri | None:
    """Another user; without one there is no password either.  A `tel` URI must keep its number."""
    if user:
        return replace(uri, user=user)
    return replace(uri, user=None, password=None) if uri.host else None


def with_user_and_password(uri: SipUri, text: str) -> SipUri | None:
    """`user` or `user:password` in place of both."""
    return with_user(replace(uri, password=None), text)


def with_host(uri: SipUri, host: str) -> SipUri | None:
    """Another host; a `tel` URI has none."""
    return replace(uri, host=host) if host and uri.host else None


def with_host_and_port(uri: SipUri, text: str) -> SipUri | None:
    """`host` or `host:port` in place of both."""
    return with_host(replace(uri, port_text=None), text)


def with_port(uri: SipUri, value: Value) -> SipUri | None:
    """Another port; NULL and an empty text remove it."""
    text = str(int(value)) if isinstance(value, int) else value
    return replace(uri, port_text=text or None) if uri.host else None


def with_prefix(uri: SipUri, prefix: str) -> SipUri | None:
    """`prefix` in front of the user."""
    return with_user(uri, f"{prefix}{uri.user or ''}")


def without_head(uri: SipUri, count: int) -> SipUri | None:
    """The first `count` bytes of the user removed; all of it when it is shorter."""
    if count < 0:
        return None
    user = uri.user or ""
    return with_user(uri, user[count:] if user.isascii() else decode(encode(user)[count:]))


def without_tail(uri: SipUri, count: int) -> SipUri | None:
    """The last `count` bytes of the user removed; all of it when it is shorter."""
    if count < 0:
        return None
    user = encode(uri.user or "")
    return with_user(uri, decode(user[: max(0, len(user) - count)]))
