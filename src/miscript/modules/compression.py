"""compression: SIP messages made smaller when they are sent, and the reverse when they have come.

`mc_compact` leaves them readable for everybody; what `mc_compress` makes only `mc_decompress` reads, here or in an
OpenSIPS.  `compressed_payload` of proto_hep asks for this module too.  Source: OpenSIPS manual, module compression.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from ..exports import Module, parameter, script_function
from ..script.runtime import Run
from ..services import Services
from ..sip.compacting import compacted
from ..sip.compressing import Algorithm, Packing, decompressed
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError

log = logging.getLogger("miscript.compression")

LEVELS = range(1, 10)
DEFAULT_LEVEL = 6
WHAT = frozenset("bhse")
"""The flags of `mc_compress`: body, headers, separate, base64."""
KEEP_NAMES = "n"

Change = Callable[[bytes], bytes]


class Compression(Module):
    """Compress the bodies and headers of SIP messages."""

    compression_level = parameter(DEFAULT_LEVEL, "How hard to compress: 1 is fastest, 9 smallest.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        services.provide("compression", self)

    def init(self) -> None:
        """A level that there is not becomes the default, as in OpenSIPS."""
        if self.compression_level not in LEVELS:
            log.warning("compression_level is %d, expected 1 to 9; it is 6 now", self.compression_level)
            self.compression_level = DEFAULT_LEVEL

    @script_function(routes="request failure reply local")
    def mc_compact(self, run: Run, whitelist: str | None = None, flags: str | None = None) -> int:
        """Leave out the header fields that are neither mandatory nor in the list `A|B`, merge what is repeated, write
        short names (not with flag `n`), leave out mappings of payload types that everybody knows; when it is sent."""
        short = KEEP_NAMES not in (flags or "").lower()
        return _later(run, partial(compacted, kept=_names(whitelist), short_names=short))

    @script_function(routes="request failure reply local")
    def mc_compress(self, run: Run, algo: int | None, flags: str, whitelist: str | None = None) -> int:
        """Compress the message when it is sent: with 0 deflate or 1 gzip, flags `b` body, `h` header fields but those
        in the list `A|B` and the mandatory ones, `s` the two apart, `e` in base64."""
        wanted = frozenset(flags.lower())
        if not wanted or not wanted <= WHAT or algo not in (None, *Algorithm):
            log.error("mc_compress: algorithm %s and flags '%s', expected 0 or 1 and some of 'bhse'", algo, flags)
            return -1
        if "h" in wanted and "e" not in wanted and ("s" in wanted or "b" not in wanted):
            log.error("mc_compress: header fields that are compressed for themselves need the flag 'e'")
            return -1
        packing = Packing(
            Algorithm(algo or 0),
            self.compression_level,
            body="b" in wanted,
            headers="h" in wanted,
            separate="s" in wanted,
            in_base64="e" in wanted,
            kept=_names(whitelist),
        )
        return _later(run, packing.applied)

    @script_function(routes="request failure local")
    def mc_decompress(self, run: Run) -> int:
        """Put the message that was compressed in place of this one, without what the script has changed so far."""
        message = run.message
        if not isinstance(message, Message):
            return -1
        try:
            data = decompressed(message.data)
            if data is not None:
                message.come_as(data)
        except SipSyntaxError as error:
            log.error("mc_decompress: %s", error)
            return -1
        return 1


def _names(whitelist: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (whitelist or "").split("|") if name.strip())


def _later(run: Run, change: Change) -> int:
    """Have the bytes of the message changed when all else is done; what cannot be changed goes as it is."""
    message = run.message
    if not isinstance(message, Message):
        return -1

    def guarded(data: bytes) -> bytes:
        try:
            return change(data)
        except SipSyntaxError as error:
            log.error("a message goes uncompressed: %s", error)
            return data

    message.last_changes = (*message.last_changes, guarded)
    return 1
