"""Bytes as text that can stand in a Call-ID and in the parameter of a URI: base64 and base32 with other signs.

Source: RFC 4648; RFC 3261 section 25.1 (`word`, `paramchar`), which have no `=` and `/`; observed with OpenSIPS 4.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

_SIGNS = b"+."
_PAD = "-"


def to_base64(data: bytes) -> str:
    """`data` in base64, with `.` in place of `/` and `-` in place of `=`."""
    return base64.b64encode(data, _SIGNS).decode().replace("=", _PAD)


def from_base64(text: str) -> bytes | None:
    """The bytes of such a text; None when it is none."""
    return _decoded(text, lambda padded: base64.b64decode(padded, _SIGNS, validate=True))


def to_base32(data: bytes) -> str:
    """`data` in base32, with `-` in place of `=`."""
    return base64.b32encode(data).decode().replace("=", _PAD)


def from_base32(text: str) -> bytes | None:
    """The bytes of such a text; None when it is none."""
    return _decoded(text, base64.b32decode)


def _decoded(text: str, decode: Callable[[bytes], bytes]) -> bytes | None:
    if not text.isascii() or "=" in text:
        return None
    try:
        return decode(text.replace(_PAD, "=").encode())
    except (binascii.Error, ValueError):
        return None
