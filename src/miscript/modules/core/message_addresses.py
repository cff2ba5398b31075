"""Variables that tell who a message is from and for: From, To, identities, diversion, credentials, challenge.

`$ct` and its fields, which need an index, are with the other lists in `message_variables`.
Source: OpenSIPS manual, "Core Variables"; RFC 3261, RFC 3325 (asserted identity), RFC 5806 (Diversion),
RFC 3515 (Refer-To).
"""

from __future__ import annotations

from ...sip import Message, NameAddr
from ...values import Value
from .message_parts import address_in, digest_in, message_variable, sip_uri
from .request_uri import host_of, user_of


def _uri(address: NameAddr | None) -> Value:
    return None if address is None else address.uri


def _user(address: NameAddr | None) -> Value:
    return None if address is None else user_of(sip_uri(address.uri))


def _host(address: NameAddr | None) -> Value:
    return None if address is None else host_of(sip_uri(address.uri))


def _name(address: NameAddr | None) -> Value:
    return None if address is None else address.name


def _parameter(address: NameAddr | None, name: str) -> Value:
    return None if address is None else address.parameters.get(name) or None


# -- From and To ----------------------------------------------------------------------------------------------------


@message_variable("fu", "from")
def from_uri(message: Message) -> Value:
    """The URI of From."""
    return _uri(address_in(message, "From"))


@message_variable("fU", "from.user")
def from_user(message: Message) -> Value:
    """The user of From."""
    return _user(address_in(message, "From"))


@message_variable("fd", "from.domain")
def from_domain(message: Message) -> Value:
    """The host of From."""
    return _host(address_in(message, "From"))


@message_variable("fn")
def from_name(message: Message) -> Value:
    """The display name of From as written, with its quotes."""
    return _name(address_in(message, "From"))


@message_variable("ft")
def from_tag(message: Message) -> Value:
    """The tag of From."""
    return _parameter(address_in(message, "From"), "tag")


@message_variable("tu", "to")
def to_uri(message: Message) -> Value:
    """The URI of To."""
    return _uri(address_in(message, "To"))


@message_variable("tU", "to.user")
def to_user(message: Message) -> Value:
    """The user of To."""
    return _user(address_in(message, "To"))


@message_variable("td", "to.domain")
def to_domain(message: Message) -> Value:
    """The host of To."""
    return _host(address_in(message, "To"))


@message_variable("tn")
def to_name(message: Message) -> Value:
    """The display name of To as written, with its quotes."""
    return _name(address_in(message, "To"))


@message_variable("tt")
def to_tag(message: Message) -> Value:
    """The tag of To, NULL outside of a dialog."""
    return _parameter(address_in(message, "To"), "tag")


# -- identities -----------------------------------------------------------------------------------------------------


@message_variable("ai")
def asserted_identity(message: Message) -> Value:
    """The first URI of P-Asserted-Identity."""
    return _uri(address_in(message, "P-Asserted-Identity"))


@message_variable("pu")
def preferred_uri(message: Message) -> Value:
    """The first URI of P-Preferred-Identity."""
    return _uri(address_in(message, "P-Preferred-Identity"))


@message_variable("pU")
def preferred_user(message: Message) -> Value:
    """The user of P-Preferred-Identity."""
    return _user(address_in(message, "P-Preferred-Identity"))


@message_variable("pd")
def preferred_domain(message: Message) -> Value:
    """The host of P-Preferred-Identity."""
    return _host(address_in(message, "P-Preferred-Identity"))


@message_variable("pn")
def preferred_name(message: Message) -> Value:
    """The display name of P-Preferred-Identity as written, with its quotes."""
    return _name(address_in(message, "P-Preferred-Identity"))


@message_variable("re")
def remote_party(message: Message) -> Value:
    """The URI of Remote-Party-ID."""
    return _uri(address_in(message, "Remote-Party-ID"))


@message_variable("rt")
def refer_to(message: Message) -> Value:
    """The URI of Refer-To."""
    return _uri(address_in(message, "Refer-To"))


@message_variable("di")
def diversion(message: Message) -> Value:
    """The URI of the first Diversion."""
    return _uri(address_in(message, "Diversion"))


@message_variable("dir")
def diversion_reason(message: Message) -> Value:
    """The `reason` parameter of the first Diversion."""
    return _parameter(address_in(message, "Diversion"), "reason")


@message_variable("dip")
def diversion_privacy(message: Message) -> Value:
    """The `privacy` parameter of the first Diversion."""
    return _parameter(address_in(message, "Diversion"), "privacy")


# -- credentials ----------------------------------------------------------------------------------------------------


def _credentials(message: Message, field: str) -> str | None:
    """A field of Proxy-Authorization or, when there is none, of Authorization."""
    name = "Authorization" if message.header("Proxy-Authorization") is None else "Proxy-Authorization"
    fields = digest_in(message, name)
    return None if fields is None else fields.get(field) or None


@message_variable("Au")
def accounted_user(message: Message) -> Value:
    """Who to account the request to: user and host of From as `user@host`."""
    address = address_in(message, "From")
    uri = None if address is None else sip_uri(address.uri)
    return None if uri is None else f"{uri.user or ''}@{uri.host}"


@message_variable("aU")
def credentials_username(message: Message) -> Value:
    """The whole username of the credentials."""
    return _credentials(message, "username")


@message_variable("au")
def credentials_user(message: Message) -> Value:
    """The username of the credentials up to its `@`."""
    username = _credentials(message, "username")
    return None if username is None else username.partition("@")[0] or None


@message_variable("ad")
def credentials_domain(message: Message) -> Value:
    """The username of the credentials from its `@` on; NULL when it has none."""
    return (_credentials(message, "username") or "").partition("@")[2] or None


def _declare_digest() -> None:
    """The fields of credentials and challenge that are given as they are."""
    credentials = {
        "ar": "realm",
        "an": "nonce",
        "adu": "uri",
        "auth.nonce": "nonce",
        "auth.resp": "response",
        "auth.cnonce": "cnonce",
        "auth.opaque": "opaque",
        "auth.alg": "algorithm",
        "auth.qop": "qop",
        "auth.nc": "nc",
    }
    for name, field in credentials.items():
        _declare_credentials(name, field)
    for field in ("realm", "nonce", "opaque", "algorithm", "qop", "ik", "ck"):
        _declare_challenge(field)


def _declare_credentials(name: str, field: str) -> None:
    def read(message: Message) -> Value:
        return _credentials(message, field)

    read.__doc__ = f"The `{field}` of the credentials, a text."
    message_variable(name)(read)


def _declare_challenge(field: str) -> None:
    def read(message: Message) -> Value:
        fields = digest_in(message, "Proxy-Authenticate" if message.status == 407 else "WWW-Authenticate")
        return None if fields is None else fields.get(field) or None

    read.__doc__ = f"The `{field}` of the challenge in a reply: Proxy-Authenticate in a 407, else WWW-Authenticate."
    message_variable(f"challenge.{field}")(read)


_declare_digest()
