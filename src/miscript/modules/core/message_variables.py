"""Variables that tell about the message: start line, destination, header fields, body.

Without a message, as in timer routes, all of them are NULL.  Assignments change where the message goes
(`request_uri`), nothing else of it.  Source: OpenSIPS manual, "Core Variables".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ...exports import variable
from ...script.access import SimpleAccess, name_of
from ...script.nodes import Index, Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...sip import Message, NameAddr, SipSyntaxError, dummy_message
from ...sip.branch import MAX_Q
from ...sip.multipart import BodyPart, body_parts
from ...values import INT_MAX, NumberWithText, Value, decode, given_text
from . import message_addresses
from .message_parts import MESSAGE_VARIABLES, PLAIN_ASSIGNMENTS, addresses_in, list_access, message_variable
from .part import CorePart
from .request_uri import (
    change_destination,
    change_request_uri,
    destination,
    host_of,
    original_uri,
    port_of,
    request_uri,
    set_destination,
    set_request_uri,
    transport_of,
    user_of,
    with_host,
    with_port,
    with_user,
)

__all__ = ["MessageVariables", "message_addresses"]  # the latter declares its variables when it is imported

Item = TypeVar("Item")


# -- start line -----------------------------------------------------------------------------------------------------


@message_variable("rm")
def method(message: Message) -> Value:
    """The method; in a reply that of CSeq."""
    if message.method is not None:
        return message.method
    cseq = message.cseq
    return None if cseq is None else cseq[1]


@message_variable("rs")
def status(message: Message) -> Value:
    """The status of a reply, a number."""
    return message.status


@message_variable("rr")
def reason(message: Message) -> Value:
    """The reason phrase of a reply."""
    return message.reason


@message_variable("ru", "ruri", write=set_request_uri, reads_texts=PLAIN_ASSIGNMENTS)
def uri(message: Message) -> Value:
    """The Request-URI as it is now.  NULL when it is no URI; an empty text brings back the one that came."""
    return None if request_uri(message) is None else message.uri


def _set_user(message: Message, value: Value) -> bool:
    user = given_text(value)
    return (user is not None or value is None) and change_request_uri(message, lambda uri: with_user(uri, user))


def _set_host(message: Message, value: Value) -> bool:
    host = given_text(value)
    return host is not None and change_request_uri(message, lambda uri: with_host(uri, host))


def _set_port(message: Message, value: Value) -> bool:
    return change_request_uri(message, lambda uri: with_port(uri, value))


@message_variable("rU", "ruri.user", write=_set_user, reads_texts=PLAIN_ASSIGNMENTS)
def uri_user(message: Message) -> Value:
    """The user of the Request-URI; NULL removes it."""
    return user_of(request_uri(message))


@message_variable("rd", "ruri.domain", write=_set_host, reads_texts=PLAIN_ASSIGNMENTS)
def uri_host(message: Message) -> Value:
    """The host of the Request-URI."""
    return host_of(request_uri(message))


@message_variable("rp", write=_set_port)
def uri_port(message: Message) -> Value:
    """The port of the Request-URI, or the one that its transport has by default; NULL removes it."""
    return port_of(request_uri(message))


@message_variable("rP")
def uri_transport(message: Message) -> Value:
    """The transport of the Request-URI: udp when it names none, tls for sips."""
    return transport_of(request_uri(message))


@message_variable("ou", "ouri")
def came_uri(message: Message) -> Value:
    """The Request-URI that came."""
    return None if original_uri(message) is None else message.original_uri


@message_variable("oU")
def came_user(message: Message) -> Value:
    """The user of the Request-URI that came."""
    return user_of(original_uri(message))


@message_variable("od")
def came_host(message: Message) -> Value:
    """The host of the Request-URI that came."""
    return host_of(original_uri(message))


@message_variable("op")
def came_port(message: Message) -> Value:
    """The port of the Request-URI that came, or the one that its transport has by default."""
    return port_of(original_uri(message))


@message_variable("oP")
def came_transport(message: Message) -> Value:
    """The transport of the Request-URI that came."""
    return transport_of(original_uri(message))


# -- destination ----------------------------------------------------------------------------------------------------


@message_variable("du", "duri", write=set_destination, reads_texts=PLAIN_ASSIGNMENTS)
def destination_uri(message: Message) -> Value:
    """The URI that the message is sent to in place of its Request-URI; NULL or an empty text for none."""
    return message.branch.destination


def _set_destination_host(message: Message, value: Value) -> bool:
    host = given_text(value)
    return host is not None and change_destination(message, lambda uri: with_host(uri, host))


def _set_destination_port(message: Message, value: Value) -> bool:
    return change_destination(message, lambda uri: with_port(uri, value))


@message_variable("dd", write=_set_destination_host, reads_texts=PLAIN_ASSIGNMENTS)
def destination_host(message: Message) -> Value:
    """The host of the destination URI."""
    return host_of(destination(message))


@message_variable("dp", write=_set_destination_port)
def destination_port(message: Message) -> Value:
    """The port of the destination URI, or the one that its transport has by default."""
    return port_of(destination(message))


@message_variable("dP")
def destination_transport(message: Message) -> Value:
    """The transport of the destination URI."""
    return transport_of(destination(message))


def _set_q(message: Message, value: Value) -> bool:
    if not isinstance(value, int):
        return False
    message.branch.q = min(int(value), MAX_Q)
    return True


@message_variable("ru_q", write=_set_q)
def uri_q(message: Message) -> Value:
    """The preference of the Request-URI in thousandths, -1 when none is set; NULL in a reply."""
    return message.branch.q if message.is_request else None


@message_variable("path")
def path(message: Message) -> Value:
    """The Route that will be set in front of the request; header fields do not count."""
    return message.branch.path


# -- the message as a whole -----------------------------------------------------------------------------------------


@message_variable("mb")
def message_text(message: Message) -> Value:
    """The whole message as it came."""
    return decode(message.data)


@message_variable("ml")
def message_length(message: Message) -> Value:
    """Its length in bytes as it came."""
    return len(message)


@message_variable("mi")
def message_number(message: Message) -> Value:
    """The number of the message, counted from 1 as they came; 0 for the one of the startup route."""
    return message.number


@message_variable("si", "src_ip")
def source_address(message: Message) -> Value:
    """The address that the message came from; 0.0.0.0 for the one of the startup route."""
    return message.source[0]


@message_variable("sp")
def source_port(message: Message) -> Value:
    """The port that the message came from; 0 for the one of the startup route."""
    return message.source[1]


@message_variable("msg.is_request")
def is_request(message: Message) -> Value:
    """1 for a request and 0 for a reply, printed as true and false."""
    return NumberWithText(1, "true") if message.is_request else NumberWithText(0, "false")


@message_variable("msg.type")
def message_type(message: Message) -> Value:
    """`request` or `reply`."""
    return "request" if message.is_request else "reply"


# -- header fields and body -----------------------------------------------------------------------------------------


@message_variable("ci")
def call_id(message: Message) -> Value:
    """Call-ID."""
    return message.call_id


@message_variable("cs")
def cseq_number(message: Message) -> Value:
    """The number of CSeq, a text as it is written."""
    return None if message.cseq is None else (message.header("CSeq") or "").partition(" ")[0]


@message_variable("ua")
def user_agent(message: Message) -> Value:
    """User-Agent."""
    return message.header("User-Agent")


@message_variable("cl")
def content_length(message: Message) -> Value:
    """Content-Length, a number."""
    length = message.content_length
    return None if length is None or length > INT_MAX else length


def _received(items: Callable[[Message], Sequence[Item]]) -> Callable[[Run], Sequence[Item]]:
    """A list that the message tells; empty without one."""
    return lambda run: () if run.message is None else items(run.message)


def _parts(message: Message) -> Sequence[BodyPart]:
    try:
        return body_parts(message.body_type, message.body)
    except SipSyntaxError:
        return ()


def _contacts(message: Message) -> Sequence[NameAddr]:
    return addresses_in(message, "Contact")


def _contact_parameter(name: str) -> Callable[[NameAddr], Value]:
    return lambda contact: contact.parameters.get(name) or None


CONTACT_FIELDS: dict[str, Callable[[NameAddr], Value]] = {
    "name": lambda contact: contact.name,
    "uri": lambda contact: None if contact.uri == "*" else contact.uri,
    "q": _contact_parameter("q"),
    "expires": _contact_parameter("expires"),
    "methods": _contact_parameter("methods"),
    "received": _contact_parameter("received"),
    "params": lambda contact: contact.params,
}


def _name_in(inner: Template, binder: Binder) -> Callable[[Run], str | None]:
    """The name between parentheses, written out or made of variables."""
    name = inner.constant
    return name_of(binder.template_pieces(inner)) if name is None else lambda run: name


class MessageVariables(CorePart):
    """The variables of a message; those here are lists or have a name in parentheses."""

    def init(self) -> None:
        super().init()
        self.services.provide("dummy message", dummy_message)

    @variable("hdr", inner="required", index=True, binds=True)
    def hdr(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """The value of a header field; the first one, or that of an index, or with `[*]` all of them.

        Blanks around it are not part of it, and a folded value comes in one line (RFC 3261 section 7.3.1).
        """
        constant = inner.constant
        if constant is not None and index is None:
            return SimpleAccess(lambda run: None if run.message is None else run.message.header(constant))
        name = _name_in(inner, binder)

        def values(run: Run) -> Sequence[Value]:
            wanted = name(run)
            return () if wanted is None or run.message is None else run.message.headers(wanted)

        return list_access(values, index, binder)

    @variable("hdrcnt", inner="required", binds=True)
    def header_count(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """How many header fields of that name there are; several values in one field count once."""
        name = _name_in(inner, binder)

        def count(run: Run) -> Value:
            wanted = name(run)
            return None if wanted is None or run.message is None else len(run.message.headers(wanted))

        return SimpleAccess(count)

    @variable("hdr_name", index=True, binds=True)
    def header_name(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The names of the header fields as they are written, in their order."""
        return list_access(_received(lambda message: [field.name for field in message.fields]), index, binder)

    @variable("ct", index=True, binds=True)
    def contact(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """A contact with its parameters; those of all Contact fields are one list."""
        return list_access(_received(lambda message: [str(c) for c in _contacts(message)]), index, binder)

    @variable("ct.fields", inner="required", index=True, binds=True)
    def contact_fields(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A part of a contact: its name, uri, q, expires, methods, received or params."""
        read = CONTACT_FIELDS.get(inner.constant or "")
        if read is None:
            raise ValueError(f"a contact has no field '{inner.constant}'; it has {', '.join(CONTACT_FIELDS)}")
        return list_access(_received(lambda message: [read(c) for c in _contacts(message)]), index, binder)

    @variable("cT", index=True, binds=True)
    def content_type(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """Content-Type; with an index the type of a part of the body, with `[*]` all of them behind it."""
        if index is None:
            return SimpleAccess(lambda run: None if run.message is None else run.message.header("Content-Type"))

        def types(message: Message) -> Sequence[Value]:
            return [part.content_type for part in _parts(message)]

        if index != "*":
            return list_access(_received(types), index, binder)

        def all_types(message: Message) -> Sequence[Value]:
            found = types(message)
            return [message.header("Content-Type"), *found] if found else ()

        return list_access(_received(all_types), index, binder, separator=",")

    @variable("rb", inner="optional", index=True, binds=True)
    def body(self, inner: Template | None, index: Index | None, binder: Binder) -> VariableAccess:
        """The body; with an index one of its parts, with a type the parts of that type (the first one)."""
        if inner is not None:
            return self._parts_of_type(inner, index, binder)
        parts = _received(lambda message: [decode(part.data) for part in _parts(message)])
        if index is not None and index != "*":
            return list_access(parts, index, binder)
        return SimpleAccess(
            lambda run: None if run.message is None else decode(run.message.body) or None,
            walk=parts if index == "*" else None,
        )

    def _parts_of_type(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        kind = _name_in(inner, binder)

        def parts(run: Run) -> Sequence[Value]:
            wanted = (kind(run) or "").lower()
            found = () if run.message is None else _parts(run.message)
            return [decode(part.data) for part in found if part.content_type == wanted]

        return list_access(parts, None if index == "*" else index, binder)


for _name, _export in MESSAGE_VARIABLES.items():
    setattr(MessageVariables, f"variable_{_name.replace('.', '_')}", _export)
