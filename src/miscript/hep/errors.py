"""The one exception of this package."""

from __future__ import annotations

from ..errors import MiscriptError


class HepError(MiscriptError):
    """Bytes that are no HEP packet, or a packet that does not fit into one.

    `what` says what was found and what was expected; `offset` is the byte of the datagram (or of the TCP stream)
    where it stands, None when it concerns the whole.
    """

    def __init__(self, what: str, offset: int | None = None) -> None:
        super().__init__(what if offset is None else f"{what} (at byte {offset})")
        self.what = what
        self.offset = offset
