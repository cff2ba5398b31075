"""Messages made smaller so that everybody still reads them: short names, lists in one field, less of what is known.

Source: OpenSIPS manual, module compression (`mc_compact`); RFC 3261 sections 7.3.1 and 7.3.3; RFC 3551 section 6.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ..late_pattern import late_pattern
from ..values import encode
from .edits import Edit, edited_parts
from .headers import header_key
from .message import Message
from .sdp import STATIC_CODECS, Sdp
from .sdp_body import sdp_part, with_sdp

MANDATORY: Final = frozenset(
    "via from to call-id cseq max-forwards contact route record-route content-type content-length".split()
)
"""The fields that stay whatever the script names: without them a request cannot be routed or read."""

SHORT_NAMES: Final = {
    "content-type": "c", "from": "f", "call-id": "i", "supported": "k", "content-length": "l", "contact": "m",
    "subject": "s", "to": "t", "via": "v", "session-expires": "x",
}  # fmt: skip

_NEVER_MERGED: Final = frozenset("authorization proxy-authorization www-authenticate proxy-authenticate".split())
_RTPMAP = late_pattern(rb"a=rtpmap:([0-9]+) +([^ \r\n]+)\s*\Z")


def compacted(data: bytes, kept: Collection[str], *, short_names: bool = True) -> bytes:
    """A message with only the mandatory header fields and those `kept`, which are names in any case.

    Raises `SipSyntaxError` for what is no message.
    """
    message = Message.parse(data)
    wanted = MANDATORY | {header_key(name.strip()) for name in kept}
    merged: dict[object, tuple[str, list[str]]] = {}
    for number, field in enumerate(message.fields):
        if field.key in wanted:
            place: object = number if field.key in _NEVER_MERGED else field.key
            name = SHORT_NAMES.get(field.key, field.name) if short_names else field.name
            merged.setdefault(place, (name, []))[1].append(field.value)
    body = _with_fewer_mappings(message)
    lines = [data[: message.fields[0].start] if message.fields else data]
    for place, (name, values) in merged.items():
        value = str(len(body)) if place == "content-length" else ", ".join(values)
        lines.append(encode(f"{name}: {value}\r\n"))
    return b"".join((*lines, b"\r\n", body)) if message.fields else data


def _with_fewer_mappings(message: Message) -> bytes:
    """The body without the lines that only repeat what a payload type stands for anyway."""
    part = sdp_part(message.header("Content-Type"), message.body)
    if part is None:
        return message.body
    edits, at = [], 0
    for line in Sdp.parse(part.data).lines:
        found = _RTPMAP.match(line)
        if found and STATIC_CODECS.get(found[1].decode(), "").lower() == found[2].decode("ascii", "replace").lower():
            edits.append(Edit(at, at + len(line), b""))
        at += len(line)
    smaller = b"".join(edited_parts(part.data, 0, edits))
    return with_sdp(message.header("Content-Type"), message.body, smaller) or message.body
