"""Where an event socket is, as scripts and tables write it: `[fs://][[user]:password@]host[:port][?event[,event]]`.

An IPv6 address stands in brackets.  The last `@` ends the password, so a password may hold one.

Source: OpenSIPS manual, modules freeswitch ("FreeSWITCH ESL URL") and freeswitch_scripting (`fs_subscribe`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .errors import EslError

DEFAULT_PORT: Final = 8021
MAX_URL: Final = 4096
MAX_NAME: Final = 255
"""Characters of a host name (RFC 1035, 2.3.4), and of user and password."""

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z0-9+.-]*://", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class EventSocketAddress:
    """A FreeSWITCH server and how to log in there; user and password are "" when a URL does not tell them."""

    host: str
    port: int = DEFAULT_PORT
    user: str = ""
    password: str = field(default="", repr=False)
    events: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise EslError(f"the port must be 1 to 65535, found {self.port}")
        for what, text in (("user", self.user), ("password", self.password)):
            if len(text) > MAX_NAME or _CONTROL.search(text):
                raise EslError(f"the {what} must be at most {MAX_NAME} characters without control characters")
        if ":" in self.user:
            raise EslError("the user must have no ':', which separates it from the password")

    def __str__(self) -> str:
        """`host:port`, as lists and logs show it: without the password."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> EventSocketAddress:
        """Read a URL.  Raises EslError, whose message does not repeat the password."""
        if len(url) > MAX_URL:
            raise EslError(f"a URL of {len(url)} characters, expected at most {MAX_URL}")
        rest = url.removeprefix("fs://")
        if (scheme := _SCHEME.match(rest)) is not None:
            raise EslError(f"expected fs://, found '{scheme[0][:MAX_NAME]}'")
        rest, _, query = rest.partition("?")
        login, _, place = rest.rpartition("@")
        user, _, password = login.partition(":")
        found = _HOST_PORT.fullmatch(place)
        if found is None or len(found["v6"] or found["host"]) > MAX_NAME:
            raise EslError(f"expected [fs://][[user]:password@]host[:port], found host and port '{place[:MAX_NAME]}'")
        events = tuple(name for item in query.split(",") if (name := item.strip()))
        port = int(found["port"] or 0) or DEFAULT_PORT
        return cls(found["v6"] or found["host"], port, user, password, events)
