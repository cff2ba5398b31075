"""Certificates and keys in files: `load_pair` hands both to OpenSSL, and says which one is wrong and why.

OpenSSL's own words for a file that it cannot read ("PEM lib") tell nobody what to do, so the file is looked at again
when it was refused.

Source: RFC 7468 (textual encodings of PKIX); Python manual, module ssl.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final, Literal

Half = Literal["certificate", "private key"]

_LABELS: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_DER: Final = re.compile(rb"\x30[\x80-\x84]")
_MARKS: Final[dict[Half, str]] = {"certificate": "BEGIN CERTIFICATE", "private key": "BEGIN PRIVATE KEY"}
_CONVERSIONS: Final[dict[Half, str]] = {"certificate": "openssl x509", "private key": "openssl pkey"}


class PairRefused(ValueError):
    """OpenSSL does not take a certificate with its key: `half` is the one at fault; `str` tells why."""

    def __init__(self, half: Half, problem: str) -> None:
        super().__init__(problem)
        self.half = half


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give `context` a certificate (with its chain) and its key, two paths.  Raises PairRefused and OSError."""
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _EncryptedKey as error:
        raise PairRefused("private key", str(error)) from None
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise PairRefused("private key", "it is not the key of the certificate") from None
        half, content = _at_fault(Path(certificate).read_bytes(), Path(key).read_bytes())
        raise PairRefused(half, what_is_wrong(content, half, error.reason)) from None


def what_is_wrong(content: bytes, wanted: Half, openssl: str | None = None) -> str:
    """Why `content`, which OpenSSL has refused with the reason `openssl`, is no certificate or key in PEM form."""
    mark = f"'-----{_MARKS[wanted]}-----'"
    labels = [label.decode() for label in _LABELS.findall(content)]
    if not content.strip():
        return f"it is empty, expected a {wanted} in PEM form"
    if _DER.match(content):
        return f"it is DER, expected PEM, with {mark}: `{_CONVERSIONS[wanted]} -inform DER -in FILE` converts it"
    if not labels:
        return f"it is no PEM file, expected a {wanted}, which begins with {mark}"
    if not any(_is_wanted(label, wanted) for label in labels):
        return f"it holds {_listed(labels)}, expected a {wanted}"
    why = f": {openssl.lower().replace('_', ' ')}" if openssl else ""
    return f"its {wanted} cannot be read: it is damaged, or weaker than OpenSSL allows{why}"


def _at_fault(certificate: bytes, key: bytes) -> tuple[Half, bytes]:
    """The certificate, unless it can be read: then it must be the key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return "certificate", certificate
    return "private key", key


def _is_wanted(label: str, wanted: Half) -> bool:
    return label.endswith("PRIVATE KEY") if wanted == "private key" else label.endswith("CERTIFICATE")


def _listed(labels: list[str]) -> str:
    names = dict.fromkeys(label.lower() for label in labels)
    return " and ".join(f"{'an' if name[0] in 'aeio' else 'a'} {name}" for name in names)


class _EncryptedKey(ValueError):
    """A key wants a password."""


def _no_password() -> str:
    """An encrypted key must not make the host ask its terminal."""
    raise _EncryptedKey("the key is encrypted, expected one without a password: `openssl pkey -in FILE` decrypts it")
