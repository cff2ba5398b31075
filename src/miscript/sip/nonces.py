"""Nonces of digest challenges: made without keeping them, recognised when they come back, good for one answer.

A nonce holds the time at which it was made, a number that no other has, and its algorithm, sealed with a secret: who
has the secret needs no list of what it gave out.  `UsedNonces` remembers those that were answered until their time
is over, so that credentials that somebody read on the way are of no use.  Time is passed in, as seconds since the
epoch.

Source: RFC 7616 sections 3.3 and 5.4; OpenSIPS manual, module auth.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .digest_response import Algorithm

MOST_REMEMBERED: Final = 100_000
"""Nonces whose answers are remembered; when there are more, answers to others are refused as stale."""

_LAYOUT = struct.Struct(">QIB")
_SEAL = 16
_LENGTH = (_LAYOUT.size + _SEAL + 2) // 3 * 4
_ALGORITHMS = tuple(Algorithm)


class Standing(Enum):
    """What a nonce that came back is worth."""

    GOOD = "made by us and in time"
    STALE = "made by us, too long ago"
    FOREIGN = "not made by us"


@dataclass(frozen=True, slots=True)
class Nonce:
    """What a nonce says: when it was made (seconds since the epoch), its number, its algorithm."""

    made: float
    number: int
    algorithm: Algorithm


class NonceMaker:
    """Makes nonces and recognises them.  `lifetime` is in seconds."""

    def __init__(self, secret: bytes, lifetime: float, first: int = 0) -> None:
        self._secret = secret
        self.lifetime = lifetime
        self._next = first

    def make(self, now: float, algorithm: Algorithm) -> str:
        """A new nonce."""
        self._next = (self._next + 1) & 0xFFFF_FFFF
        body = _LAYOUT.pack(int(now * 1000), self._next, _ALGORITHMS.index(algorithm))
        return base64.b64encode(body + self._seal(body)).decode("ascii")

    def read(self, text: str) -> Nonce | None:
        """What a nonce says; None when we did not make it."""
        if len(text) != _LENGTH:
            return None
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            return None
        body, seal = data[: _LAYOUT.size], data[_LAYOUT.size :]
        if not hmac.compare_digest(seal, self._seal(body)):
            return None
        made, number, algorithm = _LAYOUT.unpack(body)
        return Nonce(made / 1000, number, _ALGORITHMS[algorithm])

    def standing(self, nonce: Nonce | None, now: float) -> Standing:
        """What a nonce is worth now."""
        if nonce is None:
            return Standing.FOREIGN
        return Standing.GOOD if 0 <= now - nonce.made + 1 <= self.lifetime + 1 else Standing.STALE

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")[:_SEAL]


@dataclass(slots=True)
class _Use:
    until: float
    count: int
    request: str


class UsedNonces:
    """Which nonces have been answered."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._uses: dict[tuple[int, float], _Use] = {}

    def __len__(self) -> int:
        return len(self._uses)

    def take(self, nonce: Nonce, count: int, request: str, now: float, until: float) -> bool:
        """Whether an answer may be taken: the first one to its nonce, one with a higher `nc` (RFC 7616 section
        3.4), or the same `request` once more, as UDP repeats it.
        """
        key = (nonce.number, nonce.made)
        use = self._uses.get(key)
        if use is not None:
            if use.request == request and use.count == count:
                return True
            if count <= use.count:
                return False
            use.count, use.request = count, request
            return True
        if len(self._uses) >= self._most:
            self._forget(now)
            if len(self._uses) >= self._most:
                return False
        self._uses[key] = _Use(until, count, request)
        return True

    def _forget(self, now: float) -> None:
        """Drop what is over from the front: the oldest uses stand there."""
        while self._uses:
            key, use = next(iter(self._uses.items()))
            if use.until >= now:
                return
            del self._uses[key]
