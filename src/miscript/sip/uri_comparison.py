"""Whether two URIs are the same: what a registrar needs to tell a contact that comes again from a new one.

Source: RFC 3261 section 19.1.4; RFC 3966 section 4 for `tel`, whose numbers are compared without their separators.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from ..late_pattern import late_pattern
from .parameters import Parameters
from .syntax import SipSyntaxError
from .uri import SipUri

NEVER_IGNORED: Final = frozenset({"user", "ttl", "method", "maddr", "transport"})
"""URI parameters that two URIs have both, or neither; any other one counts only where both have it."""

_SEPARATORS: Final = late_pattern(r"[-.()]")


def same_uri(one: SipUri, other: SipUri) -> bool:
    """Whether two URIs are equal.  Parameters that are no proper list make them different."""
    if one.scheme.lower() != other.scheme.lower() or one.host.lower() != other.host.lower():
        return False
    if one.port != other.port or _user(one) != _user(other):
        return False
    if _unescaped(one.password) != _unescaped(other.password):
        return False
    return _same_headers(one.headers, other.headers) and _same_parameters(one, other)


def same_uri_text(one: str, other: str) -> bool:
    """Whether two texts are the same URI; what is no URI is the same as its own text alone."""
    if one == other:
        return True
    try:
        return same_uri(SipUri.parse(one), SipUri.parse(other))
    except SipSyntaxError:
        return False


def _user(uri: SipUri) -> str | None:
    return _SEPARATORS.sub("", uri.user or "").lower() if uri.scheme.lower() == "tel" else _unescaped(uri.user)


def _unescaped(part: str | None) -> str | None:
    return part if part is None or "%" not in part else unquote(part, errors="surrogateescape")


def _same_parameters(one: SipUri, other: SipUri) -> bool:
    try:
        first, second = _by_name(one.parameters), _by_name(other.parameters)
    except SipSyntaxError:
        return False
    strict = one.scheme.lower() == "tel"
    names = first.keys() | second.keys()
    if not strict:
        names = (first.keys() & second.keys()) | (names & NEVER_IGNORED)
    return all(name in first and name in second and first[name] == second[name] for name in names)


def _by_name(parameters: Parameters) -> dict[str, str]:
    return {item.name.lower(): (_unescaped(item.value) or "").lower() for item in parameters}


def _same_headers(one: str | None, other: str | None) -> bool:
    return sorted((one or "").split("&")) == sorted((other or "").split("&"))
