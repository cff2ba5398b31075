"""Digest credentials and challenges: Authorization, Proxy-Authorization, WWW-Authenticate, Proxy-Authenticate.

Source: RFC 3261 section 20.7, 20.27 and 25.1; RFC 7616.
"""

from __future__ import annotations

import re

from ..late_pattern import late_pattern
from .syntax import QUOTED, TOKEN, SipSyntaxError, expect, found_at, skip_blanks, unquote

MAX_FIELDS = 64
"""Most fields in one header; a longer list is refused."""

_SCHEME = late_pattern(r"[ \t\r\n]*Digest[ \t\r\n]+", re.IGNORECASE)
_EQUALS = late_pattern(r"[ \t\r\n]*=[ \t\r\n]*")
_PLAIN = late_pattern(r'[^\x00-\x20,"\x7f]+')
_COMMA = late_pattern(r",[ \t\r\n]*")


def parse_digest(text: str) -> dict[str, str]:
    """The fields of `Digest realm="example.com", nonce="…"` by their names in lower case, values without quotes.

    The first of several fields of one name counts.  Raises `SipSyntaxError`: another scheme than Digest, a field
    without a value, more than `MAX_FIELDS`.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise SipSyntaxError(f"expected 'Digest', found {found_at(text, 0)}", 0)
    fields: dict[str, str] = {}
    at = scheme.end()
    for _ in range(MAX_FIELDS):
        name, at = expect(TOKEN, text, at, "the name of a field")
        _, at = expect(_EQUALS, text, at, "'='")
        quoted = QUOTED.match(text, at)
        value, at = (quoted[0], quoted.end()) if quoted else expect(_PLAIN, text, at, f"a value for '{name}'")
        fields.setdefault(name.lower(), unquote(value))
        at = skip_blanks(text, at)
        if at >= len(text):
            return fields
        _, at = expect(_COMMA, text, at, "',' or the end")
    raise SipSyntaxError(f"more than {MAX_FIELDS} fields", at)
