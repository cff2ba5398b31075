"""The variables `$tls_…`: what was agreed upon for the connection that a message came over, and both certificates.

All are NULL for messages that did not come over TLS, or whose connection is gone; `$tls_peer_…` also when the peer
has shown no certificate, but for the four that answer yes or no with 1 or 0.

Source: OpenSIPS manual, module tls_mgm, "Variables"; observed values of OpenSIPS 4.1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from ...exports import VariableExport, variable
from ...script.runtime import Run
from ...tls_service import TlsConnections, TlsSession
from ...values import INT_MAX, Value
from . import certificate as x509
from .certificate import Certificate, CertificateError, Name, parse_certificate, shown_time

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

Read = Callable[[Certificate], Value]

FIELDS: Final = {
    "cn": ("CN", "commonName"),
    "locality": ("L", "localityName"),
    "country": ("C", "countryName"),
    "state": ("ST", "stateOrProvinceName"),
    "organization": ("O", "organizationName"),
    "unit": ("OU", "organizationalUnitName"),
}
"""End of a variable's name → field of a subject or issuer."""

ALTERNATIVE_NAMES: Final = {
    "email": (x509.EMAIL, "e-mail address"),
    "hostname": (x509.HOST_NAME, "host name"),
    "uri": (x509.URI, "URI"),
    "ip": (x509.IP_ADDRESS, "IP address"),
}

SIDES: Final = {"peer": "the peer's certificate", "my": "our certificate"}


@lru_cache(maxsize=1024)
def certificate_of(der: bytes) -> Certificate | None:
    """A certificate, None when it cannot be read."""
    try:
        return parse_certificate(der)
    except CertificateError:
        return None


class TlsVariables(Base):
    """What scripts read of TLS."""

    def session(self, run: Run) -> TlsSession | None:
        """The session of the connection that the message came over."""
        message = run.message
        if message is None or not message.received.connection or message.received.transport != "tls":
            return None
        connections = cast("TlsConnections | None", self.services.find("tcp connections"))
        return None if connections is None else connections.session(message.received.connection)

    def certificate_at(self, run: Run, side: str) -> Certificate | None:
        """The certificate of `peer` or `my` side."""
        session = self.session(run)
        if session is None:
            return None
        der = session.peer_certificate if side == "peer" else session.domain.certificate
        return certificate_of(der) if der else None

    @variable("tls_version")
    def version(self, run: Run) -> Value:
        """The version of TLS, such as TLSv1.3."""
        session = self.session(run)
        return None if session is None else session.version

    @variable("tls_description")
    def description(self, run: Run) -> Value:
        """OpenSSL's line about the cipher, with its line end."""
        session = self.session(run)
        return None if session is None else f"{session.description}\n"

    @variable("tls_cipher_info")
    def cipher_info(self, run: Run) -> Value:
        """The cipher's name."""
        session = self.session(run)
        return None if session is None else session.cipher

    @variable("tls_cipher_bits")
    def cipher_bits(self, run: Run) -> Value:
        """Bits of the cipher's key."""
        session = self.session(run)
        return None if session is None else session.bits

    @variable("tls_peer_verified")
    def peer_verified(self, run: Run) -> Value:
        """1 when the peer's certificate was checked and is good, else 0."""
        session = self.session(run)
        return None if session is None else int(session.verified)

    @variable("tls_peer_revoked")
    def peer_revoked(self, run: Run) -> Value:
        """0: a revoked certificate ends the handshake."""
        return None if self.session(run) is None else 0

    @variable("tls_peer_expired")
    def peer_expired(self, run: Run) -> Value:
        """1 when the time of the peer's certificate is over, else 0."""
        return self._peer_is(run, lambda certificate: certificate.is_expired(time.time()))

    @variable("tls_peer_selfsigned")
    def peer_self_signed(self, run: Run) -> Value:
        """1 when the peer's certificate names itself as its issuer, else 0."""
        return self._peer_is(run, lambda certificate: certificate.is_self_signed)

    def _peer_is(self, run: Run, asked: Callable[[Certificate], bool]) -> Value:
        if self.session(run) is None:
            return None
        certificate = self.certificate_at(run, "peer")
        return int(certificate is not None and asked(certificate))


# -- the variables that there are for both sides ------------------------------------------------------------------


def _serial(certificate: Certificate) -> Value:
    """A number as long as a script can have it, else its digits."""
    return certificate.serial if abs(certificate.serial) <= INT_MAX else str(certificate.serial)


def _field(whose: str, name: str) -> Read:
    def read(certificate: Certificate) -> Value:
        found: Name = getattr(certificate, whose)
        return found.get(name)

    return read


def _alternative_name(tag: int) -> Read:
    return lambda certificate: certificate.first_name(tag)


def _time(attribute: str) -> Read:
    return lambda certificate: shown_time(getattr(certificate, attribute))


def _readers() -> dict[str, tuple[Read, str]]:
    """End of a variable's name → what it reads of a certificate, and how it is called."""
    readers: dict[str, tuple[Read, str]] = {
        "version": (lambda certificate: str(certificate.version), "The version of"),
        "serial": (_serial, "The serial number of"),
        "subject": (lambda certificate: str(certificate.subject), "The subject, as `/C=…/CN=…`, of"),
        "issuer": (lambda certificate: str(certificate.issuer), "The issuer, as `/C=…/CN=…`, of"),
        "subject_serial": (_field("subject", "serialNumber"), "serialNumber in the subject of"),
    }
    for whose in ("subject", "issuer"):
        for end, (name, called) in FIELDS.items():
            readers[f"{whose}_{end}"] = (_field(whose, name), f"{called} in the {whose} of")
    for end, (tag, called) in ALTERNATIVE_NAMES.items():
        readers[f"san_{end}"] = (_alternative_name(tag), f"The first alternative name that is a {called} of")
    return readers


def _export(side: str, end: str, read: Read, called: str) -> VariableExport:
    def value(self: TlsVariables, run: Run) -> Value:
        certificate = self.certificate_at(run, side)
        return None if certificate is None else read(certificate)

    value.__doc__ = f"{called} {SIDES[side]}."
    return variable(f"tls_{side}_{end}")(cast(Callable[..., Any], value))


for _side in SIDES:
    for _end, (_read, _called) in _readers().items():
        setattr(TlsVariables, f"{_side}_{_end}", _export(_side, _end, _read, _called))
for _end, _moment in (("notBefore", "not_before"), ("notAfter", "not_after")):
    setattr(TlsVariables, f"peer_{_moment}", _export("peer", _end, _time(_moment), f"{_end}, a time, of"))
