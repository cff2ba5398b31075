"""What a `cachedb_url` of Redis says: redis:GROUP://user:password@host:port,host:port/database?parameters.

Several hosts are tried in turn until one answers.  A password without a name is `:password@`; nothing is
percent-decoded.  `?socket=PATH` is a socket of this machine, `?tls_domain=NAME` a client domain of tls_mgm.

Source: OpenSIPS manual, module cachedb_redis, `cachedb_url`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ...errors import ConfigurationError

PORT: Final = 6379
_PARAMETERS: Final = ("socket", "tls_domain")
_URL = re.compile(r"redis:(?:(?P<group>[^:/@]+):)?//(?P<place>[^/?]*)(?:/(?P<database>[0-9]*))?(?:\?(?P<more>.*))?")
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """One group of servers.  `user` is empty for a password alone; `socket` and `tls_domain` are empty for none."""

    text: str
    group: str
    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str
    database: int
    socket: str
    tls_domain: str

    @property
    def name(self) -> str:
        """What scripts call it."""
        return f"redis:{self.group}" if self.group else "redis"

    @property
    def shown(self) -> str:
        """The URL without its password."""
        _, at, _ = self.text.rpartition("@")
        return self.text.replace(f":{self.password}@", ":***@") if at and self.password else self.text


def parse_url(text: str) -> RedisUrl:
    """Read a URL.  Raises ConfigurationError, whose message has no password."""
    matched = _URL.fullmatch(text)
    if matched is None:
        raise ConfigurationError(
            f"expected redis:GROUP://user:password@host:port/database, found '{_masked(text)}'",
            parameter="cachedb_url",
        )
    login, at, place = matched["place"].rpartition("@")
    user, _, password = login.partition(":")
    more = _parameters(text, matched["more"] or "")
    hosts = tuple(_host(text, each) for each in place.split(",")) if place else ()
    if more.get("socket"):
        if len(hosts) > 1:
            raise ConfigurationError(
                f"'{_masked(text)}': a socket of this machine is one server, found several hosts",
                parameter="cachedb_url",
            )
    elif not hosts:
        raise ConfigurationError(f"'{_masked(text)}' has no host", parameter="cachedb_url")
    if at and not password:
        raise ConfigurationError(
            f"'{_masked(text)}' has no password: one without a name is written ':password@'", parameter="cachedb_url"
        )
    return RedisUrl(
        text,
        matched["group"] or "",
        hosts,
        user,
        password,
        int(matched["database"] or 0),
        more.get("socket", ""),
        more.get("tls_domain", ""),
    )


def _host(url: str, text: str) -> tuple[str, int]:
    matched = _HOST.fullmatch(text.strip())
    port = int(matched["port"] or PORT) if matched else 0
    if matched is None or not 0 < port < 65536:
        raise ConfigurationError(f"'{_masked(url)}': expected host:port, found '{text}'", parameter="cachedb_url")
    return matched["ipv6"] or matched["host"], port


def _parameters(url: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in filter(None, text.split("&")):
        name, _, value = piece.partition("=")
        if name not in _PARAMETERS or not value:
            raise ConfigurationError(
                f"'{_masked(url)}': expected {' or '.join(_PARAMETERS)} with a value, found '{piece}'",
                parameter="cachedb_url",
            )
        found[name] = value
    return found


def _masked(text: str) -> str:
    return re.sub(r"//[^/]*@", "//***@", text)
