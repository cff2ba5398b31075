"""The messages of RFC 4475 in `torture/`, as they are on the wire."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).with_name("torture")
NAMES = sorted(path.stem for path in FOLDER.glob("*.sip"))

_HEX = re.compile(rb"<hex>([0-9a-f]*)</hex>")
_REPEAT = re.compile(rb"<repeat ([0-9]+)>(.*?)</repeat>")


def torture(name: str) -> bytes:
    """The message that the RFC calls `name`."""
    text = (FOLDER / f"{name}.sip").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    text = _REPEAT.sub(lambda found: found[2] * int(found[1]), text)
    text = _HEX.sub(lambda found: bytes.fromhex(found[1].decode()), text)
    head, _, body = text.partition(b"\r\n\r\n")
    return head.replace(b"{length}", b"%d" % len(body)) + b"\r\n\r\n" + body
