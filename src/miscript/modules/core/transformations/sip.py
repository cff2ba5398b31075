"""`{uri.…}`, `{nameaddr.…}`, `{via.…}` and `{param.…}`: parts of SIP URIs and header fields.

A text that is not what it should be gives NULL, every time it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ....sip import NameAddr, Parameters, SipSyntaxError, SipUri, Via
from ....sip.parameters import parse_parameters
from ....values import NumberWithText, Value, byte_length
from .table import text_transformation

_CACHED = 256  # scripts ask for several parts of one text in a row
_LONGEST = 16384  # in characters; longer texts are no header field that anyone sends


@lru_cache(_CACHED)
def _uri(text: str) -> SipUri | None:
    try:
        return SipUri.parse(text)
    except SipSyntaxError:
        return None


@lru_cache(_CACHED)
def _address(text: str) -> NameAddr | None:
    try:
        return NameAddr.parse_at(text, 0)[0]
    except SipSyntaxError:
        return None


@lru_cache(_CACHED)
def _via(text: str) -> Via | None:
    try:
        return Via.parse_at(text, 0)[0]
    except SipSyntaxError:
        return None


@lru_cache(_CACHED)
def _parameters(text: str) -> Parameters | None:
    """The parameters up to the end or a comma."""
    try:
        return parse_parameters(text, 0, ends=",")[0] if text else None
    except SipSyntaxError:
        return None


# -- {uri.…} -------------------------------------------------------------------------------------------------------


def _uri_part(*names: str) -> Callable[[Callable[[SipUri], Value]], Callable[[SipUri], Value]]:
    """Register a function from a URI to one of its parts; a part that is empty gives NULL."""

    def register(part: Callable[[SipUri], Value]) -> Callable[[SipUri], Value]:
        def transform(text: str) -> Value:
            uri = _uri(text) if len(text) <= _LONGEST else None
            found = None if uri is None else part(uri)
            return None if found == "" else found

        transform.__doc__ = part.__doc__
        text_transformation("uri", *names)(transform)
        return part

    return register


@_uri_part("schema")
def uri_schema(uri: SipUri) -> Value:
    """The scheme as written: `sip`, `sips`, `tel` or `urn`."""
    return uri.scheme.partition(":")[0]


@_uri_part("user")
def uri_user(uri: SipUri) -> Value:
    """The user; of a `tel` URI the number."""
    return uri.user


@_uri_part("passwd")
def uri_passwd(uri: SipUri) -> Value:
    """The password."""
    return uri.password


@_uri_part("host", "domain")
def uri_host(uri: SipUri) -> Value:
    """The host, an IPv6 address with its brackets."""
    return uri.host


@_uri_part("port")
def uri_port(uri: SipUri) -> Value:
    """The port, when there is one; a number that prints as it is written."""
    return NumberWithText(int(uri.port_text), uri.port_text) if uri.port_text else None


@_uri_part("params")
def uri_params(uri: SipUri) -> Value:
    """All parameters as written."""
    return uri.params


@_uri_part("headers")
def uri_headers(uri: SipUri) -> Value:
    """All headers as written."""
    return uri.headers


@text_transformation("uri", "param", kinds=("string",))
def uri_param(text: str, name: str) -> Value:
    """The value of a parameter: empty when it has none, NULL when it is not there."""
    uri = _uri(text) if len(text) <= _LONGEST else None
    found = _parameters(uri.params or "") if uri is not None else None
    return None if found is None else found.get(name)


def _uri_parameter(name: str, parameter: str) -> None:
    def part(uri: SipUri) -> Value:
        found = _parameters(uri.params or "")
        return None if found is None else found.get(parameter)

    part.__doc__ = f"The value of the parameter `{parameter}`; NULL when it has none."
    _uri_part(name)(part)


for _name in ("transport", "ttl", "maddr", "method", "lr", "r2"):
    _uri_parameter(_name, _name)
_uri_parameter("uparam", "user")


# -- {nameaddr.…} --------------------------------------------------------------------------------------------------


def _address_part(name: str) -> Callable[[Callable[[NameAddr], Value]], Callable[[NameAddr], Value]]:
    """Register a function from an address (the first one of a list) to one of its parts."""

    def register(part: Callable[[NameAddr], Value]) -> Callable[[NameAddr], Value]:
        def transform(text: str) -> Value:
            address = _address(text) if len(text) <= _LONGEST else None
            return None if address is None else part(address)

        transform.__doc__ = part.__doc__
        text_transformation("nameaddr", name)(transform)
        return part

    return register


@_address_part("name")
def nameaddr_name(address: NameAddr) -> Value:
    """The display name as written, with its quotes."""
    return address.name


@_address_part("uri")
def nameaddr_uri(address: NameAddr) -> Value:
    """The URI."""
    return address.uri


@_address_part("len")
def nameaddr_len(address: NameAddr) -> Value:
    """The length in bytes of display name and URI, without the parameters."""
    return byte_length(address.address)


@_address_part("params")
def nameaddr_params(address: NameAddr) -> Value:
    """All parameters as written."""
    return address.params


@text_transformation("nameaddr", "param", kinds=("string",))
def nameaddr_param(text: str, name: str) -> Value:
    """The value of a parameter: empty when it has none, NULL when it is not there."""
    address = _address(text) if len(text) <= _LONGEST else None
    return None if address is None else address.parameters.get(name)


# -- {via.…} -------------------------------------------------------------------------------------------------------


def _via_part(*names: str) -> Callable[[Callable[[Via], Value]], Callable[[Via], Value]]:
    """Register a function from a Via (the first one of a list) to one of its parts; "" gives NULL."""

    def register(part: Callable[[Via], Value]) -> Callable[[Via], Value]:
        def transform(text: str) -> Value:
            via = _via(text) if len(text) <= _LONGEST else None
            found = None if via is None else part(via)
            return None if found == "" else found

        transform.__doc__ = part.__doc__
        text_transformation("via", *names)(transform)
        return part

    return register


@_via_part("name")
def via_name(via: Via) -> Value:
    """The protocol: `SIP`."""
    return via.protocol


@_via_part("version")
def via_version(via: Via) -> Value:
    """The version: `2.0`."""
    return via.version


@_via_part("transport")
def via_transport(via: Via) -> Value:
    """The transport as written: `UDP`."""
    return via.transport


@_via_part("host", "domain")
def via_host(via: Via) -> Value:
    """The host, an IPv6 address with its brackets."""
    return via.host


@_via_part("port")
def via_port(via: Via) -> Value:
    """The port, when there is one."""
    return via.port


@_via_part("comment")
def via_comment(via: Via) -> Value:
    """The comment in parentheses at the end."""
    return via.comment


@_via_part("params")
def via_params(via: Via) -> Value:
    """All parameters as written."""
    return via.params


@_via_part("branch")
def via_branch(via: Via) -> Value:
    """The parameter `branch`."""
    return via.branch


@_via_part("received")
def via_received(via: Via) -> Value:
    """The parameter `received`."""
    return via.received


@_via_part("rport")
def via_rport(via: Via) -> Value:
    """The value of the parameter `rport`; NULL when it has none."""
    return via.rport


@text_transformation("via", "param", kinds=("string",))
def via_param(text: str, name: str) -> Value:
    """The value of a parameter: empty when it has none, NULL when it is not there."""
    via = _via(text) if len(text) <= _LONGEST else None
    return None if via is None else via.parameters.get(name)


# -- {param.…} -----------------------------------------------------------------------------------------------------


@text_transformation("param", "value", kinds=("string",))
def param_value(text: str, name: str) -> Value:
    """The value of a parameter in `a=1;b`: empty when it has none, NULL when it is not there."""
    found = _parameters(text) if len(text) <= _LONGEST else None
    return None if found is None else found.get(name)


@text_transformation("param", "exist", "exists", kinds=("string",))
def param_exist(text: str, name: str) -> Value:
    """1 when there is a parameter of this name, else 0."""
    found = _parameters(text) if len(text) <= _LONGEST else None
    return None if found is None else int(name in found)


@text_transformation("param", "name", kinds=("integer",))
def param_name(text: str, index: int) -> Value:
    """The name of a parameter by its place; a negative index counts from the last one."""
    found = _parameters(text) if len(text) <= _LONGEST else None
    if found is None or not -len(found) <= index < len(found):
        return None
    return found.items[index].name


@text_transformation("param", "valueat", kinds=("integer",))
def param_valueat(text: str, index: int) -> Value:
    """The value of a parameter by its place; a negative index counts from the last one."""
    found = _parameters(text) if len(text) <= _LONGEST else None
    if found is None or not -len(found) <= index < len(found):
        return None
    return found.items[index].value or ""


@text_transformation("param", "count")
def param_count(text: str) -> Value:
    """How many parameters there are."""
    found = _parameters(text) if len(text) <= _LONGEST else None
    return None if found is None else len(found)
