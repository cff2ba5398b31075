"""What the parameters of `tls_mgm`, or the rows of its table, say of a domain, and the `ssl` context that makes of it.

Everything is read once, when the domain is made: certificates, keys and lists of CAs.  Directories (`ca_dir`,
`crl_dir`) are looked into by OpenSSL when a certificate is checked.  What a file holds is never part of a message.

Source: OpenSIPS manual, module tls_mgm; observed behaviour of OpenSIPS 4.1.
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ...certificate_files import PairRefused, load_pair
from ...errors import ConfigurationError
from ...tls_service import TlsDomain

DEFAULT_CERTIFICATE: Final = "/etc/opensips/tls/cert.pem"
DEFAULT_KEY: Final = "/etc/opensips/tls/ckey.pem"
DEFAULT_CA_DIR: Final = "/etc/pki/CA/"
ANY: Final = "*"
NO_NAME: Final = "none"

VERSIONS: Final = {
    "tlsv1": ("TLSv1", ssl.TLSVersion.TLSv1),
    "tlsv1_1": ("TLSv1_1", ssl.TLSVersion.TLSv1_1),
    "tlsv1_2": ("TLSv1_2", ssl.TLSVersion.TLSv1_2),
    "tlsv1_3": ("TLSv1_3", ssl.TLSVersion.TLSv1_3),
}
"""Name of a version in lower case → as it is shown, as `ssl` has it."""

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

File: TypeAlias = str | bytes
"""A path, or what the file would hold."""


@dataclass(slots=True)
class DomainSettings:
    """One domain as it is written; texts are kept as they are, "" is what was not given."""

    name: str
    is_server: bool
    addresses: tuple[str, ...] = (ANY,)
    sip_domains: tuple[str, ...] = (ANY,)
    method: str = "SSLv23"
    verifies: bool = True
    requires: bool = True
    certificate: File = ""
    private_key: File = ""
    ca_list: File = ""
    ca_dir: str = ""
    crl_dir: str = ""
    crl_check_all: bool = False
    ciphers: str = ""
    dh_params: File = ""
    ec_curve: str = ""
    from_table: bool = False
    given: dict[str, str] = field(default_factory=dict)
    """Parameter → its whole text in the script, to find its line."""

    def shown(self) -> dict[str, object]:
        """The domain as MI lists it; certificates of a table are not shown, and no key ever is."""
        files: dict[str, tuple[str, File]] = {
            "CERT_FILE": (DEFAULT_CERTIFICATE, self.certificate),
            "CA_FILE": ("", self.ca_list),
            "PKEY_FILE": (DEFAULT_KEY, self.private_key),
            "DH_PARAMS_FILE": ("", self.dh_params),
        }
        listed: dict[str, object] = {
            "name": self.name,
            "type": "TLS_DOMAIN_SRV" if self.is_server else "TLS_DOMAIN_CLI",
            "IP ADDRESS FILTERS": list(reversed(self.addresses)),
            "SIP DOMAIN FILTERS": list(reversed(self.sip_domains)),
            "METHOD": shown_method(self.method),
            "VERIFY_CERT": self.verifies,
            "REQ_CLI_CERT": self.requires,
            "CRL_CHECKALL": self.crl_check_all,
            "CERT_FILE": None,
            "CRL_DIR": self.crl_dir,
            "CA_FILE": None,
            "CA_DIR": self.ca_dir or DEFAULT_CA_DIR,
            "PKEY_FILE": None,
            "CIPHER_LIST": self.ciphers,
            "DH_PARAMS_FILE": None,
            "EC_CURVE": self.ec_curve,
        }
        for name, (default, value) in files.items():
            if self.from_table:
                del listed[name]
            else:
                listed[name] = value or default
        return listed


class SettingError(ConfigurationError):
    """A domain cannot be made; `parameter` and `value` name the line that is at fault."""

    def __init__(self, settings: DomainSettings, parameter: str, problem: str) -> None:
        super().__init__(
            f"domain '{settings.name}': {parameter}: {problem}",
            parameter=parameter if parameter in settings.given else _DEFINED[settings.is_server],
            value=settings.given.get(parameter, settings.name),
        )


_DEFINED: Final = {True: "server_domain", False: "client_domain"}


# -- versions -----------------------------------------------------------------------------------------------------


def method_range(text: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The lowest and highest version of a `tls_method`.  Raises ValueError."""
    wanted = text.strip().lower()
    if wanted == "sslv23":
        return ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    low, dash, high = (part.strip() for part in wanted.partition("-"))
    if not dash:
        high = low
    lowest, highest = VERSIONS.get(low or ("tlsv1" if dash else "")), VERSIONS.get(high or ("tlsv1_3" if dash else ""))
    if lowest is None or highest is None:
        known = ", ".join(name for name, _ in VERSIONS.values())
        raise ValueError(f"'{text}' is no method, expected SSLv23, one of {known}, or a range such as TLSv1_2-TLSv1_3")
    if lowest[1] > highest[1]:
        raise ValueError(f"'{text}' is a range without a version")
    return lowest[1], highest[1]


