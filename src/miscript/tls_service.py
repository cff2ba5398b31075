"""What TLS is made of, for whoever opens connections: domains, which module `tls_mgm` has, and how connections behave,
which module `proto_tls` says.

`tls_mgm` offers its `TlsDomains` as `tls domains`, `proto_tls` its `TlsBehaviour` as `tls behaviour`; the host
opens and takes connections, and offers a `TlsConnections` as `tcp connections`.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .values import Value

Place: TypeAlias = tuple[str, int]
"""An address without brackets, and a port."""

Noted: TypeAlias = Sequence[Mapping[str, list[Value]]]
"""AVPs that go with a message, each set before the next: those of its branch, those of its transaction."""


@dataclass(frozen=True, slots=True, eq=False)
class TlsDomain:
    """Certificates and rules of a connection; one that is loaded again is another object.

    `certificate` is our own one in DER.
    """

    name: str
    context: ssl.SSLContext
    certificate: bytes


class TlsDomains(Protocol):
    """Which domain a connection belongs to."""

    def for_server(self, local: Place, server_name: str | None) -> TlsDomain | None:
        """The domain of a connection that came to `local` and asks for `server_name`; None when there is none."""

    def for_client(self, peer: Place, noted: Noted = ()) -> TlsDomain | None:
        """The domain of a connection to `peer`, for a message with `noted` AVPs; None when there is none."""

    def named_client(self, name: str) -> TlsDomain | None:
        """The domain for connections of ours that is called `name`; None when there is none."""


@dataclass(frozen=True, slots=True)
class TlsBehaviour:
    """Seconds for a handshake and for what waits to be sent; pieces that a message may come in.

    `answers_pings`: CRLF CRLF gets its CRLF.  `same_domain`: a connection of ours is used again only for messages of
    its own domain.
    """

    handshake: float = 3.0
    send: float = 10.0
    pieces: int = 4
    answers_pings: bool = True
    same_domain: bool = False


@dataclass(frozen=True, slots=True)
class Tls:
    """All that opens and takes TLS connections."""

    domains: TlsDomains
    behaviour: TlsBehaviour


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What was agreed upon in a handshake.

    `description` is OpenSSL's line about the cipher; `peer_certificate` is DER, None when the peer has shown none.
    `verified`: it was checked, and a CA of ours vouches for it.
    """

    domain: TlsDomain
    version: str
    cipher: str
    bits: int
    description: str
    peer_certificate: bytes | None
    verified: bool

    @classmethod
    def of(cls, domain: TlsDomain, agreed: ssl.SSLObject) -> TlsSession:
        """The session of a handshake that is done."""
        cipher, _, bits = agreed.cipher() or ("", "", 0)
        peer = agreed.getpeercert(binary_form=True)
        checks = domain.context.verify_mode is not ssl.CERT_NONE
        description = next(
            (str(known["description"]) for known in domain.context.get_ciphers() if known["name"] == cipher), cipher
        )
        return cls(domain, agreed.version() or "", cipher, bits, description, peer, checks and peer is not None)


class TlsConnections(Protocol):
    """The connections of the host."""

    def session(self, number: int) -> TlsSession | None:
        """The session of connection `number`; None when it is gone or has no TLS."""
