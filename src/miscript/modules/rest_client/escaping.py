"""`{rest.escape}` and `{rest.unescape}`: percent-encoding as RFC 3986 has it.

Every byte but letters, digits and `- . _ ~` is escaped.  A `%` without two hexadecimal digits behind it, and a `+`,
stand for themselves.

Source: RFC 3986, section 2; OpenSIPS manual, module rest_client.
"""

from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes

from ...script.signatures import TransformationSignature
from ...values import Value, decode, encode, plain_text


def escape(value: Value) -> Value:
    """Percent-encode a text; NULL stays NULL."""
    return None if value is None else quote_from_bytes(encode(plain_text(value)), safe="")


def unescape(value: Value) -> Value:
    """Undo percent-encoding; NULL stays NULL."""
    return None if value is None else decode(unquote_to_bytes(encode(plain_text(value))))


TRANSFORMATIONS = (
    TransformationSignature("rest", "escape", (), 0, "Percent-encode a text.", function=escape),
    TransformationSignature("rest", "unescape", (), 0, "Undo percent-encoding.", function=unescape),
)