def shown_method(text: str) -> str:
    """A `tls_method` as MI shows it: one name, or both ends of a range."""
    if text.strip().lower() == "sslv23":
        return "SSLv23"
    names = {version: name for name, version in VERSIONS.values()}
    low, high = (names[version] for version in method_range(text))
    return low if low == high else f"{low}-{high}"


# -- contexts -----------------------------------------------------------------------------------------------------


def make_domain(settings: DomainSettings) -> TlsDomain:
    """Read everything a domain names.  Raises SettingError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if settings.is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # as the server: whose certificate it is the script may look at
    context.verify_mode = _verify_mode(settings)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _set_versions(context, settings)
    if settings.ciphers:
        with _blamed(settings, "ciphers_list", f"'{settings.ciphers}' names no cipher that OpenSSL has"):
            context.set_ciphers(settings.ciphers)
    if settings.ec_curve:
        with _blamed(settings, "ec_curve", f"OpenSSL has no curve '{settings.ec_curve}'"):
            context.set_ecdh_curve(settings.ec_curve)
    if settings.dh_params:
        _read(settings, "dh_params", settings.dh_params, context.load_dh_params)
    _load_authorities(context, settings)
    return TlsDomain(settings.name, context, _load_certificate(context, settings))


def _verify_mode(settings: DomainSettings) -> ssl.VerifyMode:
    if not settings.verifies:
        return ssl.CERT_NONE
    return ssl.CERT_REQUIRED if settings.requires or not settings.is_server else ssl.CERT_OPTIONAL


def _set_versions(context: ssl.SSLContext, settings: DomainSettings) -> None:
    try:
        low, high = method_range(settings.method)
    except ValueError as error:
        raise SettingError(settings, "tls_method", str(error)) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who names an old version means it
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED  # so that no step leaves an empty range
        context.maximum_version = high
        context.minimum_version = low


def _load_authorities(context: ssl.SSLContext, settings: DomainSettings) -> None:
    if settings.ca_list:
        _read(settings, "ca_list", settings.ca_list, lambda path: context.load_verify_locations(cafile=path))
    ca_dir = settings.ca_dir or DEFAULT_CA_DIR
    if Path(ca_dir).is_dir():
        context.load_verify_locations(capath=ca_dir)
    if settings.crl_dir:
        if not Path(settings.crl_dir).is_dir():
            raise SettingError(settings, "crl_dir", f"'{settings.crl_dir}' is no directory")
        context.load_verify_locations(capath=settings.crl_dir)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if settings.crl_check_all else ssl.VERIFY_CRL_CHECK_LEAF


def _load_certificate(context: ssl.SSLContext, settings: DomainSettings) -> bytes:
    """Our own certificate, in DER; a client domain that names none has none, unless the default one is there."""
    certificate, key = settings.certificate or DEFAULT_CERTIFICATE, settings.private_key or DEFAULT_KEY
    named = settings.certificate or settings.private_key
    if not settings.is_server and not named and not Path(DEFAULT_CERTIFICATE).is_file():
        return b""
    for parameter, given, usual in (
        ("certificate", settings.certificate, DEFAULT_CERTIFICATE),
        ("private_key", settings.private_key, DEFAULT_KEY),
    ):
        if not given and not Path(usual).is_file():
            raise SettingError(settings, parameter, f"it is not set, and its default '{usual}' is not there")
    with _as_file(settings, "certificate", certificate) as path, _as_file(settings, "private_key", key) as key_path:
        try:
            load_pair(context, path, key_path)
        except PairRefused as error:
            parameter, file = {"certificate": ("certificate", certificate), "private key": ("private_key", key)}[
                error.half
            ]
            named = f"'{file}': " if isinstance(file, str) else ""
            raise SettingError(settings, parameter, f"{named}{error}") from None
    found = _CERTIFICATE.search(_content(certificate))
    return ssl.PEM_cert_to_DER_cert(found[0].decode("ascii", "replace")) if found is not None else b""


def _content(file: File) -> bytes:
    return Path(file).read_bytes() if isinstance(file, str) else file


# -- files --------------------------------------------------------------------------------------------------------


@contextmanager
def _blamed(settings: DomainSettings, parameter: str, problem: str) -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, ValueError):
        raise SettingError(settings, parameter, problem) from None


def _read(settings: DomainSettings, parameter: str, file: File, load: Callable[[str], None]) -> None:
    with _as_file(settings, parameter, file) as path:
        try:
            load(path)
        except (ssl.SSLError, ValueError) as error:
            what = f"'{file}': " if isinstance(file, str) else ""
            reason = getattr(error, "reason", None)
            why = f" ({reason.lower().replace('_', ' ')})" if reason else ""
            raise SettingError(settings, parameter, f"{what}OpenSSL can use nothing in it{why}") from None


@contextmanager
def _as_file(settings: DomainSettings, parameter: str, file: File) -> Iterator[str]:
    """A path to `file`, for functions that take nothing else; what came from a table stays in memory."""
    if isinstance(file, str):
        try:
            with open(file, "rb"):
                pass
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no name of a file"
            raise SettingError(settings, parameter, f"'{file}': {reason}") from None
        yield file
    elif hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tls")
        try:
            os.write(descriptor, file)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as temporary:  # for nobody else to read, and gone at the end
            temporary.write(file)
            temporary.flush()
            yield temporary.name
