"""Bytes that only who knows a password can read or make.

What is given to others and comes back, in a Contact or in a URI, is hidden from them and cannot be changed by them.

The seal is a digest of the bytes, and begins the stream that hides them (RFC 5297 does the same with AES): the same
bytes always give the same, two texts never share a stream.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from ..values import encode

SEAL: Final = 8
"""Bytes of a seal."""


class Sealing:
    """Seals and opens with one password."""

    def __init__(self, password: str) -> None:
        self._key = hashlib.blake2b(encode(password), digest_size=32).digest()

    def sealed(self, data: bytes) -> bytes:
        """The bytes, hidden, behind their seal."""
        seal = self._digest(data, b"seal", SEAL)
        return seal + self._streamed(data, seal)

    def opened(self, sealed: bytes) -> bytes | None:
        """What was sealed; None when it was not sealed with this password."""
        seal, data = sealed[:SEAL], self._streamed(sealed[SEAL:], sealed[:SEAL])
        return data if hmac.compare_digest(seal, self._digest(data, b"seal", SEAL)) else None

    def _streamed(self, data: bytes, seal: bytes) -> bytes:
        blocks = range((len(data) + 63) // 64)
        stream = b"".join(self._digest(seal + number.to_bytes(4), b"stream", 64) for number in blocks)
        return bytes(a ^ b for a, b in zip(data, stream, strict=False))

    def _digest(self, data: bytes, purpose: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, digest_size=size, key=self._key, person=purpose).digest()
