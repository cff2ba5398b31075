"""From and To under another name: new values, and what is kept in Record-Route to change them back.

What is kept are both URIs, so that a request of the dialog is changed in either direction.  With a password it is
sealed: who reads the header field learns nothing, and what somebody changed is not taken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...values import decode, encode

MAX_KEPT: Final = 2048
"""Longest text that is read back from a Route."""

_SEAL = 12
_TOKENS = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")


def renamed(value: str, display: str | None, uri: str) -> str:
    """The value of From or To with another display name and URI.

    `display` None keeps the name, "" removes it; `uri` "" keeps the URI.  Raises `SipSyntaxError`.
    """
    old = NameAddr.parse(value)
    if uri:
        SipUri.parse(uri)
    name = old.name if display is None else _written(display)
    params = "" if old.params is None else f";{old.params}"
    new = f"{f'{name} ' if name else ''}<{uri or old.uri}>{params}"
    if NameAddr.parse(new).uri != (uri or old.uri) or "\r" in new or "\n" in new:
        raise SipSyntaxError(f"'{new}' would be another address than its parts say", 0)
    return new


def _written(display: str) -> str:
    """A display name, in quotes where it needs them."""
    if not display or _TOKENS.fullmatch(display) or (len(display) > 1 and display[0] == display[-1] == '"'):
        return display
    escaped = display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Swap:
    """The URI that was there, and the one in its place."""

    before: str
    after: str

    def kept(self, password: str) -> str:
        """Both as a text for a parameter of Record-Route."""
        data = encode(f"{self.before}\n{self.after}")
        if password:
            seal = _seal(password, data)
            data = seal + _mixed(password, seal, data)
        return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")

    @classmethod
    def read(cls, text: str, password: str) -> Swap | None:
        """What `kept` wrote; None for anything else."""
        if len(text) > MAX_KEPT:
            return None
        try:
            data = base64.b64decode(encode(text + "=" * (-len(text) % 4)), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if password:
            seal, data = data[:_SEAL], data[_SEAL:]
            data = _mixed(password, seal, data)
            if not hmac.compare_digest(seal, _seal(password, data)):
                return None
        before, newline, after = decode(data).partition("\n")
        try:
            SipUri.parse(before)
            SipUri.parse(after)
        except SipSyntaxError:
            return None
        return cls(before, after) if newline else None


def _seal(password: str, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_SEAL, key=_key(password, b"seal")).digest()


def _mixed(password: str, seal: bytes, data: bytes) -> bytes:
    """`data` exclusive-or a stream that password and seal make; twice gives it back."""
    key, stream = _key(password, b"mix"), b""
    while len(stream) < len(data):
        stream += hashlib.blake2b(seal + len(stream).to_bytes(4, "big"), key=key).digest()
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def _key(password: str, purpose: bytes) -> bytes:
    return hashlib.blake2b(encode(password), digest_size=32, person=purpose).digest()
