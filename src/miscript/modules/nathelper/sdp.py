"""Descriptions of media whose addresses are private: other addresses put in, lines added.

Source: RFC 4566 (`o=`, `c=`); OpenSIPS manual, module nathelper (`fix_nated_sdp`); observed bodies of OpenSIPS 4.1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...sip.multipart import body_parts, media_type
from ...sip.syntax import SipSyntaxError

ADD_ACTIVE: Final = "add-dir-active"
REWRITE_MEDIA: Final = "rewrite-media-ip"
ADD_MARK: Final = "add-no-rtpproxy"
REWRITE_ORIGIN: Final = "rewrite-origin-ip"
REWRITE_NULL: Final = "rewrite-null-ips"
SDP_FLAGS: Final = frozenset({ADD_ACTIVE, REWRITE_MEDIA, ADD_MARK, REWRITE_ORIGIN, REWRITE_NULL})

SDP: Final = "application/sdp"

_ORIGIN = re.compile(rb"^(o=[^\r\n]* IN )(IP[46]) ([^ \r\n]+)", re.MULTILINE)
_CONNECTION = re.compile(rb"^(c=IN )(IP[46]) ([^ /\r\n]+)", re.MULTILINE)
_NULL: Final = frozenset({b"0.0.0.0", b"::"})


@dataclass(frozen=True, slots=True)
class SdpChanges:
    """What is to be done to a description.

    `address` is put in as `flags` tell; `mark` is the line that says so to others, `skipped` has "o" and "c" for the
    old addresses that are not told, `fields` are lines to be added, each behind a line end.
    """

    flags: frozenset[str]
    address: str
    mark: str = ""
    skipped: str = ""
    fields: str = ""

    def applied(self, sdp: bytes) -> bytes:
        """A description with all changes.  Raises `SipSyntaxError` when the address is none."""
        added = [line for line in self.fields.encode("utf-8", "surrogateescape").splitlines() if line]
        if ADD_ACTIVE in self.flags:
            added.append(b"a=direction:active")
        mark = self.mark.strip().encode("utf-8", "surrogateescape")
        if ADD_MARK in self.flags and mark and mark not in sdp.splitlines():
            added.append(mark)
        if REWRITE_ORIGIN in self.flags:
            sdp, old = self._rewritten(sdp, _ORIGIN)
            added += [] if "o" in self.skipped else [b"a=oldoip:" + address for address in old]
        if REWRITE_MEDIA in self.flags:
            sdp, old = self._rewritten(sdp, _CONNECTION)
            added += [] if "c" in self.skipped else [b"a=oldcip:" + address for address in old]
        if not added:
            return sdp
        ending = b"\r\n" if sdp.endswith(b"\n") else b""
        return b"\r\n".join([sdp.rstrip(b"\r\n"), *added]) + ending

    def _rewritten(self, sdp: bytes, pattern: re.Pattern[bytes]) -> tuple[bytes, list[bytes]]:
        """The description with our address, and the old ones."""
        try:
            new = ipaddress.ip_address(self.address.strip("[]"))
        except ValueError:
            raise SipSyntaxError(f"'{self.address}' is no IP address", 0) from None
        address, old = str(new).encode(), list[bytes]()

        def put(found: re.Match[bytes]) -> bytes:
            if (found[3] in _NULL and REWRITE_NULL not in self.flags) or found[3] == address:
                return found[0]
            old.append(found[3])
            return b"%sIP%d %s" % (found[1], new.version, address)

        return pattern.sub(put, sdp), old


def changed_body(content_type: str | None, body: bytes, changes: SdpChanges) -> bytes:
    """A body, whole or of several parts, with the changes in each description of media.

    Raises `SipSyntaxError`: a body without a type that can be read, an address that is none.
    """
    kind = media_type(content_type or SDP)[0]
    if kind == SDP:
        return changes.applied(body)
    if not kind.startswith("multipart/"):
        return body
    pieces: list[bytes] = []
    at = 0
    for part in body_parts(content_type, body):
        start = body.find(part.data, at)
        if part.content_type == SDP and part.data and start >= 0:
            pieces += [body[at:start], changes.applied(part.data)]
            at = start + len(part.data)
    return b"".join([*pieces, body[at:]])


def connection_addresses(content_type: str | None, body: bytes) -> Sequence[str]:
    """The addresses of the `c=` lines of a body; none when it cannot be read."""
    try:
        parts = body_parts(content_type or SDP, body)
    except SipSyntaxError:
        return ()
    return [found[3].decode("ascii", "replace") for p in parts if p.content_type == SDP for found in _lines(p.data)]


def _lines(sdp: bytes) -> list[re.Match[bytes]]:
    return list(_CONNECTION.finditer(sdp))
