"""compression: can be loaded, because `compressed_payload` of proto_hep asks for it.

It compresses SIP bodies and headers, so its functions come with SIP.  Source: OpenSIPS manual, module compression.
"""

from __future__ import annotations

import logging

from ..exports import Module, parameter
from ..services import Services

log = logging.getLogger("miscript.compression")

LEVELS = range(1, 10)
DEFAULT_LEVEL = 6


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
