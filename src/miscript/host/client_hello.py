"""The first bytes of a TLS client: which server it asks for.

The domain of a connection decides about versions, ciphers and certificates, so it has to be known before OpenSSL sees
the first byte.  Nothing else is read here, and nothing is believed: OpenSSL gets the same bytes and judges them.

Source: RFC 8446 sections 4.1.2 and 5.1 (the same in TLS 1.0 to 1.2), RFC 6066 section 3 (server_name).
"""

from __future__ import annotations

from typing import Final

HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
SERVER_NAME: Final = 0
HOST_NAME: Final = 0
MAX_RECORD: Final = 1 << 14
MAX_HELLO: Final = 1 << 14
"""Bytes of the longest ClientHello that is taken."""


class NoClientHelloError(ValueError):
    """What came is not the beginning of TLS."""


class _Reader:
    """Takes numbers and vectors from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise NoClientHelloError("a ClientHello that is cut off")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Bytes whose count stands in front of them, in `size` bytes."""
        return self.take(self.number(size))


def hello_in(data: bytes) -> bytes | None:
    """The ClientHello at the front of a stream, without the heads of records; None while it is not complete.

    Raises NoClientHelloError.
    """
    message = bytearray()
    at = 0
    while True:
        head = data[at : at + 5]
        if head and (head[0] != HANDSHAKE or (len(head) > 1 and head[1] != 3)):
            raise NoClientHelloError("it is no TLS")
        if len(head) < 5:
            return None
        length = int.from_bytes(head[3:5], "big")
        if not 0 < length <= MAX_RECORD:
            raise NoClientHelloError(f"a record of {length} bytes")
        at += 5
        message += data[at : at + length]
        if message and message[0] != CLIENT_HELLO:
            raise NoClientHelloError("it does not begin with a ClientHello")
        if len(message) >= 4:
            needed = 4 + int.from_bytes(message[1:4], "big")
            if needed > MAX_HELLO:
                raise NoClientHelloError(f"a ClientHello of {needed} bytes, at most {MAX_HELLO} are taken")
            if len(message) >= needed:
                return bytes(message[4:needed])
        if at + length > len(data):
            return None
        at += length


def server_name_in(hello: bytes) -> str | None:
    """The host name that a ClientHello asks for, in lower case; None when it names none.

    Raises NoClientHelloError.
    """
    reader = _Reader(hello)
    reader.take(2 + 32)  # version and random
    reader.vector(1)  # session id
    reader.vector(2)  # ciphers
    reader.vector(1)  # compression methods
    if not reader:
        return None
    extensions = _Reader(reader.vector(2))
    while extensions:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == SERVER_NAME:
            return _host_name(body)
    return None


def _host_name(extension: bytes) -> str | None:
    names = _Reader(_Reader(extension).vector(2))
    while names:
        kind, name = names.number(1), names.vector(2)
        if kind == HOST_NAME:
            try:
                return name.decode("ascii").lower().removesuffix(".")
            except UnicodeDecodeError as error:
                raise NoClientHelloError("a server name that is no ASCII") from error
    return None
