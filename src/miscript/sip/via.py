"""Via header fields: the way that a request took, and its response takes back.

Source: RFC 3261 section 20.42 and 25.1; RFC 3581 (rport).  A comment in parentheses, a leftover of RFC 2543, is
read too.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..late_pattern import late_pattern
from .parameters import NO_PARAMETERS, Parameters, parse_parameters
from .syntax import HOST, TOKEN, SipSyntaxError, expect, found_at, read_list, skip_blanks

MAX_VIAS = 256
"""Most values in one header field; Max-Forwards starts at 70."""

MAX_PORT = 65535

COOKIE: Final = "z9hG4bK"
"""What a branch begins with that is unique for its transaction (RFC 3261 section 8.1.1.7)."""

_SLASH = late_pattern(r"[ \t\r\n]*/[ \t\r\n]*")
_PORT = late_pattern(r"[ \t\r\n]*:[ \t\r\n]*([0-9]{1,5})")
_COMMENT = late_pattern(r"\(([^()]*)\)[ \t\r\n]*")


_PLAIN = late_pattern(r"([A-Za-z]+)/([0-9.]+)/([A-Za-z0-9-]+) ([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(?=[;,]|\Z)")
"""What nearly all values look like; blanks, IPv6 addresses and comments are left to the parser."""


class Via(NamedTuple):
    """`SIP/2.0/UDP host:port;params`; `params` as written, `comment` without its parentheses."""

    protocol: str
    version: str
    transport: str
    host: str
    port: int | None = None
    params: str | None = None
    parameters: Parameters = NO_PARAMETERS
    comment: str | None = None

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one value.  Raises `SipSyntaxError`."""
        found, at = cls.parse_at(text, 0)
        if at < len(text):
            raise SipSyntaxError(f"expected one Via, found {found_at(text, at)} behind it", at)
        return found

    @classmethod
    def parse_many(cls, text: str) -> tuple[Via, ...]:
        """Read values separated by commas.  Raises `SipSyntaxError`."""
        return read_list(text, cls.parse_at, MAX_VIAS, "Via values")

    @classmethod
    def parse_at(cls, text: str, at: int) -> tuple[Via, int]:
        """The value at `at` and the position behind it: that of a comma, or of the end."""
        plain = _PLAIN.match(text, at)
        if plain is not None and int(plain[5] or 0) <= MAX_PORT:
            protocol, version, transport, host, port_text = plain.groups()
            port, at = None if port_text is None else int(port_text), plain.end()
        else:
            protocol, version, transport, host, port, at = cls._parse_front(text, at)
        params, parameters = None, NO_PARAMETERS
        if text.startswith(";", at):
            first = at + 1
            parameters, at = parse_parameters(text, first, ends=",(")
            params = text[first:at].strip(" \t\r\n")
        comment = None
        if (found := _COMMENT.match(text, at)) is not None:
            comment, at = found[1], found.end()
        if at < len(text) and text[at] != ",":
            raise SipSyntaxError(f"expected ';', ',' or the end, found {found_at(text, at)}", at)
        return cls(protocol, version, transport, host, port, params, parameters, comment), at

    @classmethod
    def _parse_front(cls, text: str, at: int) -> tuple[str, str, str, str, int | None, int]:
        """All that stands before the parameters, and the position behind it."""
        protocol, at = expect(TOKEN, text, skip_blanks(text, at), "the name of a protocol")
        version, at = expect(TOKEN, text, _slash(text, at), "a version")
        transport, at = expect(TOKEN, text, _slash(text, at), "a transport")
        sent_by = skip_blanks(text, at)
        if sent_by == at:
            raise SipSyntaxError(f"expected a blank behind the transport, found {found_at(text, at)}", at)
        host, at = expect(HOST, text, sent_by, "a host")
        port, at = _parse_port(text, at)
        return protocol, version, transport, host, port, at

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        params = "" if self.params is None else f";{self.params}"
        comment = "" if self.comment is None else f" ({self.comment})"
        return f"{self.protocol}/{self.version}/{self.transport} {self.host}{port}{params}{comment}"

    @property
    def branch(self) -> str | None:
        """The `branch` parameter, which names the transaction."""
        return self.parameters.get("branch")

    @property
    def received(self) -> str | None:
        """The `received` parameter: the address that the request came from."""
        return self.parameters.get("received")

    @property
    def rport(self) -> str | None:
        """The `rport` parameter: "" in a request that asks for it, then the port that the request came from."""
        return self.parameters.get("rport")

    def with_parameter(self, name: str, value: str | None) -> Via:
        """The value with a parameter set (None: without a value)."""
        parameters = self.parameters.with_value(name, value)
        return self._replace(parameters=parameters, params=str(parameters))


def _slash(text: str, at: int) -> int:
    found = _SLASH.match(text, at)
    if found is None:
        raise SipSyntaxError(f"expected '/', found {found_at(text, at)}", at)
    return found.end()


def _parse_port(text: str, at: int) -> tuple[int | None, int]:
    found = _PORT.match(text, at)
    if found is None:
        return None, skip_blanks(text, at)
    port = int(found[1])
    if port > MAX_PORT:
        raise SipSyntaxError(f"the port {port} is above 65535", found.start(1))
    return port, skip_blanks(text, found.end())
