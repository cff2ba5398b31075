"""What a `db_url` says: scheme://user:password@host:port/database?parameters.

A password ends at the first `@`, as it does in OpenSIPS; nothing is percent-decoded.  A host may be an IPv6 address in
brackets, or `unix(/path)`, a socket of this machine.

Source: OpenSIPS manual, "Database Interface"; observed reading of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..database import masked
from ..errors import ConfigurationError

SSL_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")

PARAMETERS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""What may stand behind the `?` of a URL with a host."""

_PLACE = re.compile(
    r"(?:unix\((?P<socket>[^)]+)\)|\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^/:?\[\]()]*))"
    r"(?::(?P<port>[0-9]{1,5}))?/(?P<database>[^?/]+)(?:\?(?P<parameters>.*))?"
)


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """Where a database server is, and who asks it."""

    user: str
    password: str | None
    host: str
    port: int | None
    socket: str
    database: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def server_url(url: str) -> ServerUrl:
    """What the URL of a server says.  Raises ConfigurationError."""
    _, separator, rest = url.partition("://")
    user, at, place = rest.partition("@")
    if not at:
        user, place = "", rest
    name, colon, password = user.partition(":")
    matched = _PLACE.fullmatch(place) if separator else None
    if matched is None or (matched["port"] and not 0 < int(matched["port"]) < 65536):
        raise ConfigurationError(f"expected scheme://user:password@host:port/database, found '{masked(url)}'")
    return ServerUrl(
        name,
        password if colon else None,
        matched["ipv6"] or matched["host"] or "localhost",
        int(matched["port"]) if matched["port"] else None,
        matched["socket"] or "",
        matched["database"],
        _parameters(url, matched["parameters"] or ""),
    )


def _parameters(url: str, text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for piece in filter(None, text.split("&")):
        name, _, value = piece.partition("=")
        if name in ("tls_domain", "tls_opts"):
            raise ConfigurationError(
                f"'{masked(url)}': '{name}' names a domain of tls_mgm, which is not available here",
                help="say sslmode=require, verify-ca or verify-full, and sslrootcert=FILE, in its place",
            )
        if name not in PARAMETERS:
            raise ConfigurationError(
                f"'{masked(url)}': '{name}' is no parameter of a database URL; there are {', '.join(PARAMETERS)}"
            )
        found[name] = value
    if found.get("sslmode", "disable") not in SSL_MODES:
        raise ConfigurationError(
            f"'{masked(url)}': sslmode is one of {', '.join(SSL_MODES)}, found '{found['sslmode']}'"
        )
    return found


def file_of(url: str) -> str:
    """The file that `sqlite:///PATH` or `sqlite:/PATH` names; SQLAlchemy's four slashes are fine, too.

    Raises ConfigurationError.
    """
    matched = re.fullmatch(r"sqlite:(?:/{2,3})?(/[^/?\0](?:[^?\0]*[^?\0/])?)(\?.*)?", url)
    if matched is None:
        raise ConfigurationError(f"expected sqlite:///PATH, the path of a file; found '{url}'")
    if matched[2]:
        raise ConfigurationError(
            f"'{url}': the URL of a file takes no parameters; db_sqlite has busy_timeout and exec_pragma"
        )
    return matched[1]


def ssl_context(parameters: Mapping[str, str]) -> ssl.SSLContext | None:
    """The certificates that a connection must have; None without TLS.  Raises ConfigurationError."""
    mode = parameters.get("sslmode", "disable")
    if mode in ("disable", "prefer"):
        return None
    context = ssl.create_default_context()
    context.check_hostname = mode == "verify-full"
    try:
        if mode == "require":
            context.verify_mode = ssl.CERT_NONE
        elif "sslrootcert" in parameters:
            context.load_verify_locations(parameters["sslrootcert"])
        if "sslcert" in parameters:
            context.load_cert_chain(parameters["sslcert"], parameters.get("sslkey"))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the certificates of a database URL cannot be read: {error}") from error
    return context
