"""Addresses with a display name and parameters, as From, To, Contact, Route and others have them.

Source: RFC 3261 section 20.10 and 25.1 (`name-addr`, `addr-spec`).  Without angle brackets everything behind the
first semicolon belongs to the header field, not to the URI.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..late_pattern import late_pattern
from .parameters import NO_PARAMETERS, Parameters, parse_parameters
from .syntax import CACHED_LENGTH, CACHED_VALUES, QUOTED, SipSyntaxError, found_at, read_list, skip_blanks, unquote
from .uri import SipUri

MAX_ADDRESSES = 256
"""Most addresses in one header field; a longer list is refused."""

_NAME = late_pattern(r'[^\x00-\x08\x0b\x0c\x0e-\x1f"<>;,\x7f]*(?=<)')
_URI = late_pattern(r"[^\x00-\x20<>\x7f]+")
_BARE_URI = late_pattern(r'[^\x00-\x20<>"(),;\x7f]+')


@dataclass(frozen=True, slots=True)
class NameAddr:
    """`"Alice" <sip:alice@example.com>;tag=1`.

    `address` is the part before the parameters and `params` the parameters, both as written; `name` is the display
    name as written (with its quotes) or None.  The URI is not looked at until `sip_uri` is called.
    """

    address: str
    uri: str
    name: str | None = None
    params: str | None = None
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Read one address.  Raises `SipSyntaxError`."""
        return _parse_cached(text) if len(text) <= CACHED_LENGTH else _parse(text)

    @classmethod
    def parse_many(cls, text: str) -> tuple[NameAddr, ...]:
        """Read addresses separated by commas.  Raises `SipSyntaxError`."""
        return _parse_many_cached(text) if len(text) <= CACHED_LENGTH else _parse_many(text)

    @classmethod
    def parse_at(cls, text: str, at: int) -> tuple[NameAddr, int]:
        """The address at `at` and the position behind it: that of a comma, or of the end."""
        start = skip_blanks(text, at)
        name, uri, end = _parse_address(text, start)
        address = text[start:end]
        at = skip_blanks(text, end)
        params, parameters = None, NO_PARAMETERS
        if text.startswith(";", at):
            first = at + 1
            parameters, at = parse_parameters(text, first, ends=",")
            params = text[first:at].strip(" \t\r\n")
        if at < len(text) and text[at] != ",":
            raise SipSyntaxError(f"expected ';', ',' or the end, found {found_at(text, at)}", at)
        return cls(address, uri, name, params, parameters), at

    def __str__(self) -> str:
        return self.address if self.params is None else f"{self.address};{self.params}"

    @property
    def display_name(self) -> str | None:
        """The display name without its quotes and escapes."""
        return None if self.name is None else unquote(self.name)

    @property
    def tag(self) -> str | None:
        """The `tag` parameter of From and To."""
        return self.parameters.get("tag")

    def sip_uri(self) -> SipUri:
        """The URI.  Raises `SipSyntaxError`."""
        return SipUri.parse(self.uri)


def _parse(text: str) -> NameAddr:
    found, at = NameAddr.parse_at(text, 0)
    if at < len(text):
        raise SipSyntaxError(f"expected one address, found {found_at(text, at)} behind it", at)
    return found


def _parse_many(text: str) -> tuple[NameAddr, ...]:
    return read_list(text, NameAddr.parse_at, MAX_ADDRESSES, "addresses")


_parse_cached = lru_cache(maxsize=CACHED_VALUES)(_parse)
_parse_many_cached = lru_cache(maxsize=CACHED_VALUES)(_parse_many)


def _parse_address(text: str, at: int) -> tuple[str | None, str, int]:
    """Display name, URI and the position behind the address."""
    name = None
    if text.startswith('"', at):
        quoted = QUOTED.match(text, at)
        if quoted is None:
            raise SipSyntaxError("a display name in quotes is not closed", at)
        name, at = quoted[0], skip_blanks(text, quoted.end())
        if not text.startswith("<", at):
            raise SipSyntaxError(f"expected '<' behind the display name, found {found_at(text, at)}", at)
    elif (words := _NAME.match(text, at)) is not None:
        name, at = words[0].rstrip(" \t\r\n") or None, words.end()
    if not text.startswith("<", at):
        bare = _BARE_URI.match(text, at)
        if bare is None:
            raise SipSyntaxError(f"expected an address, found {found_at(text, at)}", at)
        return None, bare[0], bare.end()
    uri = _URI.match(text, at + 1)
    if uri is None or not text.startswith(">", uri.end()):
        raise SipSyntaxError("expected a URI between '<' and '>'", at)
    return name, uri[0], uri.end() + 1
