"""The TLS side of httpd: what `tls_cert_file`, `tls_key_file` and `tls_ciphers` mean here.

OpenSIPS' httpd takes a GnuTLS priority string, Python's ssl an OpenSSL cipher list.  The default of the parameter is
a GnuTLS string and means: TLS 1.2 and newer, with OpenSSL's own choice of ciphers.
"""

from __future__ import annotations

import re
import ssl
from typing import Final

from ...certificate_files import PairRefused, load_pair
from ...errors import ConfigurationError

DEFAULT_CIPHERS: Final = "SECURE256:+SECURE192:-VERS-ALL:+VERS-TLS1.2"
_GNUTLS: Final = re.compile(
    r"VERS-|^(NORMAL|SECURE\d+|SUITEB\d+|PERFORMANCE|PFS|LEGACY|SYSTEM)\b|(^|:)[+-]\w*-?ALL\b|%"
)


def server_context(certificate: str, key: str, ciphers: str) -> ssl.SSLContext | None:
    """The context for a server, None without certificate and key.  Raises ConfigurationError."""
    if not certificate and not key:
        return None
    if not certificate or not key:
        given, missing = ("tls_key_file", "tls_cert_file") if key else ("tls_cert_file", "tls_key_file")
        raise ConfigurationError(f"'{given}' is set, '{missing}' is not; TLS needs both", parameter=given)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _set_ciphers(context, ciphers)
    _load(context, certificate, key)
    return context


def _set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    if ciphers == DEFAULT_CIPHERS:
        return
    if _GNUTLS.search(ciphers):
        raise ConfigurationError(
            f"'tls_ciphers' is '{ciphers}', a priority string of GnuTLS; expected a cipher list of OpenSSL",
            parameter="tls_ciphers",
            help="leave 'tls_ciphers' out for TLS 1.2 and newer, or write a list like 'ECDHE+AESGCM'",
        )
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        raise ConfigurationError(
            f"'tls_ciphers' is '{ciphers}', which names no cipher that OpenSSL has", parameter="tls_ciphers"
        ) from None


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    for path, name in ((certificate, "tls_cert_file"), (key, "tls_key_file")):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ConfigurationError(f"'{name}': '{path}': {error.strerror}", parameter=name) from None
    try:
        load_pair(context, certificate, key)
    except PairRefused as error:
        name, path = {"certificate": ("tls_cert_file", certificate), "private key": ("tls_key_file", key)}[error.half]
        raise ConfigurationError(f"'{name}': '{path}': {error}", parameter=name) from None
