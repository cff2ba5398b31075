"""SIP, SIPS and TEL URIs, and the URNs of emergency calls.

Everything is kept as it was written, so that a URI that is read and printed is the same, byte by byte; the
accessors give meaning to the parts.  Source: RFC 3261 section 19.1 and 25.1; RFC 3966 (tel); RFC 5031 (urn).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from ..late_pattern import late_pattern
from .parameters import NO_PARAMETERS, Parameters
from .syntax import CACHED_LENGTH, CACHED_VALUES, HOST, SipSyntaxError, expect, found_at

MAX_LENGTH = 8192
"""Longest URI in characters that is read."""

_SCHEME = late_pattern(r"(sips?|tel|urn:service):", re.IGNORECASE)
_USER = late_pattern(r'[^\x00-\x20:@<>"\x7f]+')
_PASSWORD = late_pattern(r'[^\x00-\x20:@<>"\x7f]*')
_PORT = late_pattern(r"[0-9]{0,10}")
_PARAMS = late_pattern(r"[^\x00-\x20?@<>\x7f]*")
_HEADERS = late_pattern(r'[^\x00-\x20@<>"\x7f]*')
_TEL_NUMBER = late_pattern(r'[^\x00-\x20:;?@<>"\x7f]+')
_SERVICE = late_pattern(r"[A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class SipUri:
    """`scheme:user:password@host:port;params?headers`; None stands for a part that is not there.

    `host` keeps the brackets of an IPv6 address; a `tel` URI has its number in `user` and an empty host.  For
    `urn:service:sos` the scheme is ``urn:service`` and the host ``sos``.
    """

    scheme: str
    host: str
    user: str | None = None
    password: str | None = None
    port_text: str | None = None
    params: str | None = None
    headers: str | None = None

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Read a URI.  Raises `SipSyntaxError` with the place of the first mistake."""
        return _parse_cached(text) if len(text) <= CACHED_LENGTH else cls._parse(text)

    @classmethod
    def _parse(cls, text: str) -> SipUri:
        if len(text) > MAX_LENGTH:
            raise SipSyntaxError(f"the URI is longer than {MAX_LENGTH} characters", MAX_LENGTH)
        found = _SCHEME.match(text)
        if found is None:
            raise SipSyntaxError(f"expected 'sip:', 'sips:' or 'tel:', found {found_at(text, 0)}", 0)
        scheme, at = found[1], found.end()
        match scheme.lower():
            case "tel":
                uri, at = cls._parse_tel(scheme, text, at)
            case "urn:service":
                service, at = expect(_SERVICE, text, at, "the name of a service")
                uri = cls(scheme, service)
            case _:
                uri, at = cls._parse_sip(scheme, text, at)
        if at < len(text):
            raise SipSyntaxError(f"a URI cannot have {found_at(text, at)} here", at)
        return uri

    @classmethod
    def _parse_tel(cls, scheme: str, text: str, at: int) -> tuple[SipUri, int]:
        number, at = expect(_TEL_NUMBER, text, at, "a telephone number")
        params, at = _part(";", _PARAMS, text, at)
        return cls(scheme, "", user=number, params=params), at

    @classmethod
    def _parse_sip(cls, scheme: str, text: str, at: int) -> tuple[SipUri, int]:
        user = password = None
        if "@" in text:
            user, at = expect(_USER, text, at, "a user")
            password, at = _part(":", _PASSWORD, text, at)
            if not text.startswith("@", at):
                raise SipSyntaxError(f"expected '@' behind the user, found {found_at(text, at)}", at)
            at += 1
        host, at = expect(HOST, text, at, "a host")
        port_at = at + 1
        port, at = _part(":", _PORT, text, at)
        if port and int(port) > 65535:
            raise SipSyntaxError(f"the port {port} is above 65535", port_at)
        params, at = _part(";", _PARAMS, text, at)
        headers, at = _part("?", _HEADERS, text, at)
        return cls(scheme, host, user, password, port, params, headers), at

    def __str__(self) -> str:
        if not self.host:
            return f"{self.scheme}:{self.user}{_after(';', self.params)}"
        user = "" if self.user is None else f"{self.user}{_after(':', self.password)}@"
        tail = f"{_after(':', self.port_text)}{_after(';', self.params)}{_after('?', self.headers)}"
        return f"{self.scheme}:{user}{self.host}{tail}"

    @property
    def is_secure(self) -> bool:
        """Whether this is a `sips` URI."""
        return self.scheme.lower() == "sips"

    @property
    def port(self) -> int | None:
        """The port, when there is one."""
        return int(self.port_text) if self.port_text else None

    @property
    def parameters(self) -> Parameters:
        """The URI parameters.  Raises `SipSyntaxError` when they are not a proper list."""
        return Parameters.parse(self.params) if self.params else NO_PARAMETERS

    @property
    def transport(self) -> str | None:
        """The `transport` parameter as written; here and below "" when it has no value, None when missing."""
        return self.parameters.get("transport")

    @property
    def ttl(self) -> str | None:
        """The `ttl` parameter: time to live of multicast packets."""
        return self.parameters.get("ttl")

    @property
    def user_parameter(self) -> str | None:
        """The `user` parameter: "phone" when the user part is a telephone number."""
        return self.parameters.get("user")

    @property
    def maddr(self) -> str | None:
        """The `maddr` parameter: the address to send to instead of the host."""
        return self.parameters.get("maddr")

    @property
    def method(self) -> str | None:
        """The `method` parameter: the method of the request to be made from this URI."""
        return self.parameters.get("method")

    @property
    def lr(self) -> str | None:
        """The `lr` parameter: this is a loose router."""
        return self.parameters.get("lr")

    @property
    def r2(self) -> str | None:
        """The `r2` parameter: one of two Record-Route headers of one proxy (OpenSIPS `rr`)."""
        return self.parameters.get("r2")

    def with_user(self, user: str | None) -> SipUri:
        """The URI with another user (None: without user and password).  Raises `SipSyntaxError`."""
        return self._checked(replace(self, user=user, password=None if user is None else self.password))

    def with_host(self, host: str) -> SipUri:
        """The URI with another host; an IPv6 address needs its brackets.  Raises `SipSyntaxError`."""
        return self._checked(replace(self, host=host))

    def with_port(self, port: int | None) -> SipUri:
        """The URI with another port, or without one.  Raises `SipSyntaxError`."""
        return self._checked(replace(self, port_text=None if port is None else str(port)))

    def with_parameters(self, parameters: Parameters) -> SipUri:
        """The URI with other parameters.  Raises `SipSyntaxError`."""
        return self._checked(replace(self, params=str(parameters) if parameters else None))

    @classmethod
    def _checked(cls, uri: SipUri) -> SipUri:
        """`uri`, if its text means the same: a new part must not smuggle in another one."""
        text = str(uri)
        if cls.parse(text) != uri:
            raise SipSyntaxError(f"'{text}' would be another URI than its parts say", 0)
        return uri


_parse_cached = lru_cache(maxsize=CACHED_VALUES)(SipUri._parse)


def _part(sign: str, pattern: re.Pattern[str], text: str, at: int) -> tuple[str | None, int]:
    """An optional part that begins with `sign`; `pattern` also matches nothing."""
    if not text.startswith(sign, at):
        return None, at
    found = pattern.match(text, at + 1)
    return (found[0], found.end()) if found else ("", at + 1)


def _after(sign: str, part: str | None) -> str:
    return "" if part is None else f"{sign}{part}"
